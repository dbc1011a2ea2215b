"""Sides: the effective leg of each source, out of all its versions.

The highest version is effective; at equal version cancel ranks over amend over new. Several facts of that version and
kind are merged into one leg: per field no value means absent, one value is the value, two are contested and prove
nothing. Nothing is inherited from a lower version. Source: CONTRACT.md, Topics; DOMAIN.md, decisions.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

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

AnyLeg = TypeVar("AnyLeg", Execution, Confirmation, PnlSnapshot)

Contested = frozenset[tuple[Source, str]]

_NONE: Contested = frozenset()
_CANCEL = Kind.CANCEL


class Sides(msgspec.Struct, frozen=True, gc=False):
    """The effective leg of each source.

    ``first_received_at_ns`` is when the first execution or confirmation was received, ``paired_at_ns`` when the first
    leg of the other side was (0: not yet). ``cancels_nothing``: there are only cancels. ``version_gap``: a version
    below an effective one is missing. ``rivals`` are the legs that were merged into an effective leg.
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

    def effective(self, source: Source) -> tuple[Leg, ...]:
        """The legs that make up the effective leg of a source; empty if it sent none."""
        if rivals := tuple(leg for leg in self.rivals if leg.source is source):
            return rivals
        return tuple(
            leg for leg in (self.execution, self.confirmation, self.pnl) if leg is not None and leg.source is source
        )


def sides_of(facts: Sequence[Fact]) -> Sides:
    """The effective leg of each source, from the facts of one trade in any order."""
    # Fast path: nearly every trade has at most one fact per source.
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
    """``sides_of`` for a source with more than one fact."""
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
    execution, our_contested, our_rivals, our_gap = _effective_leg(executions)
    confirmation, their_contested, their_rivals, their_gap = _effective_leg(confirmations)
    pnl, pnl_contested, pnl_rivals, pnl_gap = _effective_leg(snapshots)
    event_time_ns = _traded_at_ns(executions)
    return Sides(
        execution,
        confirmation,
        pnl,
        our_contested | their_contested | pnl_contested,
        first_ns,
        paired_ns,
        not (executions and confirmations) and _cancels_nothing(executions or confirmations),
        our_gap or their_gap or pnl_gap,
        (*our_rivals, *their_rivals, *pnl_rivals),
        _traded_at_ns(confirmations) if event_time_ns is None else event_time_ns,
    )


def _effective_leg(legs: list[AnyLeg]) -> tuple[AnyLeg | None, Contested, tuple[AnyLeg, ...], bool]:
    """The effective leg, its contested fields, its rivals, and whether a version below it is missing."""
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
    effective = _merge(rivals)
    # The other fields of a cancel carry no meaning, so two cancels cannot contradict each other.
    contested = _NONE if effective.kind is _CANCEL else contested_fields(rivals)
    return effective, contested, rivals, gap


def _cancels_nothing(legs: Sequence[Leg]) -> bool:
    """Whether there are only cancels; a full side may have dropped what they cancel."""
    return len(legs) < FACTS_PER_SIDE and all(leg.kind is _CANCEL for leg in legs)


def _gap(legs: Sequence[Leg]) -> bool:
    """Whether a version is missing. A cancel of all versions does not count, nor what a full side may have dropped."""
    versions = {leg.version for leg in legs if leg.version != ALL_VERSIONS}
    lowest = min(versions if len(legs) >= FACTS_PER_SIDE else {1, *versions}, default=0)
    return bool(versions) and max(versions) - lowest + 1 > len(versions)


def _merge(rivals: Sequence[AnyLeg]) -> AnyLeg:
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


def _traded_at_ns(legs: Sequence[Execution] | Sequence[Confirmation]) -> int | None:
    """The timestamp of the highest version that has one; of rivals the earliest."""
    ranked = [((leg.version, leg.kind.rank), leg.timestamp_ns) for leg in legs if leg.timestamp_ns is not None]
    highest = max((rank for rank, _ in ranked), default=None)
    return min((timestamp_ns for rank, timestamp_ns in ranked if rank == highest), default=None)
