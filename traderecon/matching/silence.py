"""Silence: whether a source that should speak has stopped, and how long what waits for it is held.

    activity of the sources, watermark, terms  ->  a SourceState for each

A source is silent when it has paused for much longer than it usually does while its counterpart went on, or for too
long within its schedule. Without a schedule or a known rhythm, or if both have stopped, it is not: nothing says that it
should speak. All times are the log's, so a replay decides the same.

Source: docs/silence.md; DOMAIN.md, decisions (Silence).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from traderecon.matching.sides import Sides
from traderecon.matching.verdict import waits_for
from traderecon.records import Reason, Source, State, Verdict
from traderecon.records.activity import Activity, source_name
from traderecon.records.business_time import Calendar, business_s, cut_offs, is_open, opened_s
from traderecon.records.instants import NS_PER_S
from traderecon.records.words import Word

KNOWN_PAUSES = 8
"""A source has a rhythm after this many pauses."""
TOO_LONG = 3
"""A pause of this many times the usual bound is too long."""
FADE = 16
"""With each pause the bound falls by one part in this many, so that a long pause is forgotten."""
BACKLOG_NS = 10 * NS_PER_S
"""A leg is read from a backlog if it was received this long after the watermark, which follows within seconds."""

_COUNTERPARTS: Mapping[Source, tuple[Source, ...]] = {
    Source.EXECUTIONS: (Source.CONFIRMATIONS,),
    Source.CONFIRMATIONS: (Source.EXECUTIONS,),
    Source.PNL: (Source.EXECUTIONS, Source.CONFIRMATIONS),
}
_MISSING = frozenset({Reason.MISSING_CONFIRMATION, Reason.MISSING_EXECUTION, Reason.CANCEL_UNKNOWN_TRADE})


class SilenceTerms(NamedTuple):
    """``limit_ns``: a silence holds trades for at most this long; 0 holds none. No pause of ``floor_ns`` is too long.

    ``graces_ns``: how long a trade waits for each source; again, when that speaks again. ``schedules``: when a source
    should speak. ``cut_off``: the next cut-off after a time, past which no silence holds a trade.
    """

    limit_ns: int
    floor_ns: int
    graces_ns: Mapping[Source, int]
    schedules: Mapping[Source, Calendar] = MappingProxyType({})
    cut_off: Callable[[int], int | None] = cut_offs(None)

    def latest_ns(self, due_ns: int) -> int:
        """When a trade whose grace ends at ``due_ns`` is decided, whatever its source does."""
        return self._until_cut_off(due_ns, self.limit_ns + max(self.graces_ns.values()))

    def schedule(self, name: str) -> Calendar | None:
        """When a source should speak; None if that is not known."""
        return self.schedules.get(_topic(name)) if self.schedules else None

    def until_ns(self, since_ns: int) -> int:
        """How long a silence or a catch-up since then holds trades: to the limit, but not past a cut-off."""
        return self._until_cut_off(since_ns, self.limit_ns)

    def _until_cut_off(self, from_ns: int, at_most_ns: int) -> int:
        cut_off_ns = self.cut_off(from_ns)
        return from_ns + at_most_ns if cut_off_ns is None else min(from_ns + at_most_ns, cut_off_ns)

    def elapsed_ns(self, name: str, from_ns: int, to_ns: int) -> int:
        """How long a source has paused between two times: where it has a schedule, within that, in whole seconds."""
        schedule = self.schedule(name)
        if schedule is None or to_ns <= from_ns:
            return to_ns - from_ns
        return business_s(schedule, from_ns // NS_PER_S, to_ns // NS_PER_S) * NS_PER_S

    def content(self) -> Mapping[str, int]:
        """What an audited change of rules says about them, in seconds."""
        return {"limit_seconds": self.limit_ns // NS_PER_S, "floor_seconds": self.floor_ns // NS_PER_S}


class SourceState(Word):
    """What a source means for a trade that waits for it when its grace ends."""

    SPEAKING = "speaking"
    """The trade is decided."""
    SILENT = "silent"
    """The trade is held."""
    CATCHING_UP = "catching_up"
    """It speaks again. The trade is held for a fresh grace, from the last leg that a held trade was waiting for."""
    GIVEN_UP = "given_up"
    """It has been silent for longer than the limit: the trade is decided."""

    @property
    def holds(self) -> bool:
        """Whether the trade is held."""
        return self in _HOLDING

    @property
    def silent(self) -> bool:
        """Whether the source is silent."""
        return self in _SILENT


_HOLDING = frozenset({SourceState.SILENT, SourceState.CATCHING_UP})
_SILENT = frozenset({SourceState.SILENT, SourceState.GIVEN_UP})


def hear(name: str, activity: Activity | None, at_ns: int, watermark_ns: int, terms: SilenceTerms) -> Activity:
    """The activity of a source after a leg received at ``at_ns``; an earlier or equal time changes nothing.

    A pause that is too long, be it before the rhythm is known, raises the bound to half of the longest usual one at
    most, or a few of them would hide the next silence; a slower rhythm is learnt all the same. A leg far ahead of the
    watermark is read from a backlog, in leaps that are no pauses.

    >>> hear("executions", Activity(spoke_ns=100, pause_ns=16, pauses=8), 110, 105, SilenceTerms(900, 1, {}))
    Activity(spoke_ns=110, pause_ns=15, pauses=8, resumed_ns=0, late_ns=0)
    >>> hear("executions", Activity(spoke_ns=100, pause_ns=10, pauses=8), 1_100, 1_000, SilenceTerms(900, 50, {}))
    Activity(spoke_ns=1100, pause_ns=25, pauses=8, resumed_ns=1100, late_ns=0)
    """
    if activity is None:
        return Activity(at_ns)
    if at_ns <= activity.spoke_ns:
        return activity
    pause_ns, longest_ns = terms.elapsed_ns(name, activity.spoke_ns, at_ns), _longest_ns(activity, terms.floor_ns)
    resumed_ns = activity.resumed_ns
    if pause_ns > longest_ns:
        pause_ns = max(activity.pause_ns, longest_ns // 2)
        if activity.pauses >= KNOWN_PAUSES or is_scheduled(name, terms):
            resumed_ns = at_ns
    activity = activity._replace(spoke_ns=at_ns, resumed_ns=resumed_ns)
    if at_ns > watermark_ns + BACKLOG_NS:
        return activity
    bound_ns = max(pause_ns, activity.pause_ns - activity.pause_ns // FADE)
    return activity._replace(pause_ns=bound_ns, pauses=min(activity.pauses + 1, KNOWN_PAUSES))


def restarted(activity: Activity, at_ns: int) -> Activity:
    """The activity after the log's time was reset: the source counts as heard then, and what is held has a fresh grace.

    >>> restarted(Activity(spoke_ns=100, pause_ns=16, pauses=8, late_ns=90), 50)
    Activity(spoke_ns=50, pause_ns=16, pauses=8, resumed_ns=50, late_ns=0)
    """
    return activity._replace(spoke_ns=at_ns, resumed_ns=at_ns, late_ns=0)


def longest_pause_ns(activity: Activity, floor_ns: int) -> int | None:
    """The longest pause that is usual for a source; None if its rhythm is not known yet."""
    return _longest_ns(activity, floor_ns) if activity.pauses >= KNOWN_PAUSES else None


def _longest_ns(activity: Activity, floor_ns: int) -> int:
    return max(floor_ns, TOO_LONG * activity.pause_ns)


def silent_since_ns(name: str, activities: Mapping[str, Activity], now_ns: int, terms: SilenceTerms) -> int:
    """Since when a silent source should have spoken.

    Since its last leg; or since its schedule began, or without one its counterpart began again, if that was later.
    """
    schedule = terms.schedule(name)
    began_s = None if schedule is None else opened_s(schedule, now_ns // NS_PER_S)
    began_ns = 0 if began_s is None else began_s * NS_PER_S
    counterparts = [] if is_scheduled(name, terms) else _counterparts(name, activities)
    return max([activities[name].spoke_ns, began_ns, *(other.resumed_ns for other in counterparts)])


def states_of(activities: Mapping[str, Activity], now_ns: int, terms: SilenceTerms) -> Mapping[str, SourceState]:
    """The state of each source at ``now_ns``, the watermark; one that a later version knows has none."""
    known = [name for name in activities if name.partition("/")[0] in _COUNTERPARTS]
    return {name: _state_of(name, activities, now_ns, terms) for name in known}


def awaited(sides: Sides, verdict: Verdict) -> Source | None:
    """The source whose silence explains a break of a trade whose grace is over; None if it cannot explain all of it.

    A break that the legs themselves prove is never held: a snapshot may be silent, the prices differ all the same.
    """
    if verdict.state is State.UNMATCHED and _MISSING.issuperset(verdict.reasons):
        return Source.EXECUTIONS if sides.execution is None else Source.CONFIRMATIONS
    if sides.grouped and verdict.reasons == (Reason.QUANTITY_MISMATCH,):
        return waits_for(sides)
    return Source.PNL if verdict.reasons == (Reason.MISSING_PNL,) else None


def names_of(source: Source, sides: Sides) -> tuple[str, ...]:
    """The names of the source that a trade waits for: its topic, and the broker in it if a leg names the broker."""
    leg = sides.execution or sides.confirmation
    if source is Source.PNL or leg is None or leg.broker is None:
        return (source_name(source),)
    return source_name(source), source_name(source, leg.broker)


def is_scheduled(name: str, terms: SilenceTerms) -> bool:
    """Whether the schedule alone says when a source should speak; a broker needs its counterpart for that."""
    return "/" not in name and terms.schedule(name) is not None


def should_speak(name: str, activities: Mapping[str, Activity], now_ns: int, terms: SilenceTerms) -> bool:
    """Whether it is in the schedule of a source, or its counterpart has spoken within its own usual pause."""
    others, floor_ns, schedule = _counterparts(name, activities), terms.floor_ns, terms.schedule(name)
    if schedule is not None and is_scheduled(name, terms) and is_open(schedule, now_ns // NS_PER_S):
        return True
    return any(now_ns <= other.spoke_ns + (longest_pause_ns(other, floor_ns) or floor_ns) for other in others)


def _topic(name: str) -> Source:
    return Source(name.partition("/")[0])


def _counterparts(name: str, activities: Mapping[str, Activity]) -> list[Activity]:
    _, slash, broker = name.partition("/")
    names = [f"{other}{slash}{broker}" for other in _COUNTERPARTS[_topic(name)]]
    return [activities[other] for other in names if other in activities]


def _state_of(name: str, activities: Mapping[str, Activity], now_ns: int, terms: SilenceTerms) -> SourceState:
    activity = activities[name]
    if _has_stopped(name, activities, now_ns, terms):
        until_ns = terms.until_ns(silent_since_ns(name, activities, now_ns, terms))
        return SourceState.SILENT if now_ns < until_ns else SourceState.GIVEN_UP
    if activity.resumed_ns:
        fresh_ns = max(activity.resumed_ns, activity.late_ns) + terms.graces_ns[_topic(name)]
        if now_ns < fresh_ns and now_ns < terms.until_ns(activity.resumed_ns):
            return SourceState.CATCHING_UP
    return SourceState.SPEAKING


def _has_stopped(name: str, activities: Mapping[str, Activity], now_ns: int, terms: SilenceTerms) -> bool:
    """Whether a source that should speak has paused for longer than is usual for it."""
    activity = activities[name]
    longest_ns = longest_pause_ns(activity, terms.floor_ns)
    if is_scheduled(name, terms):
        longest_ns, until_ns = longest_ns or terms.floor_ns, now_ns
    else:
        until_ns = min(now_ns, max([other.spoke_ns for other in _counterparts(name, activities)], default=0))
    if longest_ns is None or until_ns <= activity.spoke_ns + longest_ns:
        return False
    return terms.schedule(name) is None or terms.elapsed_ns(name, activity.spoke_ns, until_ns) > longest_ns
