"""A workload: the system under test. It defines the topics, the worker process, the feed, and the judgement.

    Workload.feed(seed, records) -> Feed     in a plan
    Workload(prefix, bug, directory, kafka): create -> start per worker -> read -> History: findings, unsettled

Everything else, the faults and their schedule, is the same for every workload.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from broker.kafka_topics import Topics

from torture.findings import Defect, Entry, Finding
from torture.plan import Feed, Ways
from torture.proxy import ProxiedKafka

if TYPE_CHECKING:
    from torture.administrator import Administrator

TESTS = Path(__file__).parents[1]

Acknowledged = Mapping[str, Sequence[Entry]]
"""The records acknowledged to the feeder, by the topic's role."""


class Home(Protocol):
    """The directory of a worker."""

    def instance(self, pid: int) -> str:
        """The group instance of the process; empty while it is unknown."""
        ...

    def wipe(self, pid: int) -> int:
        """Remove the files of the dead process; returns how many. Raises Missed if another process has the home."""
        ...


class MonitoredWorker(Protocol):
    """The part of a worker that a workload may read."""

    log: Path

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        ...

    @property
    def consuming(self) -> bool:
        """Whether the current process has been observed to consume."""
        ...

    @property
    def log_start(self) -> int:
        """Where the output of the current process starts in the log, in bytes."""
        ...


class Start(NamedTuple):
    """How to start a worker: the command, and additional environment variables."""

    command: Sequence[str]
    environment: Mapping[str, str]
    home: Home

    def full_environment(self) -> dict[str, str]:
        """The harness's environment with these variables, and the tests first on PYTHONPATH."""
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        return {**os.environ, "PYTHONPATH": path, **self.environment}


class History(Protocol):
    """Topics, offsets and databases at one time."""

    def findings(self) -> list[Finding]:
        """Every defect; some are judged only when everything is settled."""
        ...

    def unsettled(self) -> list[str]:
        """The work that is still open."""
        ...

    @property
    def busy(self) -> bool:
        """Whether input is uncommitted; committed input is not read again."""
        ...

    @property
    def digest(self) -> str:
        """A digest that no schedule of the same feed may change; empty if the workload has none."""
        ...

    @property
    def trades(self) -> int:
        """How many trades are in the inputs."""
        ...

    @property
    def repeated(self) -> int:
        """How many outputs were published more than once, byte for byte."""
        ...

    @property
    def entries(self) -> Mapping[str, Sequence[Entry]]:
        """Every record, by the topic's role."""
        ...


class Workload(ABC):
    """One workload in one run. Its workers are static members of the watched group."""

    counted: ClassVar[Sequence[Defect]]
    """The defects that a report lists even if there are none."""
    ways: ClassVar[Ways]

    group: str
    watched: str
    """The consumer group that shows which workers consume, and its topic, with ``partitions`` partitions."""
    partitions: int
    topics: Mapping[str, str]
    """Full names by role: the inputs, topics that can refuse writes, and ``probe``, which accepts any record."""
    database: Path | None = None
    """The file of the database, if there is one."""
    administrator: "Administrator | None" = None
    """Performs the procedures of docs/operations.md, if the workload has any."""

    def __init__(self, prefix: str, bug: str, directory: Path, kafka: Topics) -> None:
        self.prefix, self.bug, self.directory, self.kafka = prefix, bug, directory, kafka
        self.data_dir = directory / "homes"
        self.address = kafka.proxy.address if isinstance(kafka, ProxiedKafka) else kafka.address

    @classmethod
    @abstractmethod
    def feed(cls, seed: int, records: int) -> Feed:
        """The records to produce, and the epilogue."""

    @abstractmethod
    def create(self) -> None:
        """Create the topics."""

    @abstractmethod
    def start(self, name: str) -> Start:
        """How to start the worker of this name."""

    @abstractmethod
    def read(self, acknowledged: Acknowledged, last_ack_s: float) -> History:
        """Read the history. ``last_ack_s``: when the last record was acknowledged, in seconds since 1970.

        Raises OSError or BrokerError.
        """

    def backlog(self) -> int:
        """How many output records are not in the database yet. Raises OSError or BrokerError."""
        return 0

    def ready(self, worker: MonitoredWorker) -> bool:
        """Whether the current process of a worker is ready; by default, whether it consumes."""
        return worker.consuming

    def judge_workers(
        self, workers: Mapping[str, MonitoredWorker], before: History, after: History
    ) -> Iterable[Finding]:
        """Judge pages and logs of the workers once everything is settled; ``before``: the history at their start."""
        return ()

    def judge_disks(self, history: History, names: Collection[str]) -> Iterable[Finding]:
        """Judge the disks of these workers, which have stopped."""
        return ()
