"""An installation of the whole pipeline, run as a user runs it: commands, environment, processes; seen from outside.

    Installation(directory, broker) -> create_topics -> start() -> Running -> feed -> until_decided -> rows(sql)

What the pipeline did is read from the database, the topics and the pages, never from a worker's insides.
"""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from broker.kafka_server import reserved
from broker.waiting import until

from traderecon.client.connection import connect
from traderecon.settings import PREFIX
from traderecon.topics import topics
from traderecon.transport import Outgoing

TRADERECON = Path(sys.executable).with_name("traderecon")
BOUND = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""Before a child's command: the kernel ends it when the thread that started it is gone."""
READY_S = 240
DECIDED_S = 480
END_S = 180
ANSWER_S = 60
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STATE, GROUP, USER_TICKS, SYSTEM_TICKS, BEGUN = 0, 2, 11, 12, 19
"""Places in a process's figures, behind its name."""


class Ended(AssertionError):
    """A worker has ended that should run."""


class Running:
    """One ``traderecon worker``, a group of processes, with its log and its port; started at once."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> None:
        port = reserved()
        weakref.finalize(self, port.close)
        self.port: int = port.getsockname()[1]
        self._log = log
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [*BOUND, *command],
                cwd=directory,
                env={**environment, f"{PREFIX}WEB_PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """All its processes, the one that was started first."""
        return sorted(members(self.pid), key=lambda pid: (pid != self.pid, begun(pid), pid))

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")

    def alive(self) -> bool:
        """True, or raises Ended with its last words."""
        if (status := self._process.poll()) is not None:
            raise Ended(f"the worker ended with {status}:\n{self.log[-3000:]}")
        return True

    def ready(self) -> bool:
        """Whether it says that every role of it is ready; raises Ended."""
        with suppress(HTTPError, URLError, ConnectionError, TimeoutError):
            return self.alive() and bool(json.loads(self.get("/healthz/ready"))["ready"])
        return False

    def get(self, path: str) -> bytes:
        """What it answers under a path; HTTPError where that is no success."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=ANSWER_S) as answer:
            body: bytes = answer.read()
            return body

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        lines = self.get("/metrics").decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def kill(self) -> None:
        """End it as a power cut would."""
        self._send(signal.SIGKILL)
        self._process.wait()
        until(lambda: not self.pids, "all its processes are gone", END_S)

    def pause(self) -> None:
        """Stop it where it is."""
        self._send(signal.SIGSTOP)
        until(lambda: all(field(pid, STATE) in "TZ" for pid in self.pids), "all its processes stand still", END_S)

    def resume(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def leave(self) -> int:
        """Ask it to end (SIGTERM), and wait; its exit code."""
        self._process.terminate()
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends; its exit code."""
        return self._process.wait(END_S)

    def cpu_s(self) -> float:
        """Seconds of processor time so far, its own and the system's for it."""
        return sum(int(field(pid, at)) for pid in self.pids for at in (USER_TICKS, SYSTEM_TICKS)) / TICKS_PER_S

    def resident_mib(self) -> float:
        """Memory its processes have resident; what they share counts once."""
        return sum(resident_mib(pid) for pid in self.pids)

    def peak_mib(self) -> float:
        """The most memory each of its processes has had resident, in sum; what they share counts in each."""
        return sum(peak_mib(pid) for pid in self.pids)


def members(group: int) -> set[int]:
    """The processes of a group that have not ended."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if int(field(int(entry.name), GROUP)) == group and field(int(entry.name), STATE) != "Z":
                    found.add(int(entry.name))
    return found


def field(pid: int, place: int) -> str:
    """One of a process's figures, as the kernel counts them behind its name. Source: proc(5), stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[place]


def begun(pid: int) -> int:
    """When a process began, in clock ticks since the machine started: process numbers begin again from time to time."""
    try:
        return int(field(pid, BEGUN))
    except OSError:  # it has just ended
        return sys.maxsize


def resident_mib(pid: int) -> float:
    """Memory a process has resident, its part of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def peak_mib(pid: int) -> float:
    """The most memory a process has had resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Installation:
    """A data directory and its settings; ``settings`` are names without prefix (``grace_seconds=2``)."""

    def __init__(self, directory: Path, broker: str = "embedded://", **settings: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.broker = directory, broker
        self.data_dir = directory / "var"
        chosen = {"broker": broker, "data_dir": self.data_dir, "grace_seconds": 2, "topic_partitions": 4, **settings}
        self.grace_s = int(str(chosen["grace_seconds"]))
        self.partitions = int(str(chosen["topic_partitions"]))
        self.prefix = str(chosen.get("topic_prefix", ""))
        self.topics = topics(self.prefix)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self.environment = {**inherited, **{f"{PREFIX}{name.upper()}": str(value) for name, value in chosen.items()}}
        self._workers: list[Running] = []

    # -- commands and workers

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a ``traderecon`` command to its end; AssertionError with what it said where it failed."""
        command = [str(TRADERECON), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
        return done

    def create_topics(self) -> None:
        """Make the topics that are missing."""
        self.run("topics", "create")

    def start(self, roles: str = "intake,matching,sink,web", *, program: Sequence[str] = ()) -> Running:
        """Start a worker; ``program`` is what runs instead of the command (a worker with a bug in it)."""
        command = [*(program or [str(TRADERECON)]), "worker", "--roles", roles]
        log = self.directory / f"worker-{len(self._workers)}.log"
        self._workers.append(Running(command, self.environment, self.directory, log))
        return self._workers[-1]

    def start_ready(self, roles: str = "intake,matching,sink,web") -> Running:
        """Start a worker and wait until it is ready."""
        worker = self.start(roles)
        until(worker.ready, "the worker is ready", READY_S)
        return worker

    def close(self) -> None:
        """End every worker that still runs."""
        for worker in self._workers:
            worker.kill()

    # -- the topics

    def append(
        self, topic: str, values: Sequence[bytes | None], *, partition: int = 0, key: bytes | None = None
    ) -> None:
        """Append values to a topic, under one key, and wait until they are durable."""

        async def send() -> None:
            async with connect(self.broker, self.data_dir) as client:
                await client.append(topic, partition, [Outgoing(key, value) for value in values])

        asyncio.run(send())

    def ends(self, *names: str) -> dict[tuple[str, int], int]:
        """The offset of the next record, of each partition of these topics."""

        async def ask() -> dict[tuple[str, int], int]:
            async with connect(self.broker, self.data_dir) as client:
                return {(name, number): end for name in names for number, end in (await client.ends(name)).items()}

        return asyncio.run(ask())

    # -- the database

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the database answers; nothing as long as it is not there."""
        path = self.data_dir / "traderecon.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            try:
                return database.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # the first worker is still making them
                    return []
                raise

    def one(self, sql: str, *parameters: object) -> Any:
        """The one value of a query's first row; None where there is no row."""
        return next(iter(self.rows(sql, *parameters)), (None,))[0]

    def watermark_s(self) -> float:
        """How far time has got in every partition of the journal, in seconds since 1970; 0 where one has told none."""
        told = [watermark for (watermark,) in self.rows("SELECT watermark FROM standings") if watermark]
        if len(told) < self.partitions:
            return 0.0
        return min(datetime.fromisoformat(watermark).timestamp() for watermark in told)

    def decided(self, sent_by_s: float) -> bool:
        """Whether everything sent by then is decided, every grace of it is over, and all of it is in the database."""
        if self.watermark_s() < sent_by_s + self.grace_s:
            return False
        waiting = [json.loads(pending).values() for (pending,) in self.rows("SELECT pending FROM standings")]
        return not sum(map(sum, waiting)) and self.stored()

    def stored(self) -> bool:
        """Whether the sink has read the topics of results and dead letters to their ends."""
        kept = {
            (topic, partition): offset
            for topic, partition, offset in self.rows("SELECT topic, partition, next_offset FROM sink_offsets")
        }
        ends = self.ends(self.topics.reconciled, self.topics.mismatch, self.topics.dead_letters)
        return all(kept.get(place, 0) == end for place, end in ends.items())

    def until(self, found: Callable[[], object], what: str, within_s: float = READY_S) -> None:
        """Wait for a condition while the workers that were started last run. Raises Ended, or Never."""
        worker = self._workers[-1]
        until(lambda: worker.alive() and found(), what, within_s)

    def until_decided(self, within_s: float = DECIDED_S) -> None:
        """Wait until everything that is sent by now is decided and stored."""
        sent_by_s = time.time()
        try:
            self.until(lambda: self.decided(sent_by_s), "all is decided and stored", within_s)
        except AssertionError as error:
            error.add_note(f"sent by {sent_by_s}\n{self.standing()}")
            raise

    def standing(self) -> str:
        """How far everything has got, and what every worker said last: what one looks at when it stands still."""
        names = (self.topics.reconciled, self.topics.mismatch, self.topics.dead_letters)
        lines = [
            f"watermark {self.watermark_s()}",
            *map(str, self.rows("SELECT * FROM standings")),
            f"stored {self.rows('SELECT topic, partition, next_offset FROM sink_offsets')}",
            f"of {self.ends(*names)}",
        ]
        for number, worker in enumerate(self._workers):
            lines.append(f"worker {number}, process {worker.pid} and {len(worker.pids)} of its group:")
            lines.append(worker.log[-3000:])
        return "\n".join(lines)
