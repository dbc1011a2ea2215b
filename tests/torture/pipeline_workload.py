"""The pipeline as a workload: ``traderecon worker`` with every role, several of them on one Kafka and one database.

    executions, broker_confirmations, pnl_snapshot -> intake -> matching -> sink -> traderecon.db

All workers share a data directory: each takes the lowest free home in it, so a home changes hands.
"""

import subprocess
import sys
from pathlib import Path

from broker.kafka_server import Kafka

from torture.findings import Defect, Entry
from torture.homes import SharedHome
from torture.pipeline_database import read_database
from torture.pipeline_feed import simulated
from torture.pipeline_oracle import INPUTS, LEGS, LETTERS, MISMATCH, PARTITIONS, RECONCILED, STANDINGS, PipelineHistory
from torture.plan import Feed, Ways
from torture.workload import Acknowledged, Start, Workload

GRACE_S = 3
INPUT_PARTITIONS = dict(zip(INPUTS, (4, 3, 2), strict=True))
"""An input has as many as its producer likes; simulated.py sends to so many."""
COMMAND = (sys.executable, "-m", "torture.pipeline_worker")
OURS = (LEGS, RECONCILED, MISMATCH, LETTERS, STANDINGS)


class Pipeline(Workload):
    """Every role in every worker. Who is at work is seen in the group of matching, which has the tables."""

    counted = (Defect.LOST, Defect.WRONG, Defect.DOUBLED)
    ways = Ways(
        refusable=("changelog", LEGS, MISMATCH),
        quota_bytes_per_s=(15_000, 30_000),
        # A session is ten seconds: some are killed for longer, some come back within it.
        hold_s={"kill": (0.0, 12.0), "wipe": (0.0, 12.0), "stop": (0.5, 5.0), "leave": (0.0, 4.0)},
    )

    def __init__(self, prefix: str, bug: str, directory: Path, kafka: Kafka) -> None:
        super().__init__(prefix, bug, directory, kafka)
        before = f"{prefix}-"
        self.group = f"{before}traderecon-matching"
        self.names = {role: before + role for role in (*INPUTS, *OURS)}
        self.topics = {**self.names, "changelog": f"{self.group}-trades-changelog", "probe": f"{before}probe"}
        self.watched, self.partitions = self.topics[LEGS], PARTITIONS
        self._data_dir = directory / "homes"
        self._environment = {
            "TRADERECON_BROKER": f"kafka://{kafka.address}",
            "TRADERECON_DATA_DIR": str(self._data_dir),
            "TRADERECON_TOPIC_PREFIX": before,
            "TRADERECON_TOPIC_PARTITIONS": str(PARTITIONS),
            "TRADERECON_GRACE_SECONDS": str(GRACE_S),
        }

    @classmethod
    def feed(cls, seed: int, records: int) -> Feed:
        """Simulated trades."""
        return simulated(seed, records)

    def create(self) -> None:
        """The inputs as their producers would make them, the others by ``traderecon topics create``."""
        for role, count in {**INPUT_PARTITIONS, "probe": 1}.items():
            self.kafka.create_topic(self.topics[role], count, {"message.timestamp.type": "LogAppendTime"})
        how = self._how("topics", "create")
        subprocess.run(how.command, env=how.surroundings(), check=True, capture_output=True)

    def start(self, name: str) -> Start:
        """A worker with every role."""
        return self._how("worker")

    def read(self, acknowledged: Acknowledged, fed_at_s: float) -> PipelineHistory:
        """What commits say, then the database, then the topics against the stream."""
        committed = {
            (role, number): self.kafka.committed(f"{self.prefix}-traderecon-{stage}", self.names[role], number) or 0
            for stage, role, count in (
                *(("intake", role, count) for role, count in INPUT_PARTITIONS.items()),
                ("matching", LEGS, PARTITIONS),
            )
            for number in range(count)
        }
        database = read_database(self._data_dir / "traderecon.db")
        topics = {role: self._entries(role) for role in reversed((*INPUTS, *OURS))}
        return PipelineHistory(self.names, fed_at_s + GRACE_S, acknowledged, committed, database, topics)

    def _how(self, *words: str) -> Start:
        bug = ("--bug", self.bug) if self.bug else ()
        return Start([*COMMAND, *bug, "--", *words], self._environment, SharedHome(self._data_dir))

    def _entries(self, role: str) -> list[Entry]:
        return [Entry(*record) for record in self.kafka.records(self.names[role])]
