"""The plan: everything that goes wrong in one schedule, drawn from its seed before it begins.

    seed -> Plan(day, conditions, faults)

A fault is an end at the n-th pass of a point, a stop, a wipe, a refusal, an outage, a rebalance, a compaction, a clock
that is set.
"""

import random
from enum import StrEnum
from typing import NamedTuple

from simulation.broker import Conditions
from simulation.day import Day, drawn
from traderecon.transport.failpoints import FAILPOINTS, Failpoint

SHARED = 8
"""So many schedules in a row have one day: whatever goes wrong, they come to the same."""

SELDOM = {
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
"""How often a point is passed on a usual day, where that is not often."""
OFTEN = 50


class Crash(NamedTuple):
    """A worker ends at the n-th pass of a point, counted over all workers; perhaps its disk, or the database, too."""

    point: str
    nth: int
    wipe: bool = False
    database: bool = False


class Kind(StrEnum):
    """What happens at a time of its own."""

    STOP = "stop"
    LEAVE = "leave"
    REFUSE = "refuse"
    AWAY = "away"
    REBALANCE = "rebalance"
    COMPACT = "compact"
    WIPE = "wipe"
    CUT = "cut"
    """See ``Surgery``; never drawn with the others, for it may be refused."""
    FORGET = "forget"
    """Every local store is lost, and the changelog: its topic was deleted, or the one broker that had it replaced."""
    CLOCK = "clock"
    """The log's clock is an hour ahead for a while."""


class Surgery(NamedTuple):
    """A log cut and filled again: the last ``cut`` share of a partition goes, ``refill`` copies of records come.

    ``held`` are roles that read nothing for ``hold_s`` before, so that they lag. ``alive``: the workers go on
    meanwhile; else they have died, and start on the log as it is then. ``compacted``: a compaction is run behind it.
    """

    topic: str
    partition: int
    cut: float
    refill: int
    held: tuple[str, ...] = ()
    hold_s: float = 0.0
    alive: bool = False
    compacted: bool = False


class Fault(NamedTuple):
    """One of them; ``slot`` is the worker it happens to, ``for_s`` how long it lasts."""

    at_s: float
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


def planned(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"plan {seed}")
    day = drawn(seed // SHARED)
    workers = chance.choice((1, 2, 2))
    ends_s = 1.0 + day.lasts_s + 3.0
    rough = chance.random()
    conditions = Conditions(
        latency_s=chance.choice(((0.001, 0.01), (0.001, 0.1), (0.01, 0.3))),
        slow=chance.choice((0.0, 0.0, 0.02)) * rough,
        unheard=chance.choice((0.0, 0.05, 0.2)) * rough,
        landed_late=chance.choice((0.0, 0.5)),
        most_fetched=chance.choice((2, 8, 50)),
        cut=chance.choice((0.0, 0.3)),
    )
    crashes = tuple(_crash(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))))
    faults = sorted(_fault(chance, workers, ends_s) for _ in range(chance.choice((0, 0, 1, 2, 3, 4))))
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
    nth = chance.randint(1, SELDOM.get(point, OFTEN))
    return Crash(point, nth, wipe=chance.random() < 0.25, database=chance.random() < 0.05)


def _fault(chance: random.Random, workers: int, ends_s: float) -> Fault:
    kind = chance.choice([*(kind for kind in Kind if kind is not Kind.CUT), Kind.STOP])
    for_s = round(chance.uniform(0.2, 7.0), 3) if kind in {Kind.STOP, Kind.AWAY, Kind.CLOCK} else 0.0
    return Fault(round(chance.uniform(0.5, ends_s), 3), kind, chance.randrange(workers), for_s)


def small() -> Plan:
    """A small day on which every point is passed: poison, a worker that leaves and comes back, a disk that is lost."""
    day = drawn(3, trades=2, poisoned=True)
    faults = (
        Fault(2.0, Kind.REBALANCE),
        Fault(12.5, Kind.LEAVE),
        Fault(16.0, Kind.WIPE),
    )
    return Plan(-1, day._replace(lasts_s=2.0, ours=1), Conditions(most_fetched=6), faults=faults, progress_s=2.5)
