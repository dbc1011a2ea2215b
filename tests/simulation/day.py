"""A day: what producers send, and when; a function of its seed. Time is part of it, so no schedule changes a verdict.

    seed -> Day(records at their times, partitions per topic)

Small and hostile: amends, cancels, duplicates, odd keys, garbage, now and then a record on which our code fails.
"""

import random
from typing import NamedTuple

import msgspec
from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, PNL
from torture.simulated import GARBAGE

from traderecon.records import Source
from traderecon.simulator import PROFILES, messages

POISON = b'{"poison":1}'
"""No leg, and the record on which intake fails where a day has one."""
SINK_POISON = b'{"about":"poison"}'
"""An action that is nobody's, and the record on which the sink fails where a day has one."""
EVERY = 25
"""One record in so many is garbage."""
BEGUN_S = 1.0
ACTIONS = "actions"


class Sent(NamedTuple):
    """One record, and when it is sent, in seconds of virtual time."""

    at_s: float
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Day(NamedTuple):
    """The records in the order of their times; ``grace_s`` is how long a trade waits.

    ``partitions`` of the inputs; ``ours``: of every other topic.
    """

    seed: int
    records: tuple[Sent, ...]
    partitions: dict[str, int]
    ours: int
    grace_s: int
    lasts_s: float

    @property
    def poisoned(self) -> bool:
        """Whether there is a record our code fails on."""
        return any(record.value == POISON for record in self.records)


def drawn(seed: int, *, trades: int | None = None, poisoned: bool | None = None) -> Day:
    """The day of a seed."""
    chance = random.Random(f"day {seed}")
    count = trades or chance.randint(2, 9)
    profile = msgspec.structs.replace(PROFILES["hostile"], delay_slots=chance.choice((2, 6, 12)))
    partitions = {
        EXECUTIONS: chance.choice((1, 2)),
        CONFIRMATIONS: chance.choice((1, 2)),
        PNL: 1,
    }
    names = {Source.EXECUTIONS: EXECUTIONS, Source.CONFIRMATIONS: CONFIRMATIONS, Source.PNL: PNL}
    lasts_s, grace_s = chance.choice((1.0, 3.0, 6.0)), chance.choice((1, 3))
    sent = list(messages(seed, count, profile))
    last = max(each.position for each in sent) + 1
    records = []
    for each in sent:
        topic = names[each.source]
        value: bytes | None = each.value
        if not chance.randrange(EVERY):
            value = chance.choice(GARBAGE[:-1])
        key = each.key or (b"T" if value is None else None)
        at_s = BEGUN_S + lasts_s * each.position / last + chance.random() * 0.2
        records.append(Sent(at_s, topic, each.partition(partitions[topic]), key, value))
    if poisoned or (poisoned is None and not chance.randrange(10)):
        at_s = BEGUN_S + chance.random() * lasts_s
        records.append(Sent(at_s, EXECUTIONS, 0, b"P", POISON))
        records.append(Sent(at_s, ACTIONS, 0, b"P", SINK_POISON))
    # In the log's time a millisecond is the least.
    ordered = sorted((record._replace(at_s=round(record.at_s, 3)) for record in records), key=_known)
    return Day(seed, tuple(ordered), partitions, chance.choice((1, 1, 2)), grace_s, lasts_s)


def _known(record: Sent) -> tuple[float, str, int, bytes, bytes]:
    return record.at_s, record.topic, record.partition, record.key or b"", record.value or b""
