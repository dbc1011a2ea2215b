"""A workload: what is tortured. It says which topics there are, what a worker is, what is fed, and how it is judged.

    Workload.feed(seed, records) -> Feed     in a plan
    Workload(prefix, bug, directory, kafka): create -> start per worker -> read -> History: findings, unsettled

Everything else, the faults and when they strike, is the same for every workload.
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
"""What the feeder was told is in the inputs, by the topic's role."""


class Home(Protocol):
    """Where a worker keeps what it has."""

    def instance(self, pid: int) -> str:
        """The name by which the group knows the process; nothing while that is open."""
        ...

    def wipe(self, pid: int) -> int:
        """Remove what the dead process kept; how many files. Raises Missed where somebody else has it by now."""
        ...


class Lives(Protocol):
    """A worker over its lives, as far as a workload may look: what it logged, and how often it ended by itself."""

    log: Path

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        ...

    @property
    def consuming(self) -> bool:
        """Whether its present life has been seen to consume."""
        ...

    @property
    def log_start(self) -> int:
        """Where in the log its present life begins, in bytes."""
        ...


class Start(NamedTuple):
    """How a worker is started: the command, and what its environment has besides ours."""

    command: Sequence[str]
    environment: Mapping[str, str]
    home: Home

    def surroundings(self) -> dict[str, str]:
        """Our own environment, the tests first on the path, and this."""
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        return {**os.environ, "PYTHONPATH": path, **self.environment}


class History(Protocol):
    """What topics, offsets and databases said at one moment."""

    def findings(self) -> list[Finding]:
        """Every defect: also where work goes on, and more where everything is settled."""
        ...

    def unsettled(self) -> list[str]:
        """What keeps it from being settled."""
        ...

    @property
    def busy(self) -> bool:
        """Whether something is not committed yet; what is committed is not read again."""
        ...

    @property
    def digest(self) -> str:
        """What another schedule over the same feed must not change; empty where there is no such thing."""
        ...

    @property
    def trades(self) -> int:
        """How many trades the inputs speak of."""
        ...

    @property
    def repeated(self) -> int:
        """How many outputs came again, byte for byte."""
        ...

    @property
    def entries(self) -> Mapping[str, Sequence[Entry]]:
        """Every record, by the topic's role."""
        ...


class Workload(ABC):
    """One workload on the stage of one run. The group that is watched has the workers as static members."""

    counted: ClassVar[Sequence[Defect]]
    """The defects that a report names also where there are none."""
    ways: ClassVar[Ways]

    group: str
    watched: str
    """The group that shows who is at work, and the full name of its source, with ``partitions`` partitions."""
    partitions: int
    topics: Mapping[str, str]
    """Full names by role: the inputs, what can be refused, and ``probe``, which takes any record."""
    database: Path | None = None
    """The file of the database, where there is one."""
    administrator: "Administrator | None" = None
    """Who does what docs/operations.md says, where it says something."""

    def __init__(self, prefix: str, bug: str, directory: Path, kafka: Topics) -> None:
        self.prefix, self.bug, self.directory, self.kafka = prefix, bug, directory, kafka
        self.data_dir = directory / "homes"
        self.address = kafka.proxy.address if isinstance(kafka, ProxiedKafka) else kafka.address

    @classmethod
    @abstractmethod
    def feed(cls, seed: int, records: int) -> Feed:
        """What is produced: so many records, and the epilogue."""

    @abstractmethod
    def create(self) -> None:
        """Make the topics."""

    @abstractmethod
    def start(self, name: str) -> Start:
        """How the worker of this name is started."""

    @abstractmethod
    def read(self, acknowledged: Acknowledged, fed_at_s: float) -> History:
        """Everything there is to judge by. ``fed_at_s``: when, on the wall clock, the last record was acknowledged.

        Raises OSError or Refused where the broker does not answer.
        """

    def backlog(self) -> int:
        """How many records of the outputs are not in the database yet. Raises OSError or Refused."""
        return 0

    def ready(self, worker: Lives) -> bool:
        """Whether the present life of a worker is ready, as far as one can see: it consumes."""
        return worker.consuming

    def judge_workers(self, workers: Mapping[str, Lives], before: History, after: History) -> Iterable[Finding]:
        """What the workers themselves say and said, once everything is settled; ``before``: when they were started."""
        return ()

    def judge_disks(self, history: History, names: Collection[str]) -> Iterable[Finding]:
        """What is wrong on the disks of these workers, which have ended."""
        return ()
