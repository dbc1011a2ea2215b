"""Workers: the workload's processes, each with its disk and its log, kept running until the run is over.

    Worker: go -> running -> end(signal) -> go

A worker that exits unrequested is restarted after a pause, and its exit is recorded. 70 is fail-stop, 143 means that
it was terminated before it was running, 4 that it cannot reach the broker. These fail the run: an exit code outside
ALLOWED, a 4 that no fault explains, and a worker that has to be killed because it or a child process does not exit.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from math import inf
from pathlib import Path
from typing import NamedTuple

from pipeline_case import members as processes_of

from torture.group import Member, Watch
from torture.workload import Start

RESTART_DELAY_S = 0.5
POLL_S = 0.02
CHILDREN_WITHIN_S = 10
LEAVE_S = 40
FAIL_STOP = 70
TERMINATED = 143
ALLOWED = frozenset({0, FAIL_STOP, TERMINATED, -9, -15})


class Exit(NamedTuple):
    """The exit of one process: when (monotonic seconds), its code, whether it was requested, whether it is allowed.

    ``since_outage_s``: the time since the broker last failed to answer, infinite if it never did. ``last_line``: of the
    worker's log.
    """

    at_s: float
    code: int
    requested: bool
    allowed: bool
    uptime_s: float
    since_outage_s: float
    last_line: str

    @property
    def line(self) -> str:
        """The exit in one line, for the report."""
        outage = f", the broker did not answer {self.since_outage_s:.1f} s before" if self.since_outage_s < inf else ""
        return f"exit code {self.code} after {self.uptime_s:.1f} s{outage}: {self.last_line or 'without a word'}"


class Worker:
    """One worker across its restarts. It is down until ``go``, and after ``end``."""

    def __init__(self, name: str, start: Start, log: Path, watch: Watch) -> None:
        self.name = name
        self.log = log
        self.exits: list[Exit] = []
        self.log_start = 0
        """Where the output of the current process starts in the log, in bytes."""
        self.started_s = -inf
        """When the current process was started, in monotonic seconds."""
        self._start_spec = start
        self._watch = watch
        self._wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._known_before: frozenset[str] = frozenset()
        self._hung = False

    def go(self) -> None:
        """Allow it to run."""
        self._wanted.set()

    async def keep(self) -> None:
        """Restart it whenever it should run and does not, until cancelled; then kill it."""
        try:
            while True:
                await self._wanted.wait()
                self._ended.clear()
                # The broker lists a dead member for a while: it is not a member of the next process.
                self._known_before = frozenset(self._watch.known_ids)
                self.started_s = time.monotonic()
                self._process = await self._start_process()
                code = await self._process.wait()
                now_s = time.monotonic()
                await self._wait_children_gone(self._process.pid)
                requested = not self._wanted.is_set()
                allowed = (code in ALLOWED or self._watch.allows_exit(code, now_s)) and not self._hung
                durations_s = now_s - self.started_s, now_s - self._watch.unanswered_at_s
                self.exits.append(Exit(now_s, code, requested, allowed, *durations_s, self._last_line()))
                self._hung = False
                self._ended.set()
                await asyncio.sleep(RESTART_DELAY_S)
        finally:
            self.send(signal.SIGKILL)
            if self._process is not None:
                await self._process.wait()
                await self._wait_children_gone(self._process.pid)

    @property
    def wanted(self) -> bool:
        """Whether it should run."""
        return self._wanted.is_set()

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return not self._ended.is_set() and self._process is not None and self._process.returncode is None

    @property
    def pids(self) -> set[int]:
        """The ids of its processes."""
        return processes_of(self._process.pid) if self.running and self._process is not None else set()

    @property
    def members(self) -> list[Member]:
        """The group members of the current process and its children; empty if the broker does not list them."""
        if not self.running or self._process is None:
            return []
        members = self._watch.members_of(self._start_spec.home.instance(self._process.pid))
        return [member for member in members if member.member_id not in self._known_before]

    @property
    def partitions(self) -> str:
        """The partitions of the watched topic that are assigned to it."""
        return " ".join(map(str, sorted({number for member in self.members for number in member.partitions})))

    @property
    def consuming(self) -> bool:
        """Whether the current process has been observed to consume."""
        return any(member.member_id in self._watch.consumed_ids for member in self.members)

    def wipe(self) -> int:
        """Remove what the last process left on disk; returns how many files. Raises Missed if another worker has it."""
        return self._start_spec.home.wipe(self._process.pid) if self._process is not None else 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, SIGTERM only to the first; does nothing if it has exited."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (os.kill if number is signal.SIGTERM else os.killpg)(self._process.pid, number)

    async def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the exit and stay down; killed after LEAVE_S. Returns the exit code."""
        self._wanted.clear()
        self.send(number)
        try:
            await asyncio.wait_for(self._ended.wait(), LEAVE_S)
        except TimeoutError:
            self._hung = True
            self.send(signal.SIGKILL)
            await self._ended.wait()
        return self.exits[-1].code if self.exits else 0

    async def _wait_children_gone(self, group: int) -> None:
        """Wait for the child processes, which the kernel ends with the parent; kill those that stay."""
        deadline_s = time.monotonic() + CHILDREN_WITHIN_S
        while processes_of(group) and time.monotonic() < deadline_s:
            await asyncio.sleep(POLL_S)
        if processes_of(group):
            self._hung = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _last_line(self) -> str:
        """The last line that the current process has logged."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def _start_process(self) -> asyncio.subprocess.Process:
        # The kernel kills it when the harness exits, however that happens.
        tie = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            return await asyncio.create_subprocess_exec(
                *tie,
                *self._start_spec.command,
                cwd=self.log.parent,
                env=self._start_spec.full_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
