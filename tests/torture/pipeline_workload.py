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
from torture.pipeline_feed import simulated_feed
from torture.pipeline_input import EXECUTIONS
from torture.pipeline_logs import judge_logs
from torture.pipeline_oracle import (
    ACCOUNTS,
    CHANGELOG,
    CHECKPOINTS,
    DEAD_LETTERS,
    INPUTS,
    LEGS,
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
from torture.workload import Acknowledged, MonitoredWorker, Start, Workload

GRACE_S = 3
SESSION_S = 4
"""Shorter than the default of ten seconds, which would make up most of a run."""
INPUT_PARTITIONS = dict(zip(INPUTS, (4, 3, 2), strict=True))
"""Each input has its own partition count; simulated.py uses the same."""
COMMAND = (sys.executable, "-m", "torture.pipeline_worker")
INTERNAL_TOPICS = (LEGS, RECONCILED, MISMATCH, DEAD_LETTERS, STANDINGS)
OPTIONAL_TOPICS = (CHANGELOG, ACCOUNTS, CHECKPOINTS)
"""Topics read as evidence; missing until a worker has created them."""
MONOTONIC = (b"e", b"p", b"w")
"""Key prefixes of monotonic rows. Source: tables/README.md."""


class Pipeline(Workload):
    """Every role in every worker. The group of matching, which owns the tables, shows which workers consume."""

    counted = (Defect.LOST, Defect.WRONG, Defect.DOUBLED)
    ways = Ways(
        refusable=("changelog", LEGS, MISMATCH),
        quota_bytes_per_s=(15_000, 30_000),
        inputs=INPUTS,
        # Some stay down for longer than a session, some come back within it.
        hold_s={"kill": (0.0, 7.0), "wipe": (0.0, 7.0), "stop": (0.5, 3.0)},
        led=(EXECUTIONS, LEGS, "changelog", MISMATCH, COORDINATOR),
    )

    def __init__(self, prefix: str, bug: str, directory: Path, kafka: Topics) -> None:
        super().__init__(prefix, bug, directory, kafka)
        topic_prefix = f"{prefix}-"
        self.group = f"{topic_prefix}traderecon-matching"
        self.names = {role: topic_prefix + role for role in (*INPUTS, *INTERNAL_TOPICS, ACCOUNTS)}
        self.topics = {**self.names, "changelog": f"{self.group}-trades-changelog", "probe": f"{topic_prefix}probe"}
        self.topics[CHECKPOINTS] = topic_prefix + CHECKPOINTS
        self.watched, self.partitions = self.topics[LEGS], PARTITIONS
        self.database = self.database_path = self.data_dir / "traderecon.db"
        self._environment = {
            "TRADERECON_BROKER": f"kafka://{self.address}",
            "TRADERECON_DATA_DIR": str(self.data_dir),
            "TRADERECON_TOPIC_PREFIX": topic_prefix,
            "TRADERECON_TOPIC_PARTITIONS": str(PARTITIONS),
            "TRADERECON_GRACE_SECONDS": str(GRACE_S),
        }
        self.administrator: Administrator = Administrator(
            kafka,
            self._start_spec("topics", "create"),
            data_dir=self.data_dir,
            group=f"{topic_prefix}traderecon-intake",
            journal=(self.topics[LEGS], PARTITIONS),
            inputs=INPUT_PARTITIONS,
            topics=self.topics,
        )

    @classmethod
    def feed(cls, seed: int, records: int) -> Feed:
        """Simulated trades."""
        return simulated_feed(seed, records)

    def create(self) -> None:
        """Create the inputs as their producers would, the others with ``traderecon topics create``."""
        for role in INPUTS:
            self.administrator.make_input(role)
        self.kafka.create_topic(self.topics["probe"], self.kafka.replication)
        self.administrator.create_topics()

    def start(self, name: str) -> Start:
        """A worker with every role."""
        return self._start_spec("worker")

    def read(self, acknowledged: Acknowledged, last_ack_s: float) -> PipelineHistory:
        """Read commits, then the database, then the topics, last topic of the pipeline first."""
        groups = {
            stage: group_of(f"{self.prefix}-", stage, self.database_path) for stage in ("intake", "matching", "sink")
        }
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
        database = read_database(self.database_path)
        topics = {role: self._entries(role) for role in reversed((*INPUTS, *INTERNAL_TOPICS, *OPTIONAL_TOPICS))}
        appended_ms = {
            (role, *position): time_ms
            for role in INPUTS
            for position, time_ms in self.kafka.appended_ms(self.topics[role]).items()
        }
        graces_end_s = last_ack_s + GRACE_S
        return PipelineHistory(
            self.names, graces_end_s, acknowledged, committed, database, topics, appended_ms, GRACE_S, ends
        )

    def backlog(self) -> int:
        """How many output records ``sink_offsets`` does not cover."""
        stored = {(row["topic"], row["partition"]): row["next_offset"] for row in offsets_in(self.database_path)}
        return sum(
            max(0, self.kafka.end(self.names[role], number) - stored.get((self.names[role], number), 0))
            for role in OUTPUTS
            for number in range(PARTITIONS)
        )

    def ready(self, worker: MonitoredWorker) -> bool:
        """Ask its readiness page, once its address is in the log."""
        return says_ready(read_text(worker.log)[worker.log_start :])

    def judge_workers(self, workers: Mapping[str, MonitoredWorker], before: object, after: object) -> Iterator[Finding]:
        """Judge pages, metrics and logs."""
        assert isinstance(before, PipelineHistory)
        assert isinstance(after, PipelineHistory)
        running = [worker for worker in workers.values() if worker.running]
        lives = [read_text(worker.log)[worker.log_start :] for worker in running]
        yield from judge_pages(lives, before, after)
        yield from judge_logs([read_text(worker.log) for worker in workers.values()], after.results)

    def judge_disks(self, history: object, names: Collection[str]) -> Iterator[Finding]:
        """Judge the local store in every home against the changelog."""
        if isinstance(history, PipelineHistory):
            homes = sorted(self.data_dir.glob("worker-*"))
            yield from judge_stores(homes, list(history.topics[CHANGELOG]), "trades", MONOTONIC)

    def _start_spec(self, *arguments: str) -> Start:
        options = ("--session", str(SESSION_S), *(("--bug", self.bug) if self.bug else ()))
        return Start([*COMMAND, *options, "--", *arguments], self._environment, SharedHome(self.data_dir))

    def _entries(self, role: str) -> list[Entry]:
        return [Entry(*record) for record in self.kafka.records(self.topics[role])]
