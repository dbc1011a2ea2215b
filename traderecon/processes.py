"""The processes of one worker: on a Kafka each stage has its own, so that none waits for another's turn.

    traderecon worker ─┬─ intake                   a fork, with metrics and health on a port of loopback
                       ├─ matching, matching-2     two more, each with partitions of its own
                       └─ sink, web                the process that was started: it asks the others, answers for all

One Python process runs one thread at a time: with its stages in three a worker comes through a backlog 1.6 times as
fast, and 1.2 times as fast again with two for matching, which takes longest then. They share nothing but the worker's
home, and live and end together: the kernel kills a fork with the process that was started, however that ends, and that
one ends with the exit code of a fork that failed. Linux only, as that signal is; elsewhere, and on the embedded log, a
worker is one process.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import faust
from mode import Service

from traderecon.roles import ROLES
from traderecon.transport.halt import PROMISE, REFUSED, UNREACHABLE, halt

LOOK_S = 0.2
LEAVE_S = 40.0
"""A stage that is told to stop ends by itself within 30 s: see ``StreamApp``."""
ASKED = {0, *(code for number in (signal.SIGTERM, signal.SIGINT) for code in (-number, 128 + number))}
"""How a process ends that was asked to, before or after it had begun."""
DIES_WITH_PARENT = 1
"""What prctl is told. Source: prctl(2), PR_SET_PDEATHSIG."""


MATCHING = 2
"""Processes of matching, where there are so many processors: it takes twice as long as the sink."""


class Share(NamedTuple):
    """What a fork does: a stage, or the first, second, ... part of one."""

    role: str
    number: int

    def __str__(self) -> str:
        return self.role if self.number == 1 else f"{self.role}-{self.number}"


class Fork(NamedTuple):
    """Another process of this worker, as the one that was started sees it."""

    pid: int
    port: int


class Here(NamedTuple):
    """What this process is: roles of its own, and the forks it answers for; ``listening`` only where it is one."""

    roles: Sequence[str]
    share: int
    forks: Mapping[Share, Fork]
    listening: socket.socket | None


def shares(roles: Collection[str]) -> Sequence[Share]:
    """What is done in a process of its own: all stages but the last, which stays with the pages."""
    stages = [role for role in ROLES if role in roles and role != "web"]
    if sys.platform != "linux":
        return []
    counts = {"matching": min(MATCHING, len(os.sched_getaffinity(0)))}
    return [Share(role, number) for role in stages[:-1] for number in range(1, counts.get(role, 1) + 1)]


def divided(roles: Sequence[str], apart: Sequence[Share]) -> Here:
    """Fork a process for each share of ``apart``; returns in all of them. What cannot be forked ends the process: 70.

    To be called before there is a thread or an event loop.
    """
    forks: dict[Share, Fork] = {}
    parent = os.getpid()
    # Whoever started us may ignore the ends of children: then nobody could tell how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for share in apart:
        try:
            listening = socket.create_server(("127.0.0.1", 0))
            pid = os.fork()
        except OSError as error:
            halt(f"there is no process for {share}: {error.strerror or error}", error)
        if not pid:
            ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(PROMISE)
            return Here((share.role,), share.number, {}, listening)
        forks[share] = Fork(pid, listening.getsockname()[1])
        listening.close()
    gone = {share.role for share in forks}
    return Here([role for role in roles if role not in gone], 1, forks, None)


class Worker(faust.Worker):
    """The Faust worker of the process that was started: it watches the forks, and has them end with it."""

    def __init__(self, forks: Mapping[Share, Fork], *apps: faust.App, **more: Any) -> None:
        super().__init__(*apps, **more)
        self._left = dict(forks)
        self._until: float | None = None

    @Service.task
    async def _watch(self) -> None:
        while self._left and not self.should_stop:
            await self.sleep(LOOK_S)
            for share, code in self._ended():
                if code not in ASKED:
                    halt(f"the process of {share} ended with {code}, so this worker does", code=_passed_on(code))
                os.kill(os.getpid(), signal.SIGTERM)

    async def on_stop(self) -> None:
        """Tell the forks to end, before anything here does."""
        self._tell()
        await super().on_stop()

    def join(self) -> int:
        """Wait for the forks to end, and kill who has not 40 s after it was told; 0, or the code of one that failed."""
        worst, until = 0, self._tell()
        while self._left:
            for _, code in self._ended():
                worst = worst or (0 if code in ASKED else _passed_on(code))
            if time.monotonic() > until:
                for fork in self._left.values():
                    os.kill(fork.pid, signal.SIGKILL)
            time.sleep(LOOK_S / 10)
        return worst

    def _tell(self) -> float:
        """Tell the forks once; until when they may take, by the monotonic clock."""
        if self._until is None:
            self._until = time.monotonic() + LEAVE_S
            for fork in self._left.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(fork.pid, signal.SIGTERM)
        return self._until

    def _ended(self) -> list[tuple[Share, int]]:
        ended = []
        for share, fork in list(self._left.items()):
            pid, status = os.waitpid(fork.pid, os.WNOHANG)
            if pid:
                del self._left[share]
                ended.append((share, os.waitstatus_to_exitcode(status)))
        return ended


def _passed_on(code: int) -> int:
    return code if code in {UNREACHABLE, PROMISE, REFUSED} else PROMISE
