"""A day: what producers send, and when; a function of its seed. It fixes all times, so no schedule changes a verdict.

    seed -> Day(records at their times, partitions per topic)

Small and hostile: amends, cancels, duplicates, odd keys, garbage, and sometimes a record on which intake fails.
"""

import random
from typing import NamedTuple

import msgspec
from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, PNL
from torture.simulated import GARBAGE

from traderecon.records import Source
from traderecon.simulator import PROFILES, messages

POISON = b'{"poison":1}'
"""The record on which intake fails, in the days that have one; it is no leg."""
SINK_POISON = b'{"about":"poison"}'
"""The record on which the sink fails, in the days that have one: an action without a meaning."""
GARBAGE_EVERY = 25
"""One record in this many is garbage."""
START_S = 1.0
ACTIONS = "actions"


class InputRecord(NamedTuple):
    """One record of an input topic, and when it is sent, in seconds of virtual time."""

    sent_at_s: float
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Day(NamedTuple):
    """The records in the order of their send times; ``grace_s`` is the grace of a trade.

    ``partitions``: of each input topic; ``internal_partitions``: of every other topic.
    """

    seed: int
    records: tuple[InputRecord, ...]
    partitions: dict[str, int]
    internal_partitions: int
    grace_s: int
    duration_s: float

    @property
    def has_poison(self) -> bool:
        """Whether the day has a record that intake fails on."""
        return any(record.value == POISON for record in self.records)


def draw_day(seed: int, *, trades: int | None = None, poison: bool | None = None) -> Day:
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
    duration_s, grace_s = chance.choice((1.0, 3.0, 6.0)), chance.choice((1, 3))
    day_messages = list(messages(seed, count, profile))
    positions = max(message.position for message in day_messages) + 1
    records = []
    for message in day_messages:
        topic = names[message.source]
        value: bytes | None = message.value
        if not chance.randrange(GARBAGE_EVERY):
            value = chance.choice(GARBAGE[:-1])
        key = message.key or (b"T" if value is None else None)
        sent_at_s = START_S + duration_s * message.position / positions + chance.random() * 0.2
        records.append(InputRecord(sent_at_s, topic, message.partition(partitions[topic]), key, value))
    if poison or (poison is None and not chance.randrange(10)):
        sent_at_s = START_S + chance.random() * duration_s
        records.append(InputRecord(sent_at_s, EXECUTIONS, 0, b"P", POISON))
        records.append(InputRecord(sent_at_s, ACTIONS, 0, b"P", SINK_POISON))
    # The log's timestamps are in milliseconds.
    in_order = sorted((record._replace(sent_at_s=round(record.sent_at_s, 3)) for record in records), key=_order)
    return Day(seed, tuple(in_order), partitions, chance.choice((1, 1, 2)), grace_s, duration_s)


def _order(record: InputRecord) -> tuple[float, str, int, bytes, bytes]:
    return record.sent_at_s, record.topic, record.partition, record.key or b"", record.value or b""
