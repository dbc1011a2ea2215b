"""Workers: the workload's processes, each with its disk and its log, kept running until the run is over.

    Worker: go -> running -> end(signal) -> go

Whoever ends without being asked is started again after a pause and counted. 70 is a worker's way to say that it
cannot keep its promise, 4 that there is no broker. An exit code outside ALLOWED fails the run, and so does a 4 while
the broker is there, and a worker that has to be killed because it does not leave.
"""

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Sequence
from os import environ
from pathlib import Path
from typing import NamedTuple

from torture.group import Watch

AGAIN_S = 0.5
LEAVE_S = 40
ALLOWED = frozenset({0, 70, -9, -15})
FAIL_STOP = 70
UNREACHABLE = 4
JUST_NOW_S = 5
TESTS = Path(__file__).parents[1]


class Exit(NamedTuple):
    """The end of one life: when (monotonic seconds), how, whether the harness asked for it, whether it may be."""

    at_s: float
    code: int
    asked: bool
    allowed: bool


class Worker:
    """One worker over its lives. It is down until ``go``, and after ``end``."""

    def __init__(self, name: str, command: Sequence[str], data_dir: Path, log: Path, watch: Watch) -> None:
        self.name = name
        self.command = [*command, "--instance", name, "--data-dir", str(data_dir)]
        self.data_dir = data_dir
        self.log = log
        self.exits: list[Exit] = []
        self._watch = watch
        self._wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._member_before = ""
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
                self._process = await self._start()
                code = await self._process.wait()
                # The broker counts a dead worker as a member for a while: that is not the next life.
                self._member_before = self._watch.member_id(self.name)
                now_s = time.monotonic()
                alone = code == UNREACHABLE and now_s - self._watch.silent_at_s < JUST_NOW_S
                asked = not self._wanted.is_set()
                allowed = (alone or code in ALLOWED) and not self._hangs
                self.exits.append(Exit(now_s, code, asked, allowed))
                self._hangs = False
                self._ended.set()
                await asyncio.sleep(AGAIN_S)
        finally:
            self.send(signal.SIGKILL)
            if self._process is not None:
                await self._process.wait()

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return not self._ended.is_set() and self._process is not None and self._process.returncode is None

    @property
    def joined(self) -> bool:
        """Whether the broker knows this life."""
        return self.running and self._watch.member_id(self.name) not in {"", self._member_before}

    @property
    def consuming(self) -> bool:
        """Whether this life has been seen to consume."""
        return self.joined and self._watch.member_id(self.name) in self._watch.consumed

    def send(self, number: signal.Signals) -> None:
        """Send a signal; who has ended gets none."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

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

    async def _start(self) -> asyncio.subprocess.Process:
        # The kernel kills it when the harness is gone, however that ended.
        bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *bound,
                *self.command,
                cwd=self.log.parent,
                env={**environ, "PYTHONPATH": str(TESTS)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
