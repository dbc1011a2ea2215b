"""The verdict on a schedule: the oracle's findings on topics and database, and checks only a simulation can make.

    outcome, world -> findings, digest

The oracle is the torture's; it shares no code with the product. In addition: a table equals its changelog, versions
increase, and no worker ended without a fault. The digest covers the verdicts, and nothing that depends on time or
order.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from torture import pipeline_oracle
from torture.findings import Defect, Entry, Finding
from torture.pipeline_database import read_database
from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, row_of
from torture.pipeline_oracle import INPUTS, PipelineHistory

from simulation.day import ACTIONS, SINK_POISON
from simulation.loop import EPOCH_S
from simulation.world import CHANGELOG, Outcome, World

NOWHERE = -1
MONOTONIC = (b"\x00applied\x00", b"\x00last\x00", b"\x00written\x00", b"e", b"p", b"w")
LOCAL = (b"\x00changelog", b"\x00format")


class SettledHistory(PipelineHistory):
    """A history that is complete when the world says that it has settled."""

    settled = True

    @property
    def _open_work(self) -> list[str]:
        return [] if self.settled else ["not settled"]


class Verdict:
    """What is wrong, and the digest of the verdicts."""

    def __init__(self, outcome: Outcome, world: World) -> None:
        self._outcome, self._world = outcome, world
        self.history = self._read()
        self.findings = [
            *self._unexpected_ends(),
            *self.history.findings(),
            *self._versions(),
            *self._tables(),
            *self._false_breaks(),
        ]
        self.digest = self._digest()

    def _read(self) -> SettledHistory:
        world = self._world
        names = {name: name for name in world.topics if name in world.partitions}
        topics = {role: entries(world, role) for role in (*names, CHANGELOG)}
        topics[pipeline_oracle.CHANGELOG] = topics.pop(CHANGELOG)
        committed: dict[tuple[str, int], int] = {}
        for group in world.groups.values():
            tps = [(role, number) for role in names for number in range(world.partitions[role])]
            committed |= world.log.committed(group.name, tps)
        acknowledged = {role: topics[role] for role in INPUTS}
        graces_end_s = EPOCH_S + world.plan.day.records[-1].sent_at_s + world.plan.day.grace_s
        database = read_database(world.bench.directory / "traderecon.db")
        history = SettledHistory(names, graces_end_s, acknowledged, committed, database, topics)
        history.settled = self._outcome.settled
        history.poison = frozenset(
            (ACTIONS, entry.partition, entry.offset) for entry in topics[ACTIONS] if entry.value == SINK_POISON
        )
        return history

    def _unexpected_ends(self) -> Iterator[Finding]:
        """WRONG: a worker ended without a fault that explains it. LOST: the schedule never settled."""
        for end in self._outcome.unexpected:
            yield Finding(Defect.WRONG, NOWHERE, NOWHERE, f"a worker ended: {end}")
        if not self._outcome.settled:
            yield Finding(Defect.LOST, NOWHERE, NOWHERE, f"not settled after {self._outcome.ended_s:.0f} s")
        sent = [record for record in self._world.plan.day.records if record.topic in INPUTS]
        if len(sent) != sum(len(self.history.topics[role]) for role in INPUTS):
            yield Finding(Defect.INPUT, NOWHERE, NOWHERE, "the input topics do not hold all records that were sent")

    def _versions(self) -> Iterator[Finding]:
        """WRONG: a trade goes back to an earlier version that was not published on this partition before."""
        highest: dict[tuple[str, int, str], int] = defaultdict(int)
        published: dict[tuple[str, int, str], set[int]] = defaultdict(set)
        for result in self.history.results:
            stream = (result.role, result.entry.partition, result.trade_id)
            if result.version < highest[stream] and result.version not in published[stream]:
                text = f"{result.trade_id} has version {result.version} after {highest[stream]}"
                yield Finding(Defect.WRONG, result.entry.partition, result.entry.offset, text)
            highest[stream] = max(highest[stream], result.version)
            published[stream].add(result.version)

    def _false_breaks(self) -> Iterator[Finding]:
        """WRONG: a trade was UNMATCHED at some time although both legs were sent within its grace.

        Trades with a cancel are left out: the other leg may rightly be a break.
        """
        day = self._world.plan.day
        sent_at_s: dict[str, dict[str, float]] = defaultdict(dict)
        cancelled = set()
        for record in day.records:
            row = row_of(record.topic, record.value) if record.topic in {EXECUTIONS, CONFIRMATIONS} else None
            if row is not None:
                sent_at_s[row["trade_id"]].setdefault(record.topic, record.sent_at_s)
                if row.get("kind", "new").lower() == "cancel":
                    cancelled.add(row["trade_id"])
        for result in self.history.results:
            legs = sent_at_s[result.trade_id]
            both_in_time = len(legs) > 1 and abs(legs[EXECUTIONS] - legs[CONFIRMATIONS]) < day.grace_s
            if result.state == "UNMATCHED" and both_in_time and result.trade_id not in cancelled:
                text = f"{result.trade_id} was UNMATCHED, and both legs were sent within the grace"
                yield Finding(Defect.WRONG, result.entry.partition, result.entry.offset, text)

    def _tables(self) -> Iterator[Finding]:
        """STORE: a local store differs from its changelog."""
        world = self._world
        for home in world.homes:
            for partition in sorted(home.store.partitions):
                stored = dict(home.store.of(partition).items())
                if not stored:
                    continue
                applied = int(stored.get(b"\x00changelog", b"0"))
                records = [
                    record
                    for record in entries(world, CHANGELOG)
                    if record.partition == partition and record.offset < applied
                ]
                expected = compacted(records)
                actual = {key: value for key, value in stored.items() if not key.startswith(LOCAL)}
                if expected != actual and applied >= world.log.earliest(CHANGELOG, partition):
                    keys = sorted(
                        key for key in expected.keys() | actual.keys() if expected.get(key) != actual.get(key)
                    )
                    key = keys[0]
                    both = f"{actual.get(key)!r} under {key!r}, the changelog {expected.get(key)!r}"
                    text = f"{home.directory.name} has {both}"
                    yield Finding(Defect.STORE, partition, applied, text)

    def _digest(self) -> str:
        database = self.history.database
        results = {row["event_id"]: json.loads(row["result"]) for row in database.result_history}
        verdicts = [
            (
                row["trade_id"],
                row["version"],
                row["state"],
                row["reasons"],
                row["event_id"],
                results[row["event_id"]]["checks"],
            )
            for row in database.results
        ]
        dead_letters = [
            (row["source_topic"], row["source_partition"], _offset(row), row["code"], row["sha256"])
            for row in database.dead_letters
        ]
        content = json.dumps([sorted(verdicts, key=str), sorted(dead_letters)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def _offset(row: Mapping[str, Any]) -> int | None:
    """The offset of a rejected record; None on a topic to which matching writes, too, whenever it begins."""
    return None if str(row["source_topic"]).endswith("actions") else int(row["source_offset"])


def compacted(records: list[Entry]) -> dict[bytes, bytes]:
    """The rows of a changelog: the last value of each key; for monotonic rows the one with the highest number."""
    rows: dict[bytes, bytes] = {}
    for record in records:
        key = record.key or b""
        if record.value is None:
            rows.pop(key, None)
        elif not key.startswith(MONOTONIC) or number(record.value) >= number(rows.get(key, b"-1")):
            rows[key] = record.value
    return rows


def number(value: bytes) -> int:
    """The number a value begins with."""
    return int(value.partition(b" ")[0])


def entries(world: World, topic: str) -> list[Entry]:
    """Every record of a topic."""
    return [
        Entry(partition, record.offset, record.key, record.value)
        for partition in range(world.partitions[topic])
        for record in world.log.read(topic, partition, 0, 1_000_000)
    ]
