"""Where a finding is played: a broker, topics of its own, and workers that end with the test.

    Stage -> topics -> append -> start("stock" | "ours") -> Worker -> what the topics say

What a worker did is read from the topics and the group's offsets, never from the worker.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from broker.case import Case
from broker.kafka_server import Kafka
from broker.kafka_topics import Value
from broker.waiting import pause
from broker.waiting import until as until_found

TESTS = Path(__file__).parents[1]
END_S = 180

Kind = Literal["stock", "ours"]


class Ended(AssertionError):
    """A worker has ended that should run."""


class Worker:
    """One worker process, with its log; started at once."""

    def __init__(self, module: str, kind: Kind, case: Case, log: Path) -> None:
        self.case = case
        self._log = log
        bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        place = (case.address, case.name, str(case.directory), case.mark)
        case.directory.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*bound, sys.executable, "-m", "broker.case", module, kind, *place],
                cwd=case.directory,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def alive(self) -> bool:
        """True: it may be paused, but it has not ended. Raises Ended with its last words."""
        if (status := self._process.poll()) is not None:
            raise Ended(f"the worker ended with {status}:\n{self.log[-3000:]}")
        return True

    def pause(self) -> None:
        """Stop it where it is."""
        pause(self._process)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would, paused or not."""
        self._process.kill()
        self._process.wait()

    def leave(self) -> int:
        """Ask it to end (SIGTERM), and wait; its exit code."""
        self._process.terminate()
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends; its exit code."""
        return self._process.wait(END_S)


class Stage:
    """One finding's topics and workers; ``name`` begins them all, and is the group."""

    def __init__(self, kafka: Kafka, module: str, name: str, directory: Path) -> None:
        self.kafka = kafka
        self.name = name
        self._module = module
        self._directory = directory
        self._workers: list[Worker] = []

    def topic(self, role: str) -> str:
        """The full name of one of its topics."""
        return f"{self.name}-{role}"

    def create(self, role: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make a topic; its full name."""
        self.kafka.create_topic(self.topic(role), partitions, config)
        return self.topic(role)

    def start(self, kind: Kind, *, mark: str = "", disk: str = "disk") -> Worker:
        """Start a worker on a disk of that name: the same one again, or a new one."""
        case = Case(self.kafka.address, self.name, self._directory / disk, mark)
        log = self._directory / f"worker-{len(self._workers)}.log"
        self._workers.append(Worker(self._module, kind, case, log))
        return self._workers[-1]

    def start_ready(self, kind: Kind, *, mark: str = "", disk: str = "disk") -> Worker:
        """Start a worker and wait until it is ready.

        Plain Faust fetches before it seeks, and throws away what came too early: what lies in a topic before a worker
        starts may be lost then, by chance. A test of something else appends afterwards.
        """
        worker = self.start(kind, mark=mark, disk=disk)
        until_found(lambda: worker.alive() and "Worker ready" in worker.log, "the worker is ready")
        return worker

    def append(self, role: str, values: Iterable[Value], partition: int = 0) -> None:
        """Append values, or pairs of key and value, to one of its topics."""
        self.kafka.append(self.topic(role), values, partition)

    def committed(self, role: str, partition: int = 0) -> int:
        """The group's next offset; 0 before its first commit."""
        return self.kafka.committed(self.name, self.topic(role), partition) or 0

    def values(self, role: str) -> list[bytes]:
        """The values in a topic, by partition, then offset."""
        return [record.value or b"" for record in self.kafka.records(self.topic(role))]

    def until(self, found: Callable[[], object], what: str, worker: Worker | None = None) -> None:
        """Wait for a condition while a worker, the newest unless told, runs. Raises Ended, or Never."""
        running = worker or self._workers[-1]
        until_found(lambda: running.alive() and found(), what)

    def close(self) -> None:
        """End every worker that still runs."""
        for worker in self._workers:
            worker.kill()
