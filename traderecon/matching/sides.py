"""Sides: the effective leg of each source, out of all its versions.

The highest version is effective; at equal version cancel ranks over amend over new. Several facts of that version and
kind are merged into one leg: per field no value means absent, one value is the value, two are contested and prove
nothing. Nothing is inherited from a lower version. Source: CONTRACT.md, Topics; DOMAIN.md, decisions.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from traderecon.records import (
    ALL_VERSIONS,
    CONTENT,
    STANDARD,
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
from traderecon.records.legs import has_attributes
from traderecon.records.numbers import EXACT

Contested = frozenset[tuple[Source, str]]

_NONE: Contested = frozenset()
_CANCEL = Kind.CANCEL
_OURS, _THEIRS = Source.EXECUTIONS, Source.CONFIRMATIONS


class Sides(msgspec.Struct, frozen=True, gc=False):
    """The effective leg of each source.

    ``waits_from_ns`` is when the first execution or confirmation was received, or the first since a cancel, of a side
    that was reinstated; ``paired_at_ns`` when the first leg of the other side was (0: not yet), and ``second`` that
    side. ``reinstated``: one side was, and the other is still cancelled. ``cancels_nothing``: there are only cancels.
    ``version_gap``: a version below an effective one is missing. ``rivals`` are the legs that were merged into an
    effective leg. ``event_time_ns`` is when the trade happened: by the execution, else by the confirmation.
    ``have_attributes``: a side sent an attribute, or contradicts itself. ``grouped``: see ``matching.groups``;
    ``differing``: the fields that the members of a group may differ in, and do. ``amounts``: of a group what the prices
    and quantities of its members add up to, since an average price may be rounded. ``ambiguous``: the legs that may be
    about another trade (``records.match_keys``); they are not compared.
    """

    execution: Execution | None
    confirmation: Confirmation | None
    pnl: PnlSnapshot | None
    contested: Contested
    waits_from_ns: int
    paired_at_ns: int
    cancels_nothing: bool
    version_gap: bool
    rivals: tuple[Leg, ...] = ()
    event_time_ns: int | None = None
    second: Source | None = None
    reinstated: bool = False
    have_attributes: bool = False
    grouped: bool = False
    differing: Contested = _NONE
    amounts: tuple[tuple[Source, Decimal], ...] = ()
    ambiguous: tuple[Leg, ...] = ()

    def amount(self, leg: Execution | Confirmation) -> Decimal | None:
        """The exact price * quantity of an effective leg, or of all members; None if one of them is not known."""
        return dict(self.amounts).get(leg.source, amount_of(leg))

    @property
    def combined(self) -> tuple[Leg, ...]:
        """The legs that several members of a group were added up to."""
        legs = (self.execution, self.confirmation, self.pnl) if self.grouped else ()
        return tuple(leg for leg in legs if leg is not None and leg.member_id is None)

    def effective(self, source: Source) -> tuple[Leg, ...]:
        """The legs that make up the effective leg of a source; empty if it sent none."""
        if rivals := tuple(leg for leg in self.rivals if leg.source is source):
            return rivals
        return tuple(
            leg for leg in (self.execution, self.confirmation, self.pnl) if leg is not None and leg.source is source
        )


def amount_of(leg: Execution | Confirmation) -> Decimal | None:
    """The exact price * quantity that one record says; None if it lacks one of them."""
    return None if leg.price is None or leg.quantity is None else EXACT.multiply(leg.price, leg.quantity)


def sides_of(facts: Sequence[Fact], *, last_wins: bool = False) -> Sides:
    """The effective leg of each source, from the facts of one trade in any order.

    ``last_wins``: of several facts of one version and kind the one received last is effective, and none is contested.
    """
    # Fast path: nearly every trade has at most one fact per source.
    execution: Execution | None = None
    confirmation: Confirmation | None = None
    pnl: PnlSnapshot | None = None
    first_ns = paired_ns = 0
    second: Source | None = None
    for fact in facts:
        leg = fact.leg
        if isinstance(leg, Execution):
            if execution is not None:
                return _sides_of_many(facts, last_wins=last_wins)
            execution = leg
        elif isinstance(leg, Confirmation):
            if confirmation is not None:
                return _sides_of_many(facts, last_wins=last_wins)
            confirmation = leg
        else:
            if pnl is not None:
                return _sides_of_many(facts, last_wins=last_wins)
            pnl = leg
            continue
        received_at_ns = fact.origin.received_at_ns
        if execution is None or confirmation is None:
            first_ns = received_at_ns
        elif received_at_ns < first_ns:
            first_ns, paired_ns = received_at_ns, first_ns
            second = _OURS if leg.source is _THEIRS else _THEIRS
        else:
            paired_ns, second = received_at_ns, leg.source if received_at_ns > first_ns else None
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
        # As ``_gap`` for one leg, which nearly every trade has.
        (execution is not None and 1 < execution.version < ALL_VERSIONS)
        or (confirmation is not None and 1 < confirmation.version < ALL_VERSIONS)
        or (pnl is not None and pnl.version > 1),
        (),
        event_time_ns,
        second,
        False,
        (execution is not None and has_attributes(execution))
        or (confirmation is not None and has_attributes(confirmation)),
    )


def _sides_of_many(facts: Sequence[Fact], *, last_wins: bool) -> Sides:
    """``sides_of`` for a source with more than one fact."""
    ours, theirs, booked = (
        side_of([fact for fact in facts if fact.leg.source is source], last_wins=last_wins) for source in Source
    )
    execution, confirmation, pnl = ours.effective, theirs.effective, booked.effective
    return Sides(
        execution if isinstance(execution, Execution) else None,
        confirmation if isinstance(confirmation, Confirmation) else None,
        pnl if isinstance(pnl, PnlSnapshot) else None,
        ours.contested | theirs.contested | booked.contested,
        *_received(ours, theirs),
        not (execution and confirmation) and cancels_nothing((ours if execution else theirs).legs),
        ours.gap or theirs.gap or booked.gap,
        (*ours.rivals, *theirs.rivals, *booked.rivals),
        _traded_at_ns(theirs.legs) if (event_time_ns := _traded_at_ns(ours.legs)) is None else event_time_ns,
        ours.second_to(theirs),
        ours.reinstated_against(theirs) or theirs.reinstated_against(ours),
        bool(ours.contested or theirs.contested or booked.contested)
        or any(
            leg is not None and not isinstance(leg, PnlSnapshot) and has_attributes(leg)
            for leg in (execution, confirmation)
        ),
    )


class Side(NamedTuple):
    """One source of a trade: its legs, the effective one, when they were received.

    ``first_ns``: the first of all; ``since_ns``: the first above the last cancel, if a leg is. -1: there is none.
    """

    legs: Sequence[Leg]
    effective: Leg | None
    contested: Contested
    rivals: tuple[Leg, ...]
    gap: bool
    first_ns: int
    since_ns: int
    reinstated: bool

    def starts_ns(self, other: "Side") -> int:
        """When this side began to wait for the other, or was waited for."""
        return self.since_ns if other.first_ns < 0 or other.first_ns >= self.since_ns else self.first_ns

    def reinstated_against(self, other: "Side") -> bool:
        """Whether this side stands again, while the other is cancelled."""
        return self.reinstated and other.effective is not None and other.effective.kind is _CANCEL

    def second_to(self, other: "Side") -> Source | None:
        """Which of the two sides came second; None if that is unknown."""
        ahead_ns = other.starts_ns(self) - self.starts_ns(other)
        if self.first_ns < 0 or other.first_ns < 0 or not ahead_ns:
            return None
        return _THEIRS if ahead_ns > 0 else _OURS


def _received(ours: Side, theirs: Side) -> tuple[int, int]:
    """``waits_from_ns`` and ``paired_at_ns``."""
    for side, other in ((ours, theirs), (theirs, ours)):
        if side.reinstated_against(other):
            return side.since_ns, 0
    starts = [side.starts_ns(other) for side, other in ((ours, theirs), (theirs, ours)) if side.first_ns >= 0]
    return min(starts, default=0), max(starts) if len(starts) == 2 else 0


def side_of(facts: Sequence[Fact], *, last_wins: bool) -> Side:
    """The facts of one source as a side."""
    if not facts:
        return Side((), None, _NONE, (), gap=False, first_ns=-1, since_ns=-1, reinstated=False)
    legs = [fact.leg for fact in facts]
    highest = max(map(_rank, legs))
    rivals = [fact for fact in facts if _rank(fact.leg) == highest]
    if last_wins:
        rivals = [max(rivals, key=_arrival)]
    effective, contested, merged = _effective_leg([fact.leg for fact in rivals])
    last_cancel = max((_rank(leg) for leg in legs if leg.kind is _CANCEL), default=None)
    reinstated = last_cancel is not None and last_cancel < highest
    first_ns = min(fact.origin.received_at_ns for fact in facts)
    since = [fact for fact in facts if last_cancel is not None and _rank(fact.leg) > last_cancel] or facts
    return Side(
        legs,
        effective,
        contested,
        merged,
        _gap(legs),
        first_ns,
        min(fact.origin.received_at_ns for fact in since),
        reinstated,
    )


def _rank(leg: Leg) -> tuple[int, int]:
    return leg.version, leg.kind.rank


def _arrival(fact: Fact) -> tuple[int, str, int, int]:
    """Later arrivals sort last; of lines of files that of the file with the later name, then the later line."""
    origin = fact.origin
    return origin.received_at_ns, origin.topic, origin.partition, origin.offset


def _effective_leg(legs: list[Leg]) -> tuple[Leg, Contested, tuple[Leg, ...]]:
    """The effective leg of several of the highest version and kind, its contested fields, its rivals."""
    if len(legs) == 1:
        return legs[0], _NONE, ()
    rivals = tuple(sorted(legs, key=identity))
    effective = _merge(rivals)
    # The other fields of a cancel carry no meaning, so two cancels cannot contradict each other.
    contested = _NONE if effective.kind is _CANCEL else contested_fields(rivals)
    return effective, contested, rivals


def cancels_nothing(legs: Sequence[Leg]) -> bool:
    """Whether there are only cancels; a full side may have dropped what they cancel."""
    return len(legs) < FACTS_PER_SIDE and all(leg.kind is _CANCEL for leg in legs)


def _gap(legs: Sequence[Leg]) -> bool:
    """Whether a version is missing. A cancel of all versions does not count, nor what a full side may have dropped."""
    versions = {leg.version for leg in legs if leg.version != ALL_VERSIONS}
    lowest = min(versions if len(legs) >= FACTS_PER_SIDE else {1, *versions}, default=0)
    return bool(versions) and max(versions) - lowest + 1 > len(versions)


def _merge(rivals: Sequence[Leg]) -> Leg:
    """Several legs of one version and kind as one leg; a contested field is None."""
    first = rivals[0]
    changes: dict[str, Any] = {"hints": tuple(sorted({hint for rival in rivals for hint in rival.hints}))}
    contested = {field for _, field in contested_fields(rivals)}
    for field in CONTENT[first.source]:
        values = () if field in contested else distinct_values(rivals, field)
        changes[field] = values[0] if values else None
    if not isinstance(first, PnlSnapshot):  # the finest timestamp leaves the least tolerance
        changes["granularity"] = max(rival.granularity for rival in rivals if not isinstance(rival, PnlSnapshot))
    return msgspec.structs.replace(first, **changes)


def distinct_values(legs: Sequence[Leg], field: str) -> list[Any]:
    """The distinct values that these legs of one source have in a field, in no particular order."""
    values = [value for leg in legs if (value := getattr(leg, field)) is not None]
    if len(values) > 1 and (standard := STANDARD.get(field)):
        values = [standard(value) for value in values]
    return list(dict.fromkeys(values))


def contested_fields(rivals: Sequence[Leg]) -> Contested:
    """The fields in which these legs of one source have more than one value; every field if there are too many legs."""
    source, too_many = rivals[0].source, len(rivals) > RIVALS
    return frozenset(
        (source, field) for field in CONTENT[source] if too_many or len(distinct_values(rivals, field)) > 1
    )


def _traded_at_ns(legs: Sequence[Leg]) -> int | None:
    """The timestamp of the highest version that has one; of rivals the earliest."""
    sent = [(_rank(leg), leg.timestamp_ns) for leg in legs if not isinstance(leg, PnlSnapshot)]
    ranked = [(rank, timestamp_ns) for rank, timestamp_ns in sent if timestamp_ns is not None]
    highest = max((rank for rank, _ in ranked), default=None)
    return min((timestamp_ns for rank, timestamp_ns in ranked if rank == highest), default=None)
