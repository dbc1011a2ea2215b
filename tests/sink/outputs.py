"""The output topics of matching, made from real legs, as a log; and the rows of a database for comparison.

legs of a trade, in order of arrival -> results -> Outputs({(topic, partition): records})
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from zlib import crc32

import msgspec
from legs import SECOND_NS, booked, judgement_of, ours, theirs
from msgspec.structs import replace
from sqlalchemy import Engine, select

from traderecon.matching import judge_facts, result_of, sides_of, to_last_published
from traderecon.matching.assess import assess
from traderecon.records import Fact, Kind, LastPublished, Leg, Origin, Result, State
from traderecon.records.checkpoint import TopicPartition
from traderecon.records.instants import FOREVER_NS, NS_PER_MS
from traderecon.records.numbers import canonical
from traderecon.records.result_message import encode_result
from traderecon.rules import FOUNDING
from traderecon.sink.schema import metadata
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport import MicroBatch, Record
from traderecon.transport.log import Record as LogRecord

PARTITIONS = 2
TOPICS = topics()
START_MS = SECOND_NS // NS_PER_MS
SEED = 11


def canonical_leg(leg: Leg) -> Leg:
    """The leg as after decoding: amounts in canonical form."""
    amounts = {name: getattr(leg, name) for name in leg.__struct_fields__}
    return replace(leg, **{name: canonical(amount) for name, amount in amounts.items() if isinstance(amount, Decimal)})


SENT: tuple[Leg, ...] = (
    ours(),
    theirs(),
    theirs(price="191"),
    theirs(price="190.50", version=2, kind=Kind.AMEND),
    ours(price="191", version=2, kind=Kind.AMEND),
    ours(quantity="101", version=3, kind=Kind.AMEND),
    theirs(version=4, kind=Kind.CANCEL),
    ours(version=4, kind=Kind.CANCEL),
    booked(),
)
LEGS = tuple(canonical_leg(leg) for leg in SENT)
"""Depending on their order they match, break, are resolved, break again and are cancelled."""


def results_of(trade_id: str, legs: Iterable[Leg]) -> list[Result]:
    """The results published for a trade whose legs arrive one after the other, with all graces over."""
    facts: list[Fact] = []
    published: list[Result] = []
    before: LastPublished | None = None
    for offset, leg in enumerate(legs):
        received_at_ns = SECOND_NS + offset * NS_PER_MS
        facts.append(Fact(msgspec.structs.replace(leg, trade_id=trade_id), Origin("in", 0, offset, received_at_ns)))
        verdict = judge_facts(facts, FOREVER_NS, FOUNDING)
        now = judgement_of(tuple(facts), verdict, assess(sides_of(facts), verdict, FOUNDING))
        if now.verdict.state is not State.PENDING:
            published.append(result_of(now, FOUNDING.stamp(), before))
            before = to_last_published(published[-1])
    return published


def encoded_dead_letter(offset: int, text: str = "not JSON", *, topic: str = "executions") -> bytes:
    """A dead letter."""
    return msgspec.json.encode(
        {
            "code": "MALFORMED_JSON",
            "text": text,
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "received_at": None,
            "sha256": "0" * 64,
            "size": 3,
            "key": None,
            "raw": "e30K",
            "truncated": False,
        }
    )


def encoded_status(partition: int, pending: int) -> bytes:
    """A partition status."""
    return msgspec.json.encode(
        {
            "partition": partition,
            "watermark": "2025-07-26T10:01:23Z",
            "pending": {"confirmation": pending, "execution": 0, "pnl": 0},
            "oldest": [{"trade_id": "T1", "waiting_for": "confirmation", "due": "2025-07-26T10:02:23Z"}][:pending],
        }
    )


class Outputs:
    """The output topics as a log with gaps in its offsets."""

    def __init__(self, seed: int = SEED) -> None:
        self.partitions: dict[TopicPartition, list[LogRecord]] = {}
        self._rng = random.Random(seed)
        self._clock_ms = START_MS

    def publish(self, result: Result, before: Result | None = None) -> None:
        """Append a result to its own topic, and to the previous topic of its trade."""
        topics_of_result = {own_topic(result), *([] if before is None else [own_topic(before)])}
        for topic in sorted(topics_of_result):
            self.append(
                topic, crc32(result.trade_id.encode()) % PARTITIONS, result.trade_id.encode(), encode_result(result)
            )

    def publish_trade(self, trade_id: str, legs: Iterable[Leg], *, again: bool = False) -> None:
        """Publish every result of a trade; ``again``: the last two are repeated."""
        published = results_of(trade_id, legs)
        pairs = [*zip(published, [None, *published], strict=False)]
        for result, before in [*pairs, *(pairs[-2:] if again else [])]:
            self.publish(result, before)

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """Append one record."""
        records = self.partitions.setdefault((topic, partition), [])
        offset = records[-1].offset + 1 if records else 0
        self._clock_ms += 1
        gap = self._rng.random() < 0.1
        records.append(LogRecord(offset + gap, self._clock_ms, key, value, ()))

    def publish_others(self, count: int) -> None:
        """Publish dead letters, some of them twice, and partition statuses."""
        for number in range(count):
            for _ in range(self._rng.choice((1, 1, 2))):
                self.append(
                    TOPICS.dead_letters, number % PARTITIONS, None, encoded_dead_letter(number, f"not JSON, {number}")
                )
            partition = number % PARTITIONS
            self.append(TOPICS.standings, partition, b"%d" % partition, encoded_status(partition, number % 2))

    def batch(self, tp: TopicPartition, first: int, count: int) -> MicroBatch:
        """``count`` records of a partition, from the index ``first`` on."""
        records: Sequence[Record] = self.partitions[tp][first : first + count]
        return MicroBatch(*tp, records)

    def write_to(self, store: Store, batch_records: int = 1_000) -> None:
        """Write everything to a store, topic by topic."""
        for tp in self.partitions:
            for first in range(0, len(self.partitions[tp]), batch_records):
                store.take(self.batch(tp, first, batch_records))

    @property
    def next_offsets(self) -> dict[TopicPartition, int]:
        """The next offset of every partition."""
        return {tp: records[-1].offset + 1 for tp, records in self.partitions.items()}


def own_topic(result: Result) -> str:
    """The topic a result counts on."""
    return TOPICS.mismatch if result.verdict.state.is_break else TOPICS.reconciled


def simulated_outputs(trades: int, seed: int = SEED) -> Outputs:
    """The outputs of simulated trades; one in three has several results, the others match at once."""
    rng, outputs = random.Random(seed), Outputs(seed)
    for number in range(trades):
        legs = rng.sample(LEGS, rng.randrange(2, 7)) if rng.random() < 0.3 else LEGS[:2]
        outputs.publish_trade(f"T-{number}", legs, again=rng.random() < 0.05)
    outputs.publish_others(trades // 20)
    return outputs


def rows(engine: Engine) -> Mapping[str, list[tuple[Any, ...]]]:
    """All rows of the database, without the ids it assigned."""
    with engine.connect() as connection:
        return {
            table.name: sorted(
                map(tuple, connection.execute(select(*(c for c in table.columns if c.name != "id")))), key=repr
            )
            for table in metadata.sorted_tables
        }
