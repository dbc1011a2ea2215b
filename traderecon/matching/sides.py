"""Sides: the leg that stands for each source, out of all its versions.

The highest version wins; at equal version cancel over amend over new. The same version and kind with other content
is a conflict: every field in which the rivals differ is contested, and proves nothing. Source: CONTRACT.md, Topics.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from traderecon.records import (
    NO_VALUE,
    Confirmation,
    Execution,
    Fact,
    Kind,
    Leg,
    PnlSnapshot,
    Source,
    identity,
)

AnyLeg = TypeVar("AnyLeg", Execution, Confirmation, PnlSnapshot)

Contested = frozenset[tuple[Source, str]]

_NONE: Contested = frozenset()
_CANCEL = Kind.CANCEL


class Sides(msgspec.Struct, frozen=True, gc=False):
    """Who stands for each source now.

    ``first_received_at_ns`` is when the first execution or confirmation arrived, ``paired_at_ns`` when the first leg of
    the other side did (0: none has); ``cancels_nothing`` says that all we have is a cancel, ``version_gap`` that a
    version below a standing one never came.
    """

    execution: Execution | None
    confirmation: Confirmation | None
    pnl: PnlSnapshot | None
    contested: Contested
    first_received_at_ns: int
    paired_at_ns: int
    cancels_nothing: bool
    version_gap: bool

    @property
    def event_time_ns(self) -> int | None:
        """When the trade happened: by the execution, else by the confirmation."""
        leg = self.execution or self.confirmation
        return leg.timestamp_ns if leg else None


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
    return Sides(
        execution,
        confirmation,
        pnl,
        _NONE,
        first_ns,
        paired_ns,
        (execution is None or confirmation is None) and (only is None or only.kind is _CANCEL),
        (execution is not None and execution.version > 1)
        or (confirmation is not None and confirmation.version > 1)
        or (pnl is not None and pnl.version > 1),
    )


def _sides_of_many(facts: Sequence[Fact]) -> Sides:
    """The same where a source has more than one fact: the right one has to be found."""
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
    execution, contested, gap = _standing(executions)
    confirmation, contested_there, gap_there = _standing(confirmations)
    pnl, contested_pnl, gap_pnl = _standing(snapshots)
    return Sides(
        execution,
        confirmation,
        pnl,
        contested | contested_there | contested_pnl,
        first_ns,
        paired_ns,
        not (executions and confirmations) and all(leg.kind is _CANCEL for leg in executions or confirmations),
        gap or gap_there or gap_pnl,
    )


def _standing(legs: list[AnyLeg]) -> tuple[AnyLeg | None, Contested, bool]:
    """The leg that stands, what is contested of it, and whether a version below it is missing."""
    if not legs:
        return None, _NONE, False
    if len(legs) == 1:
        return legs[0], _NONE, legs[0].version > 1
    highest = max((leg.version, leg.kind.rank) for leg in legs)
    rivals = [leg for leg in legs if (leg.version, leg.kind.rank) == highest]
    standing = min(rivals, key=identity)
    contested = _NONE if standing.kind is _CANCEL else differing(rivals)
    versions = {leg.version for leg in legs}
    if len(rivals) > 1:
        noticed = {hint for rival in rivals for hint in rival.hints}
        standing = msgspec.structs.replace(standing, hints=tuple(sorted(noticed)))
        if not isinstance(standing, PnlSnapshot):  # the finest spelling proves least: no hash decides a verdict
            finest = max(rival.granularity for rival in rivals if not isinstance(rival, PnlSnapshot))
            standing = msgspec.structs.replace(standing, granularity=finest)
    return standing, contested, max(versions) - min(1, *versions) + 1 > len(versions)


def differing(rivals: Sequence[Leg]) -> Contested:
    """The fields in which these legs of one source do not agree by value."""
    return frozenset(
        (rivals[0].source, field)
        for field in rivals[0].__struct_fields__
        if field not in NO_VALUE and any(getattr(rival, field) != getattr(rivals[0], field) for rival in rivals)
    )
