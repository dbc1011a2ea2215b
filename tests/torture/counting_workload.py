"""The counting app as a workload: P-in -> count -> P-out, table ``counts``; on our transport, and on plain Faust."""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar

from broker.kafka_server import Kafka

from torture.counting_feed import counting_feed
from torture.findings import Defect, Entry, Finding
from torture.homes import OwnHome
from torture.oracle import History
from torture.plan import ONLY_PIPELINE, PARTITIONS, Feed, Ways
from torture.stores import judge_stores
from torture.workload import Acknowledged, Start, Workload

SESSION_S = 3


class Counting(Workload):
    """The app on our transport. Each worker has a disk of its own."""

    counted = (Defect.LOST, Defect.WRONG, Defect.STATE)
    ways = Ways(refusable=("changelog", "out"), quota_bytes_per_s=(1500, 3000), without=ONLY_PIPELINE)
    module: ClassVar[str] = "torture.counting"
    judges_state: ClassVar[bool] = True

    def __init__(self, prefix: str, bug: str, directory: Path, kafka: Kafka) -> None:
        super().__init__(prefix, bug, directory, kafka)
        self.group = f"{prefix}-counting"
        self.topics = {
            "in": f"{prefix}-in",
            "out": f"{prefix}-out",
            "changelog": f"{self.group}-counts-changelog",
            "probe": f"{prefix}-probe",
        }
        self.watched, self.partitions = self.topics["in"], PARTITIONS

    @classmethod
    def feed(cls, seed: int, records: int) -> Feed:
        """Keys and uids."""
        return counting_feed(seed, records)

    def create(self) -> None:
        """Create input and output; the app creates its changelog."""
        for role, partitions in (("in", PARTITIONS), ("out", PARTITIONS), ("probe", 1)):
            self.kafka.create_topic(self.topics[role], partitions)

    def start(self, name: str) -> Start:
        """How to start the worker of this name."""
        home = self._disk(name)
        command = [sys.executable, "-m", self.module, "--broker", f"kafka://{self.address}"]
        command += ["--prefix", self.prefix, "--session-timeout", str(SESSION_S), "--instance", name]
        command += ["--data-dir", str(home), *(("--bug", self.bug) if self.bug else ())]
        return Start(command, {}, OwnHome(name, home))

    def read(self, acknowledged: Acknowledged, last_ack_s: float) -> History:
        """Everything in the topics, read in the order the oracle requires."""
        in_input, committed = list(acknowledged.get("in", ())), self._commits()
        outputs, changelog, inputs = (self._entries(role) for role in ("out", "changelog", "in"))
        ends = dict.fromkeys(range(PARTITIONS), 0)
        for entry in inputs:
            ends[entry.partition] = entry.offset + 1
        return History(inputs, outputs, changelog, in_input, committed, ends, self.judges_state)

    def judge_disks(self, history: object, names: Collection[str]) -> Iterator[Finding]:
        """Every worker's store against the changelog."""
        if self.judges_state and isinstance(history, History):
            yield from judge_stores(map(self._disk, names), history.changelog)

    def _disk(self, name: str) -> Path:
        return self.data_dir / f"{name}-disk"

    def _commits(self) -> dict[int, int]:
        offsets = {number: self.kafka.committed(self.group, self.watched, number) for number in range(PARTITIONS)}
        return {number: offset for number, offset in offsets.items() if offset is not None}

    def _entries(self, role: str) -> list[Entry]:
        return [Entry(*record) for record in self.kafka.records(self.topics[role])]


class Stock(Counting):
    """The same app on plain Faust, as a tutorial would write it; its tables are not judged."""

    module = "torture.counting_stock"
    judges_state = False
