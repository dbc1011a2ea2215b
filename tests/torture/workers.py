"""Workers: the workload's processes, each with its disk and its log, kept running until the run is over.

    Worker: go -> running -> end(signal) -> go

Whoever ends without being asked is started again after a pause and counted. 70 is a worker's way to say that it
cannot keep its promise, 143 that it was told to end before it had begun, 4 that there is no broker. An exit code
outside ALLOWED fails the run, and so does a 4 where nothing excuses it, and a worker that has to be killed because it,
or a process of it, does not leave.
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

AGAIN_S = 0.5
LOOK_S = 0.02
ALL_GONE_S = 10
LEAVE_S = 40
FAIL_STOP = 70
TERMINATED = 143
ALLOWED = frozenset({0, FAIL_STOP, TERMINATED, -9, -15})


class Exit(NamedTuple):
    """The end of one life: when (monotonic seconds), how, whether the harness asked for it, whether it may be.

    ``lived_s``: after how long. ``silent_s``: how long the broker had always answered by then, infinite where it never
    failed to. ``words``: the last it said.
    """

    at_s: float
    code: int
    asked: bool
    allowed: bool
    lived_s: float
    silent_s: float
    words: str

    @property
    def line(self) -> str:
        """For who has to know why."""
        silent = f", the broker silent {self.silent_s:.1f} s before" if self.silent_s < inf else ""
        return f"exit code {self.code} after {self.lived_s:.1f} s{silent}: {self.words or 'without a word'}"


class Worker:
    """One worker over its lives. It is down until ``go``, and after ``end``."""

    def __init__(self, name: str, how: Start, log: Path, watch: Watch) -> None:
        self.name = name
        self.log = log
        self.exits: list[Exit] = []
        self.born_at = 0
        """Where in the log its present life begins, in bytes."""
        self.began_s = -inf
        """When, in monotonic seconds, its present life began."""
        self._how = how
        self._watch = watch
        self._wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._known_before: frozenset[str] = frozenset()
        self._hangs = False

    def go(self) -> None:
        """Let it run."""
        self._wanted.set()

    async def keep(self) -> None:
        """Start it whenever it is wanted and does not run, until cancelled; then it is killed."""
        try:
            while True:
                await self._wanted.wait()
                self._ended.clear()
                # The broker counts a dead worker as a member for a while: that is not the next life.
                self._known_before = frozenset(self._watch.known)
                self.began_s = time.monotonic()
                self._process = await self._start()
                code = await self._process.wait()
                now_s = time.monotonic()
                await self._all_gone(self._process.pid)
                asked = not self._wanted.is_set()
                allowed = (code in ALLOWED or self._watch.excuses(code, now_s)) and not self._hangs
                times_s = now_s - self.began_s, now_s - self._watch.silent_at_s
                self.exits.append(Exit(now_s, code, asked, allowed, *times_s, self._last_words()))
                self._hangs = False
                self._ended.set()
                await asyncio.sleep(AGAIN_S)
        finally:
            self.send(signal.SIGKILL)
            if self._process is not None:
                await self._process.wait()
                await self._all_gone(self._process.pid)

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
        """Its processes."""
        return processes_of(self._process.pid) if self.running and self._process is not None else set()

    @property
    def members(self) -> list[Member]:
        """What the broker says of this life, process by process; nothing where it does not know it, or has lost it."""
        if not self.running or self._process is None:
            return []
        named = self._watch.members_of(self._how.home.instance(self._process.pid))
        return [member for member in named if member.member_id not in self._known_before]

    @property
    def partitions(self) -> str:
        """The partitions of the watched topic that this life has."""
        return " ".join(map(str, sorted({number for member in self.members for number in member.partitions})))

    @property
    def consuming(self) -> bool:
        """Whether this life has been seen to consume."""
        return any(member.member_id in self._watch.consumed for member in self.members)

    def wipe(self) -> int:
        """Remove what its last life left on disk; how many files. Raises Missed where another worker has it."""
        return self._how.home.wipe(self._process.pid) if self._process is not None else 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, a request to end to the first; who has ended gets none."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (os.kill if number is signal.SIGTERM else os.killpg)(self._process.pid, number)

    async def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end and stay down; after LEAVE_S it is killed. The exit code."""
        self._wanted.clear()
        self.send(number)
        try:
            await asyncio.wait_for(self._ended.wait(), LEAVE_S)
        except TimeoutError:
            self._hangs = True
            self.send(signal.SIGKILL)
            await self._ended.wait()
        return self.exits[-1].code if self.exits else 0

    async def _all_gone(self, group: int) -> None:
        """Wait for the rest of its processes, which the kernel ends with the first; one that stays has to be killed."""
        until = time.monotonic() + ALL_GONE_S
        while processes_of(group) and time.monotonic() < until:
            await asyncio.sleep(LOOK_S)
        if processes_of(group):
            self._hangs = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _last_words(self) -> str:
        """The last line that its present life has written."""
        with self.log.open("rb") as log:
            log.seek(self.born_at)
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def _start(self) -> asyncio.subprocess.Process:
        # The kernel kills it when the harness is gone, however that ended.
        bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with self.log.open("ab") as log:
            self.born_at = log.tell()
            return await asyncio.create_subprocess_exec(
                *bound,
                *self._how.command,
                cwd=self.log.parent,
                env=self._how.surroundings(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
