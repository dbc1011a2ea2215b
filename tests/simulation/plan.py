"""The plan: every fault of one schedule, drawn from its seed before the schedule starts.

    seed -> Plan(day, conditions, faults)

A fault is a crash at the n-th hit of a failpoint, a frozen worker, a wiped disk, a refused write, an outage, a
rebalance, a compaction, or a wrong clock.
"""

import random
from enum import StrEnum
from typing import NamedTuple

from simulation.broker import Conditions
from simulation.day import Day, draw_day
from simulation.loop import EPOCH_S
from traderecon.intake import SettingsBySource
from traderecon.rules import FOUNDING, Rules
from traderecon.transport.failpoints import FAILPOINTS, Failpoint

SCHEDULES_PER_DAY = 8
"""This many consecutive schedules share a day, and must reach the same verdicts whatever the faults."""

RARE_HITS = {
    Failpoint.OPENING: 6,
    Failpoint.OPENED: 6,
    Failpoint.RECOVERED: 6,
    Failpoint.REVOKING: 12,
    Failpoint.REVOKED: 12,
    Failpoint.STOPPING: 3,
    Failpoint.STOPPED: 3,
    Failpoint.FAILURE_COUNTED: 2,
    Failpoint.RECOVERING: 8,
}
"""How often a failpoint is hit on a usual day, for those that are hit rarely."""
COMMON_HITS = 50


class Crash(NamedTuple):
    """A worker dies at the n-th hit of a failpoint, counted over all workers; perhaps its disk or the database too."""

    point: str
    nth: int
    wipe: bool = False
    database: bool = False


class Kind(StrEnum):
    """A fault that is injected at a given time."""

    FREEZE = "stop"
    LEAVE = "leave"
    REFUSE = "refuse"
    OUTAGE = "away"
    REBALANCE = "rebalance"
    COMPACT = "compact"
    WIPE = "wipe"
    CUT = "cut"
    """See ``Surgery``; never drawn with the others, because the workers may refuse to continue after it."""
    LOSE_STATE = "forget"
    """Every local store and the changelog are lost: the topic was deleted, or the only broker with it was replaced."""
    CLOCK = "clock"
    """The broker's clock is an hour ahead for a while."""


class Surgery(NamedTuple):
    """Cut a log and fill it again: the last ``cut`` share of a partition is removed, ``refill`` records are copied in.

    ``paused_roles`` read nothing for ``pause_s`` before, so that they lag. ``workers_alive``: the workers keep running
    meanwhile; otherwise they die first and start on the changed log. ``compacted``: a compaction runs afterwards.
    """

    topic: str
    partition: int
    cut: float
    refill: int
    paused_roles: tuple[str, ...] = ()
    pause_s: float = 0.0
    workers_alive: bool = False
    compacted: bool = False


class Fault(NamedTuple):
    """One fault; ``slot`` is the worker it hits, ``for_s`` how long it lasts."""

    inject_at_s: float
    kind: Kind
    slot: int = 0
    for_s: float = 0.0


class Plan(NamedTuple):
    """A schedule."""

    seed: int
    day: Day
    conditions: Conditions
    workers: int = 1
    crashes: tuple[Crash, ...] = ()
    faults: tuple[Fault, ...] = ()
    commit_s: float = 0.5
    progress_s: float = 2.0
    database_s: tuple[float, float] = (0.001, 0.01)
    surgery: Surgery | None = None
    rules: Rules = FOUNDING
    """With the grace of the day."""
    sources: SettingsBySource | None = None
    """None: all standard."""
    epoch_s: int = EPOCH_S


def draw_plan(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"plan {seed}")
    day = draw_day(seed // SCHEDULES_PER_DAY)
    workers = chance.choice((1, 2, 2))
    last_fault_s = 1.0 + day.duration_s + 3.0
    severity = chance.random()
    conditions = Conditions(
        latency_s=chance.choice(((0.001, 0.01), (0.001, 0.1), (0.01, 0.3))),
        slow=chance.choice((0.0, 0.0, 0.02)) * severity,
        ack_lost=chance.choice((0.0, 0.05, 0.2)) * severity,
        arrives_late=chance.choice((0.0, 0.5)),
        max_fetch=chance.choice((2, 8, 50)),
        split=chance.choice((0.0, 0.3)),
    )
    crashes = tuple(_crash(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))))
    faults = sorted(_fault(chance, workers, last_fault_s) for _ in range(chance.choice((0, 0, 1, 2, 3, 4))))
    return Plan(
        seed,
        day,
        conditions,
        workers,
        crashes,
        tuple(faults),
        commit_s=chance.choice((0.3, 0.5, 2.0)),
        progress_s=chance.choice((1.5, 2.0, 3.0)),
        database_s=chance.choice(((0.001, 0.01), (0.001, 0.3))),
    )


def _crash(chance: random.Random) -> Crash:
    point = chance.choice(FAILPOINTS)
    nth = chance.randint(1, RARE_HITS.get(point, COMMON_HITS))
    return Crash(point, nth, wipe=chance.random() < 0.25, database=chance.random() < 0.05)


def _fault(chance: random.Random, workers: int, last_fault_s: float) -> Fault:
    kind = chance.choice([*(kind for kind in Kind if kind is not Kind.CUT), Kind.FREEZE])
    for_s = round(chance.uniform(0.2, 7.0), 3) if kind in {Kind.FREEZE, Kind.OUTAGE, Kind.CLOCK} else 0.0
    return Fault(round(chance.uniform(0.5, last_fault_s), 3), kind, chance.randrange(workers), for_s)


def small_plan() -> Plan:
    """A small day that hits every failpoint: poison, a worker that leaves and returns, a disk that is lost."""
    day = draw_day(3, trades=2, poison=True)
    faults = (
        Fault(2.0, Kind.REBALANCE),
        Fault(12.5, Kind.LEAVE),
        Fault(16.0, Kind.WIPE),
    )
    return Plan(
        -1, day._replace(duration_s=2.0, internal_partitions=1), Conditions(max_fetch=6), faults=faults, progress_s=2.5
    )
