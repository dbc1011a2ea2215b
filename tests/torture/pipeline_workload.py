"""The pipeline as a workload: ``traderecon worker`` with every role, several of them on one Kafka and one database.

    executions, broker_confirmations, pnl_snapshot -> intake -> matching -> sink -> traderecon.db

All workers share a data directory: each takes the lowest free home in it, so a home changes hands.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from broker.kafka_topics import Topics
from groups import group_of

from torture.administrator import Administrator
from torture.findings import Defect, Entry, Finding
from torture.homes import SharedHome, read_text
from torture.pipeline_database import offsets_in, read_database
from torture.pipeline_feed import simulated
from torture.pipeline_input import EXECUTIONS
from torture.pipeline_logs import judge_logs
from torture.pipeline_oracle import (
    ACCOUNTS,
    CHANGELOG,
    CHECKPOINTS,
    INPUTS,
    LEGS,
    LETTERS,
    MISMATCH,
    OUTPUTS,
    PARTITIONS,
    RECONCILED,
    STANDINGS,
    PipelineHistory,
)
from torture.pipeline_pages import judge_pages, says_ready
from torture.plan import COORDINATOR, Feed, Ways
from torture.stores import judge_stores
from torture.workload import Acknowledged, Lives, Start, Workload

GRACE_S = 3
SESSION_S = 4
"""A worker's own is ten seconds: then most of a run would be waiting for it."""
INPUT_PARTITIONS = dict(zip(INPUTS, (4, 3, 2), strict=True))
"""An input has as many as its producer likes; simulated.py sends to so many."""
COMMAND = (sys.executable, "-m", "torture.pipeline_worker")
OURS = (LEGS, RECONCILED, MISMATCH, LETTERS, STANDINGS)
BESIDE = (CHANGELOG, ACCOUNTS, CHECKPOINTS)
"""What is read to judge the others by; not there where a worker has not made it."""
MONOTONIC = (b"e", b"p", b"w")
"""Rows of the table that never fall. Source: tables/README.md."""


class Pipeline(Workload):
    """Every role in every worker. Who is at work is seen in the group of matching, which has the tables."""

    counted = (Defect.LOST, Defect.WRONG, Defect.DOUBLED)
    ways = Ways(
        refusable=("changelog", LEGS, MISMATCH),
        quota_bytes_per_s=(15_000, 30_000),
        inputs=INPUTS,
        # Some are killed for longer than a session, some come back within it.
        hold_s={"kill": (0.0, 7.0), "wipe": (0.0, 7.0), "stop": (0.5, 3.0)},
        led=(EXECUTIONS, LEGS, "changelog", MISMATCH, COORDINATOR),
    )

    def __init__(self, prefix: str, bug: str, directory: Path, kafka: Topics) -> None:
        super().__init__(prefix, bug, directory, kafka)
        before = f"{prefix}-"
        self.group = f"{before}traderecon-matching"
        self.names = {role: before + role for role in (*INPUTS, *OURS, ACCOUNTS)}
        self.topics = {**self.names, "changelog": f"{self.group}-trades-changelog", "probe": f"{before}probe"}
        self.topics[CHECKPOINTS] = before + CHECKPOINTS
        self.watched, self.partitions = self.topics[LEGS], PARTITIONS
        self.database = self._file = self.data_dir / "traderecon.db"
        self._environment = {
            "TRADERECON_BROKER": f"kafka://{self.address}",
            "TRADERECON_DATA_DIR": str(self.data_dir),
            "TRADERECON_TOPIC_PREFIX": before,
            "TRADERECON_TOPIC_PARTITIONS": str(PARTITIONS),
            "TRADERECON_GRACE_SECONDS": str(GRACE_S),
        }
        self.administrator: Administrator = Administrator(
            kafka,
            self._how("topics", "create"),
            data_dir=self.data_dir,
            group=f"{before}traderecon-intake",
            journal=(self.topics[LEGS], PARTITIONS),
            inputs=INPUT_PARTITIONS,
            topics=self.topics,
        )

    @classmethod
    def feed(cls, seed: int, records: int) -> Feed:
        """Simulated trades."""
        return simulated(seed, records)

    def create(self) -> None:
        """The inputs as their producers would make them, the others by ``traderecon topics create``."""
        for role in INPUTS:
            self.administrator.make_input(role)
        self.kafka.create_topic(self.topics["probe"], self.kafka.replication)
        self.administrator.create_topics()

    def start(self, name: str) -> Start:
        """A worker with every role."""
        return self._how("worker")

    def read(self, acknowledged: Acknowledged, fed_at_s: float) -> PipelineHistory:
        """What commits say, then the database, then the topics against the stream."""
        groups = {stage: group_of(f"{self.prefix}-", stage, self._file) for stage in ("intake", "matching", "sink")}
        committed = {
            (role, number): self.kafka.committed(groups[stage], self.names[role], number) or 0
            for stage, role, count in (
                *(("intake", role, count) for role, count in INPUT_PARTITIONS.items()),
                ("matching", LEGS, PARTITIONS),
                *(("sink", role, PARTITIONS) for role in OUTPUTS),
            )
            for number in range(count)
        }
        ends = {number: self.kafka.end(self.topics[ACCOUNTS], number) for number in range(PARTITIONS)}
        database = read_database(self._file)
        topics = {role: self._entries(role) for role in reversed((*INPUTS, *OURS, *BESIDE))}
        appended_ms = {
            (role, *place): at_ms
            for role in INPUTS
            for place, at_ms in self.kafka.appended_ms(self.topics[role]).items()
        }
        over_at_s = fed_at_s + GRACE_S
        return PipelineHistory(
            self.names, over_at_s, acknowledged, committed, database, topics, appended_ms, GRACE_S, ends
        )

    def backlog(self) -> int:
        """What the outputs have, and ``sink_offsets`` has not."""
        stored = {(row["topic"], row["partition"]): row["next_offset"] for row in offsets_in(self._file)}
        return sum(
            max(0, self.kafka.end(self.names[role], number) - stored.get((self.names[role], number), 0))
            for role in OUTPUTS
            for number in range(PARTITIONS)
        )

    def ready(self, worker: Lives) -> bool:
        """What its page says, as soon as it has told where that is."""
        return says_ready(read_text(worker.log)[worker.log_start :])

    def judge_workers(self, workers: Mapping[str, Lives], before: object, after: object) -> Iterator[Finding]:
        """Pages, metrics, and the lines of log."""
        assert isinstance(before, PipelineHistory)
        assert isinstance(after, PipelineHistory)
        running = [worker for worker in workers.values() if worker.running]
        lives = [read_text(worker.log)[worker.log_start :] for worker in running]
        yield from judge_pages(lives, before, after)
        yield from judge_logs([read_text(worker.log) for worker in workers.values()], after.results)

    def judge_disks(self, history: object, names: Collection[str]) -> Iterator[Finding]:
        """The store in every home against the changelog, whoever had it last."""
        if isinstance(history, PipelineHistory):
            homes = sorted(self.data_dir.glob("worker-*"))
            yield from judge_stores(homes, list(history.topics[CHANGELOG]), "trades", MONOTONIC)

    def _how(self, *words: str) -> Start:
        bug = ("--session", str(SESSION_S), *(("--bug", self.bug) if self.bug else ()))
        return Start([*COMMAND, *bug, "--", *words], self._environment, SharedHome(self.data_dir))

    def _entries(self, role: str) -> list[Entry]:
        return [Entry(*record) for record in self.kafka.records(self.topics[role])]
