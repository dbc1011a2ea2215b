"""Rows that were reconciled before: which trades are skipped, and which have changed since.

    the rows of a trade, each marked or not, and the stored facts of its match -> Settled(facts, changed)

A row is marked by ``true`` in the column ``reconciled``. A mark alone is not trusted where a database can tell.
Source: DOMAIN.md F23; docs/files.md, Rows reconciled before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from traderecon.matching import add
from traderecon.records import Fact, Leg, PnlSnapshot, Reason, RejectCode, Rejected, Source, State, Verdict, identity
from traderecon.records.legs import STANDARD

COLUMN = "reconciled"
_MARKS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


class StoredFacts(Protocol):
    """What a database knows of trades. Called in other processes, too."""

    def __call__(self, trade_ids: Sequence[str]) -> Mapping[str, tuple[Fact, ...]]:
        """The facts of these trades, of each whose stored result is MATCHED or CANCELLED."""
        ...

    def namesakes(self, sent_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The stored trades that share each of these trade_ids, by a match key."""
        ...


class MarkedRow(NamedTuple):
    """A decoded row. ``marked``: whether its file says that it was reconciled; None where it has no such column."""

    fact: Fact
    marked: bool | None


class Settled(NamedTuple):
    """What to judge: the facts of a trade, none where it is skipped; whether a reconciled row of it has changed.

    ``skip_unless_break``: some of its rows are marked, the others are of files that mark nothing.
    """

    facts: tuple[Fact, ...]
    changed: bool = False
    skip_unless_break: bool = False


SKIPPED = Settled(())


def marked_row(fact: Fact, *, has_column: bool) -> MarkedRow | Rejected:
    """The row with its mark; rejected if the mark is neither true nor false."""
    if not has_column:
        return MarkedRow(fact, None)
    text = str((fact.extra or {}).get(COLUMN, ""))
    mark = _MARKS.get(text.strip().lower())
    if mark is None:
        return Rejected(
            RejectCode.SCHEMA_INVALID, f"reconciled is {text!a}: write true or false (yes, no, 1, 0)", fact.origin
        )
    return MarkedRow(fact, mark)


def settle(
    rows: Sequence[MarkedRow], stored: tuple[Fact, ...] | None, *, asked: bool, rejected: bool = False
) -> Settled:
    """Whether a trade is skipped, judged, or judged as changed.

    ``stored``: the facts of its stored match, None if there is none; ``asked``: whether a database was asked. Then only
    what it holds was reconciled; else what is marked was. ``rejected``: another row of the trade was, so nobody knows
    whether it was reconciled: the trade is judged.
    """
    facts = [row.fact for row in rows]
    if rejected:
        return Settled(_gathered([*facts, *(stored or ())]))
    if asked:
        if stored is None:
            return Settled(_gathered(facts))
        known = {_content(fact.leg) for fact in stored}
        new = [row for row in rows if _content(row.fact.leg) not in known]
        places = {_place(fact.leg) for fact in stored}
        changed = any(row.marked or _place(row.fact.leg) in places for row in new)
        return Settled(_gathered([*facts, *stored]), changed) if new else SKIPPED
    marked = {_content(row.fact.leg): _place(row.fact.leg) for row in rows if row.marked}
    if not marked:
        return Settled(_gathered(facts))
    new = [row for row in rows if row.marked is False and _content(row.fact.leg) not in marked]
    contradictory = len(marked) > len(set(marked.values()))
    if not new and not contradictory:
        unmarked = any(row.marked is None for row in rows)
        return Settled(_gathered(facts), skip_unless_break=True) if unmarked else SKIPPED
    changed = contradictory or any(_place(row.fact.leg) in marked.values() for row in new)
    return Settled(_gathered(facts), changed)


def repeated(rows: Sequence[MarkedRow]) -> Iterator[Source]:
    """The source of each row that repeats another of its trade exactly."""
    seen: set[str] = set()
    for row in rows:
        if (content := identity(row.fact.leg)) in seen:
            yield row.fact.leg.source
        seen.add(content)


def as_changed(verdict: Verdict) -> Verdict:
    """The verdict on a trade of which a reconciled row has changed."""
    state = verdict.state if verdict.state.is_break else State.MISMATCHED
    reasons = tuple(sorted({*verdict.reasons, Reason.RECONCILED_ROW_CHANGED}))
    return msgspec.structs.replace(verdict, state=state, reasons=reasons)


def _gathered(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    gathered: tuple[Fact, ...] = ()
    for fact in facts:
        gathered, _ = add(gathered, fact)
    return gathered


def _content(leg: Leg) -> str:
    """The identity of a leg however it is spelled: ``10:01:23`` is ``10:01:23.000``, ``1`` is ``BUY``."""
    sent = {field: getattr(leg, field, None) for field in STANDARD}
    spelled = {field: STANDARD[field](value) for field, value in sent.items() if value is not None}
    leg = msgspec.structs.replace(leg, **spelled)
    if isinstance(leg, PnlSnapshot):
        return identity(msgspec.structs.replace(leg, hints=()))
    return identity(msgspec.structs.replace(leg, granularity=0, hints=()))


def _place(leg: Leg) -> tuple[str, str | None, int, str]:
    """Legs at one place contradict each other, or are one."""
    return leg.source, leg.member_id, leg.version, leg.kind
