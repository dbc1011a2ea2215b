"""Sides: the effective leg of each source, out of all its versions.

The highest version stands; at equal version cancel over amend over new. Several facts of that one version and kind are
one leg: per field no value is absent, one value is the value, two are contested and prove nothing. A lower version
lends nothing. Source: CONTRACT.md, Topics; DOMAIN.md, decisions.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from traderecon.records import (
    ALL_VERSIONS,
    CONTENT,
    Confirmation,
    Execution,
    Fact,
    Kind,
    Leg,
    PnlSnapshot,
    Source,
    identity,
)
from traderecon.records.bounds import FACTS_PER_SIDE, RIVALS
from traderecon.records.currencies import currency_code

AnyLeg = TypeVar("AnyLeg", Execution, Confirmation, PnlSnapshot)

Contested = frozenset[tuple[Source, str]]

_NONE: Contested = frozenset()
_CANCEL = Kind.CANCEL


class Sides(msgspec.Struct, frozen=True, gc=False):
    """The effective leg of each source now.

    ``first_received_at_ns`` is when the first execution or confirmation arrived, ``paired_at_ns`` when the first leg of
    the other side did (0: none has); ``cancels_nothing`` says that all we have is a cancel, ``version_gap`` that a
    version below a standing one never came. ``rivals`` are the legs behind an effective leg that has several,
    ``event_time_ns`` is when the trade happened: by the execution, else by the confirmation.
    """

    execution: Execution | None
    confirmation: Confirmation | None
    pnl: PnlSnapshot | None
    contested: Contested
    first_received_at_ns: int
    paired_at_ns: int
    cancels_nothing: bool
    version_gap: bool
    rivals: tuple[Leg, ...] = ()
    event_time_ns: int | None = None

    def standing(self, source: Source) -> tuple[Leg, ...]:
        """The legs that the effective leg of a source is made of; none where nothing was sent."""
        if rivals := tuple(leg for leg in self.rivals if leg.source is source):
            return rivals
        return tuple(
            leg for leg in (self.execution, self.confirmation, self.pnl) if leg is not None and leg.source is source
        )


def sides_of(facts: Sequence[Fact]) -> Sides:
    """Split the facts of one trade by source, and let the right version stand; the order of the facts is irrelevant."""
    # Nearly every trade has one fact per source at most: nothing to choose, and no lists to make.
    execution: Execution | None = None
    confirmation: Confirmation | None = None
    pnl: PnlSnapshot | None = None
    first_ns = paired_ns = 0
    for fact in facts:
        leg = fact.leg
        if isinstance(leg, Execution):
            if execution is not None:
                return _sides_of_many(facts)
            execution = leg
        elif isinstance(leg, Confirmation):
            if confirmation is not None:
                return _sides_of_many(facts)
            confirmation = leg
        else:
            if pnl is not None:
                return _sides_of_many(facts)
            pnl = leg
            continue
        received_at_ns = fact.origin.received_at_ns
        if execution is None or confirmation is None:
            first_ns = received_at_ns
        elif received_at_ns < first_ns:
            first_ns, paired_ns = received_at_ns, first_ns
        else:
            paired_ns = received_at_ns
    only = execution or confirmation
    event_time_ns = None if execution is None else execution.timestamp_ns
    if event_time_ns is None and confirmation is not None:
        event_time_ns = confirmation.timestamp_ns
    return Sides(
        execution,
        confirmation,
        pnl,
        _NONE,
        first_ns,
        paired_ns,
        (execution is None or confirmation is None) and (only is None or only.kind is _CANCEL),
        (execution is not None and _gap([execution]))
        or (confirmation is not None and _gap([confirmation]))
        or (pnl is not None and pnl.version > 1),
        (),
        event_time_ns,
    )


def _sides_of_many(facts: Sequence[Fact]) -> Sides:
    """The same where a source has more than one fact: the right ones have to be found."""
    executions: list[Execution] = []
    confirmations: list[Confirmation] = []
    snapshots: list[PnlSnapshot] = []
    ours_ns: int | None = None
    theirs_ns: int | None = None
    for fact in facts:
        leg = fact.leg
        if isinstance(leg, PnlSnapshot):
            snapshots.append(leg)
            continue
        received_at_ns = fact.origin.received_at_ns
        if isinstance(leg, Execution):
            executions.append(leg)
            if ours_ns is None or received_at_ns < ours_ns:
                ours_ns = received_at_ns
        else:
            confirmations.append(leg)
            if theirs_ns is None or received_at_ns < theirs_ns:
                theirs_ns = received_at_ns
    if ours_ns is None or theirs_ns is None:
        first_ns, paired_ns = ours_ns or theirs_ns or 0, 0
    else:
        first_ns, paired_ns = min(ours_ns, theirs_ns), max(ours_ns, theirs_ns)
    execution, contested, rivals, gap = _standing(executions)
    confirmation, contested_there, rivals_there, gap_there = _standing(confirmations)
    pnl, contested_pnl, rivals_pnl, gap_pnl = _standing(snapshots)
    event_time_ns = _traded_at_ns(executions)
    return Sides(
        execution,
        confirmation,
        pnl,
        contested | contested_there | contested_pnl,
        first_ns,
        paired_ns,
        not (executions and confirmations) and _cancels_nothing(executions or confirmations),
        gap or gap_there or gap_pnl,
        (*rivals, *rivals_there, *rivals_pnl),
        _traded_at_ns(confirmations) if event_time_ns is None else event_time_ns,
    )


def _standing(legs: list[AnyLeg]) -> tuple[AnyLeg | None, Contested, tuple[AnyLeg, ...], bool]:
    """The effective leg, what is contested of it, its rivals, and whether a version below it is missing."""
    if not legs:
        return None, _NONE, (), False
    if len(legs) == 1:
        return legs[0], _NONE, (), _gap(legs)
    highest = max((leg.version, leg.kind.rank) for leg in legs)
    rivals = tuple([leg for leg in legs if (leg.version, leg.kind.rank) == highest])
    gap = _gap(legs)
    if len(rivals) == 1:
        return rivals[0], _NONE, (), gap
    rivals = tuple(sorted(rivals, key=identity))
    effective = _effective(rivals)
    # A cancel says nothing but that it cancels: two of them cannot contradict each other.
    contested = _NONE if effective.kind is _CANCEL else contradictions(rivals)
    return effective, contested, rivals, gap


def _cancels_nothing(legs: Sequence[Leg]) -> bool:
    """Whether all we have is cancels; of a full side what they cancel may have been let go."""
    return len(legs) < FACTS_PER_SIDE and all(leg.kind is _CANCEL for leg in legs)


def _gap(legs: Sequence[Leg]) -> bool:
    """Whether a version below another never came; a cancel of all versions is none, a full side let the lowest go."""
    versions = {leg.version for leg in legs if leg.version != ALL_VERSIONS}
    first = versions if len(legs) >= FACTS_PER_SIDE else {1, *versions}
    return bool(versions) and max(versions) - min(first) + 1 > len(versions)


def _effective(rivals: Sequence[AnyLeg]) -> AnyLeg:
    """What several legs of one version and kind say together; a contested field is None."""
    first = rivals[0]
    changes: dict[str, Any] = {"hints": tuple(sorted({hint for rival in rivals for hint in rival.hints}))}
    contested = {field for _, field in contradictions(rivals)}
    for field in CONTENT[first.source]:
        values = () if field in contested else stated(rivals, field)
        changes[field] = values[0] if values else None
    if not isinstance(first, PnlSnapshot):  # the finest spelling proves least
        changes["granularity"] = max(rival.granularity for rival in rivals if not isinstance(rival, PnlSnapshot))
    return msgspec.structs.replace(first, **changes)


def stated(legs: Sequence[Leg], field: str) -> list[Any]:
    """The different values that these legs of one source have in a field, in no order that means anything."""
    values = [value for leg in legs if (value := getattr(leg, field)) is not None]
    if field == "currency" and len(values) > 1:
        values = [currency_code(value) for value in values]
    return list(dict.fromkeys(values))


def contradictions(rivals: Sequence[Leg]) -> Contested:
    """The fields in which these legs of one source have more than one value; of too many legs all fields."""
    source, too_many = rivals[0].source, len(rivals) > RIVALS
    return frozenset((source, field) for field in CONTENT[source] if too_many or len(stated(rivals, field)) > 1)


def _traded_at_ns(legs: Sequence[Execution] | Sequence[Confirmation]) -> int | None:
    """The timestamp of the highest version that has one; of rivals the earliest."""
    known = [((leg.version, leg.kind.rank), leg.timestamp_ns) for leg in legs if leg.timestamp_ns is not None]
    highest = max((precedence for precedence, _ in known), default=None)
    return min((at_ns for precedence, at_ns in known if precedence == highest), default=None)
