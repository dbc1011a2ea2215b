"""When each row of a course arrives, and the journal that intake writes of it.

    Course  ->  Arrived, ... (rows that came)  ->  Journal

A silent source's rows come when it speaks again, or never. A reset sets the log's time back; rows go on in their order.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from silence_case import Arrival, Journal
from tables_case import Row as Record

from courses.events import BROKERS, GRACE_S, LIMIT_S, Again, Course, Profile, Return, Row, Sent
from traderecon.intake import SourceSettings, decode
from traderecon.records import Fact, Leg, Origin, Source
from traderecon.sourcebook import sources_of

BEGIN_S = 200
"""The log's time at the start, in seconds: a reset sets it back, and not below zero."""
WARM_UP_S = 14
"""Before the first event: a source has a rhythm after eight pauses."""
AFTERWARDS_S = 30
"""So long the feed goes on after everything else."""
STEP_S = 7
"""At the end time goes on in steps."""


class Arrived(NamedTuple):
    """A row that came. ``real_s``: in seconds since the start; ``at_s``: by the log's time, which a reset sets back."""

    real_s: float
    at_s: float
    source: Source
    row: Row


class Timeline(NamedTuple):
    """The rows that came, in the order of the journal, and where the log's time was reset: when, by how much."""

    arrived: Sequence[Arrived]
    resets: Sequence[tuple[int, int]]
    end_s: int


def timeline(course: Course) -> Timeline:
    """Work out when each row of a course arrives."""
    sent: list[tuple[float, Source, Row]] = []
    resets: list[tuple[int, int]] = []
    now_s: float = WARM_UP_S if course.has_feed else 1
    for event in course.events:
        now_s += event.after_s
        if isinstance(event, Sent):
            sent.append((now_s, event.source, event.row))
        elif isinstance(event, Again):
            if sent:
                sent.append((now_s, *sent[event.number % len(sent)][1:]))
        else:
            now_s = int(now_s) + 1
            resets.append((now_s, event.back_s))
    speaks_again_s = [it.end_s for it in course.silences if it.ends is not Return.NEVER]
    begins_s = [it.begin_s + it.length_s for it in course.silences]
    end_s = int(max([now_s, *speaks_again_s, *begins_s])) + AFTERWARDS_S
    if course.has_feed:
        sent += _feed(end_s)
    came = [(when_s, source, row) for at_s, source, row in sent if (when_s := _arrives_s(course, at_s, source, row))]
    came.sort(key=lambda it: it[0])  # stable: rows sent at one time keep their order
    arrived = [Arrived(at_s, BEGIN_S + at_s - _set_back_s(resets, at_s), source, row) for at_s, source, row in came]
    return Timeline(arrived, resets, end_s)


def _feed(end_s: int) -> Iterator[tuple[float, Source, Row]]:
    """A trade a second, of the brokers in turn, that both sides send alike."""
    for number in range(end_s):
        row = {
            "trade_id": f"F{number}",
            "order_id": f"F{number}",
            "broker": BROKERS[number % len(BROKERS)],
            "ticker": "AAPL",
            "timestamp": "2025-07-26T10:01:23Z",
            "price": "190.50",
            "quantity": "100",
        }
        yield number + 0.1, Source.EXECUTIONS, row
        yield number + 0.4, Source.CONFIRMATIONS, row


def _arrives_s(course: Course, due_s: float, source: Source, row: Row) -> float | None:
    """When a row that is due at a second arrives; None if never."""
    at_s: float | None = due_s
    for silence in sorted(course.silences, key=lambda it: it.begin_s):
        if at_s is not None and silence.concerns(source, row):
            at_s = silence.arrives_s(at_s)
    return at_s


def _set_back_s(resets: Sequence[tuple[int, int]], real_s: float) -> int:
    return sum(back_s for at_s, back_s in resets if at_s <= real_s)


def settings_of(profile: Profile, source: Source) -> SourceSettings:
    """How intake reads a source in a profile."""
    return sources_of({}, profile.rules, [])[source]


def leg_of(profile: Profile, source: Source, row: Row) -> Leg:
    """The leg that intake reads out of a row."""
    fact = decode(source, json.dumps(dict(row)).encode(), Origin(source, 0, 0), settings_of(profile, source))
    assert isinstance(fact, Fact), fact
    return fact.leg


def journal_of(course: Course, times: Timeline) -> Journal:
    """The journal of a course, to a time at which every grace and every hold is over."""
    journal, latest_s, back_s = Journal(), 0, 0
    arrivals = [Arrival(it.at_s, leg_of(course.profile, it.source, it.row)) for it in times.arrived]
    spans = pairwise([(0, 0), *times.resets, (times.end_s, 0)])
    for epoch, ((begin_s, further_s), (stop_s, _)) in enumerate(spans):
        back_s += further_s
        first_s, until_s = (BEGIN_S + real_s - back_s for real_s in (begin_s, stop_s))
        if epoch:
            journal.reset(first_s, epoch)
        within = [it for it, row in zip(arrivals, times.arrived, strict=True) if begin_s <= row.real_s < stop_s]
        journal.write(within, until_s, first_s, epoch)
        latest_s = max(latest_s, until_s)
    for at_s in range(until_s, latest_s + 2 * GRACE_S + LIMIT_S + 4 * STEP_S, STEP_S):
        journal.write([], at_s + 1, at_s, epoch)
    _echo(course, journal)
    return journal


def _echo(course: Course, journal: Journal) -> None:
    """Write facts a second time, as intake does after a crash."""
    records = journal.records
    for echo in course.echoes:
        here = int(echo.share * len(records))
        begin = max(0, here - echo.back)
        again = [record for record in records[begin : min(here, begin + echo.length)] if record.key is not None]
        records[here:here] = again
    journal.records = [Record(offset, 0, record.key, record.value) for offset, record in enumerate(records)]
