"""The verdict on a schedule: what the oracle says of its topics and its database, and what only a simulation can ask.

    outcome, world -> findings, digest

The oracle is the torture's; it shares no code with what it judges. Besides: a table is its changelog, versions rise,
no end came that nobody caused. The digest is of what was decided, and of nothing that time or order gave.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator

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
    """Everything there is, when the world says that it is settled."""

    settled = True

    @property
    def _open(self) -> list[str]:
        return [] if self.settled else ["not settled"]


class Verdict:
    """What is wrong, and the digest of what was decided."""

    def __init__(self, outcome: Outcome, world: World) -> None:
        self._outcome, self._world = outcome, world
        self.history = self._read()
        self.findings = [
            *self._ends(),
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
            places = [(role, number) for role in names for number in range(world.partitions[role])]
            committed |= world.log.committed(group.name, places)
        acknowledged = {role: topics[role] for role in INPUTS}
        over_s = EPOCH_S + world.plan.day.records[-1].at_s + world.plan.day.grace_s
        database = read_database(world.bench.directory / "traderecon.db")
        history = SettledHistory(names, over_s, acknowledged, committed, database, topics)
        history.settled = self._outcome.settled
        history.poison = frozenset(
            (ACTIONS, entry.partition, entry.offset) for entry in topics[ACTIONS] if entry.value == SINK_POISON
        )
        return history

    def _ends(self) -> Iterator[Finding]:
        """WRONG: a worker ended, and nothing was to end it. LOST: what should be decided never is."""
        for end in self._outcome.unexpected:
            yield Finding(Defect.WRONG, NOWHERE, NOWHERE, f"a worker ended: {end}")
        if not self._outcome.settled:
            yield Finding(Defect.LOST, NOWHERE, NOWHERE, f"nothing is settled after {self._outcome.ended_s:.0f} s")
        sent = [record for record in self._world.plan.day.records if record.topic in INPUTS]
        if len(sent) != sum(len(self.history.topics[role]) for role in INPUTS):
            yield Finding(Defect.INPUT, NOWHERE, NOWHERE, "the log does not have what was sent")

    def _versions(self) -> Iterator[Finding]:
        """WRONG: on a partition of a topic a trade goes back to an earlier version it never told there."""
        seen: dict[tuple[str, int, str], int] = defaultdict(int)
        told: dict[tuple[str, int, str], set[int]] = defaultdict(set)
        for result in self.history.results:
            place = (result.role, result.entry.partition, result.trade_id)
            if result.version < seen[place] and result.version not in told[place]:
                text = f"{result.trade_id} has version {result.version} behind {seen[place]}"
                yield Finding(Defect.WRONG, result.entry.partition, result.entry.offset, text)
            seen[place] = max(seen[place], result.version)
            told[place].add(result.version)

    def _false_breaks(self) -> Iterator[Finding]:
        """WRONG: a trade was UNMATCHED at some time though both legs were sent within its grace.

        Only where no leg takes another back: what a cancel leaves alone may be a break.
        """
        day = self._world.plan.day
        sent: dict[str, dict[str, float]] = defaultdict(dict)
        cancelled = set()
        for record in day.records:
            row = row_of(record.topic, record.value) if record.topic in {EXECUTIONS, CONFIRMATIONS} else None
            if row is not None:
                sent[row["trade_id"]].setdefault(record.topic, record.at_s)
                if row.get("kind", "new").lower() == "cancel":
                    cancelled.add(row["trade_id"])
        for result in self.history.results:
            legs = sent[result.trade_id]
            both = len(legs) > 1 and abs(legs[EXECUTIONS] - legs[CONFIRMATIONS]) < day.grace_s
            if result.state == "UNMATCHED" and both and result.trade_id not in cancelled:
                text = f"{result.trade_id} was UNMATCHED, and both legs were sent within the grace"
                yield Finding(Defect.WRONG, result.entry.partition, result.entry.offset, text)

    def _tables(self) -> Iterator[Finding]:
        """STORE: a local store is not what its changelog says."""
        world = self._world
        for home in world.homes:
            for partition in sorted(home.store.partitions):
                stored = dict(home.store.of(partition).items())
                if not stored:
                    continue
                held = int(stored.get(b"\x00changelog", b"0"))
                records = [one for one in entries(world, CHANGELOG) if one.partition == partition and one.offset < held]
                said = folded(records)
                kept = {key: value for key, value in stored.items() if not key.startswith(LOCAL)}
                if said != kept and held >= world.log.earliest(CHANGELOG, partition):
                    keys = sorted(key for key in said.keys() | kept.keys() if said.get(key) != kept.get(key))
                    key = keys[0]
                    text = f"{home.directory.name} has {kept.get(key)!r} under {key!r}, the changelog {said.get(key)!r}"
                    yield Finding(Defect.STORE, partition, held, text)

    def _digest(self) -> str:
        database = self.history.database
        texts = {row["event_id"]: json.loads(row["result"]) for row in database.result_history}
        decided = [
            (
                row["trade_id"],
                row["version"],
                row["state"],
                row["reasons"],
                row["event_id"],
                texts[row["event_id"]]["checks"],
            )
            for row in database.results
        ]
        letters = [
            (row["source_topic"], row["source_partition"], row["source_offset"], row["code"], row["sha256"])
            for row in database.dead_letters
        ]
        claim = json.dumps([sorted(decided, key=str), sorted(letters)], sort_keys=True)
        return hashlib.sha256(claim.encode()).hexdigest()[:16]


def folded(records: list[Entry]) -> dict[bytes, bytes]:
    """What a changelog comes to: the last value of a key; of those that rise, the highest number."""
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
