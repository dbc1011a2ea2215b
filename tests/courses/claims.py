"""What must hold of the results of a course, whatever happened to the worker.

at the end: each trade is what its rows prove, none is missing, none waits; a version has one verdict
on the way: a break is published when it is proved, not before, and not because of a silence that was held
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from silence_case import Published

from courses import truth
from courses.events import GRACE_S, LIMIT_S, Course, Profile, Return, Silence
from courses.lives import Ended
from courses.timeline import BEGIN_S, STEP_S, Arrived, Timeline
from traderecon.records import Hint, Source

LAG_S = 6
"""A result is there so long after it is due, with the batches of a worker that does not crash."""
AFTERWARDS_LAG_S = LAG_S * STEP_S
"""The same at the end, when time goes on in steps."""
KNOWN_S = 14
"""A first pause of this length is a silence, however irregular the feed."""

_TRUTHS = {
    Profile.FOUNDING: truth.by_trade_id,
    Profile.ORDERS: truth.by_order,
    Profile.BROKERS: truth.by_broker,
}


_MISSING: dict[tuple[str, ...], tuple[Source, ...]] = {
    ("MISSING_CONFIRMATION",): (Source.CONFIRMATIONS,),
    ("MISSING_EXECUTION",): (Source.EXECUTIONS,),
    ("QUANTITY_MISMATCH",): (Source.EXECUTIONS, Source.CONFIRMATIONS),
}
"""The sources whose silence would explain a break of a trade; of a group either, if quantities alone differ."""


class ByTrade(NamedTuple):
    """The arrivals of a trade, and its published results, in order."""

    arrived: list[Arrived]
    published: list[Published]


def truths(profile: Profile, arrived: Iterable[Arrived]) -> Mapping[str, truth.Truth]:
    """What these rows prove of each trade."""
    return _TRUTHS[profile]([(it.source.value, it.row) for it in arrived])


def every_trade_ends_as_its_rows_prove(course: Course, times: Timeline, ended: Ended) -> None:
    """No trade is missing, none has a result that nothing proves, none waits."""
    newest = {it.trade_id: it for it in sorted(ended.published, key=lambda it: it.version)}
    found = {
        trade_id: truth.Truth(it.state, it.reasons, dict(it.outcomes), Hint.KEY_AMBIGUOUS in it.hints)
        for trade_id, it in newest.items()
    }
    proved = truths(course.profile, times.arrived)
    assert found == {trade_id: it for trade_id, it in proved.items() if it.state != "PENDING"}
    assert ended.waiting == []


def a_version_has_one_verdict(ended: Ended) -> None:
    """Whatever was done again after a crash."""
    versions = defaultdict(set)
    for result in ended.timeless:
        versions[result.trade_id, result.version].add(result)
    assert [results for results in versions.values() if len(results) > 1] == []


def results_come_in_time(course: Course, times: Timeline, ended: Ended) -> None:
    """Each result is published when it is due, neither later nor earlier; a trade that is held, at its latest time."""
    if times.resets:
        return
    for trade in _by_trade(course, times, ended).values():
        _is_not_broken_early(course, trade)
        _is_decided_in_time(course, times, trade)
        _is_not_broken_by_a_silence(course, times, trade)


def _by_trade(course: Course, times: Timeline, ended: Ended) -> dict[str, ByTrade]:
    """The trades whose rows say which trade they are of, without cancels: a cancelled trade may wait again."""
    trades: dict[str, ByTrade] = defaultdict(lambda: ByTrade([], []))
    left_out: set[str] = set()
    for it in times.arrived:
        if "broker" not in it.row and course.profile is Profile.BROKERS:
            left_out |= {f"{it.row['trade_id']}|broker={broker}" for broker in "AB"}
            continue
        (trade_id,) = truths(course.profile, [it])
        trades[trade_id].arrived.append(it)
        if it.row.get("kind") == "cancel":
            left_out.add(trade_id)
    for result in ended.published:
        trades[result.trade_id].published.append(result)
    return {trade_id: trade for trade_id, trade in trades.items() if trade_id not in left_out}


def _grace_end_s(course: Course, arrived: Sequence[Arrived]) -> float | None:
    """When the grace of these rows ends: it begins with the first leg, of a group with its newest member."""
    legs = [it for it in arrived if it.source is not Source.PNL or course.profile is Profile.ORDERS]
    if not any(it.source is not Source.PNL for it in legs):
        return None
    first: dict[tuple[Source, str] | None, float] = {}
    for it in legs:
        first.setdefault((it.source, it.row["trade_id"]) if course.profile is Profile.ORDERS else None, it.at_s)
    return max(first.values()) + GRACE_S


def _is_not_broken_early(course: Course, trade: ByTrade) -> None:
    """No trade is UNMATCHED within its grace."""
    due_s = _grace_end_s(course, [it for it in trade.arrived if it.source is not Source.PNL][:1])
    for result in trade.published:
        assert result.state != "UNMATCHED" or (due_s is not None and result.at_s >= int(due_s)), result


def _is_decided_in_time(course: Course, times: Timeline, trade: ByTrade) -> None:
    """Wherever no row comes for a while, the newest result is what the rows until then prove."""
    for count, it in enumerate(trade.arrived, start=1):
        rows = trade.arrived[:count]
        ((_, proved),) = truths(course.profile, rows).items()
        grace_end_s = _grace_end_s(course, rows)
        if proved.state == "PENDING" or grace_end_s is None:
            continue
        due_s = it.at_s
        if proved.state == "UNMATCHED" or (course.profile is Profile.ORDERS and proved.state != "MATCHED"):
            due_s = max(due_s, grace_end_s)
            due_s = max(due_s, _held_until_s(course, proved, grace_end_s))
        due_s += LAG_S if due_s + LAG_S < times.end_s + BEGIN_S else AFTERWARDS_LAG_S
        if count < len(trade.arrived) and trade.arrived[count].at_s <= due_s + LAG_S:
            continue
        newest = [result for result in trade.published if result.at_s <= due_s]
        assert newest, (proved, due_s, trade)
        last = max(newest, key=lambda result: result.version)
        assert (last.state, last.reasons, dict(last.outcomes)) == proved[:3], (due_s, trade)


def _held_until_s(course: Course, proved: truth.Truth, grace_end_s: float) -> float:
    """Until when a break may be held at most that is due when its grace ends."""
    missing = _MISSING.get(proved.reasons, ())
    silences = [it for it in course.silences if it.source in missing and it.begin_s - 2 + BEGIN_S <= grace_end_s]
    latest_s = grace_end_s + LIMIT_S + GRACE_S
    if course.is_scheduled and Source.CONFIRMATIONS in missing:
        return latest_s  # when the feed ends, confirmations are silent, too
    if not silences:
        return grace_end_s
    if len(course.silences) > 1:
        return latest_s
    (silence,) = silences
    limit_s = silence.begin_s + BEGIN_S + LIMIT_S
    if grace_end_s < limit_s <= silence.end_s + BEGIN_S:
        return limit_s
    if silence.ends is Return.NEVER:
        return grace_end_s  # it was given up
    return min(latest_s, BEGIN_S + silence.backlog_end_s + GRACE_S)


def _is_not_broken_by_a_silence(course: Course, times: Timeline, trade: ByTrade) -> None:
    """A trade whose leg came within the limit was not broken because its source was silent."""
    for silence in course.silences:
        late = [it for it in trade.arrived if silence.concerns(it.source, it.row)]
        early = [it for it in trade.arrived if it.source not in (silence.source, Source.PNL)]
        if not late or not early or not _is_plain(course, silence):
            continue
        begin_s, end_s = silence.begin_s + BEGIN_S, silence.end_s + BEGIN_S
        first = min(it.at_s for it in trade.arrived if it.source is silence.source)
        alone_s = min(it.at_s for it in early)
        due_s = alone_s + GRACE_S
        came_in_time = end_s <= first <= min(end_s + GRACE_S, begin_s + LIMIT_S) - 2
        if came_in_time and alone_s < first and begin_s + KNOWN_S <= due_s:
            broken = [it for it in trade.published if it.state == "UNMATCHED"]
            assert broken == [], (silence, trade)


def _is_plain(course: Course, silence: Silence) -> bool:
    """Whether nothing else is silent, so that the counterpart speaks all the time."""
    return course.silences == (silence,)
