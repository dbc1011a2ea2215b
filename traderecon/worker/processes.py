"""The processes of one worker: on a Kafka each stage has its own, and so have the pages; one more watches them.

    traderecon worker ─┬─ intake                   with metrics and health on a port of loopback
     (watches)         ├─ matching, matching-2     two, each with partitions of its own
                       ├─ sink
                       └─ web                      on the worker's own address: it asks the others, answers for all

One Python process runs one thread at a time: with its stages in processes a worker comes through a backlog 1.6 times as
fast, and 1.2 times as fast again with two for matching, which takes longest then. They share nothing but the worker's
home. Stages live and end together: the kernel kills them with the process that was started, however that ends, and
that one ends with the exit code of a stage that failed. Pages hold nothing of the pipeline: where their process fails
it is started again. Linux only, as that signal is; elsewhere, on the embedded log, and with one role, a worker is one
process.
"""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop
from traderecon.worker.roles import ROLES

LOOK_S = 0.1
LEAVE_S = 40.0
"""A stage that is told to stop ends by itself within 30 s: see ``StreamApp``."""
AGAIN_S = 1.0
"""So long after pages have failed they are started again."""
ASKED = {0, *(code for number in (signal.SIGTERM, signal.SIGINT) for code in (-number, 128 + number))}
"""How a process ends that was asked to, before or after it had begun."""
DIES_WITH_PARENT = 1
"""What prctl is told. Source: prctl(2), PR_SET_PDEATHSIG."""
PAGES = "web"


MATCHING = 2
"""Processes of matching, where there are so many processors: it takes twice as long as the sink."""

logger = logging.getLogger(__name__)


class Share(NamedTuple):
    """What a fork does: a stage, or the first, second, ... part of one, or the pages."""

    role: str
    number: int

    def __str__(self) -> str:
        return self.role if self.number == 1 else f"{self.role}-{self.number}"


class Fork(NamedTuple):
    """Another process of this worker, as the one that answers for all sees it."""

    pid: int
    port: int


class Here(NamedTuple):
    """What this process is: roles of its own, where it listens, and the others, where it answers for them."""

    roles: Sequence[str]
    share: int
    forks: Mapping[Share, Fork]
    listening: socket.socket


def shares(roles: Collection[str]) -> Sequence[Share]:
    """What is done in a process of its own; nothing where all is done in the one that was started."""
    chosen = [role for role in ROLES if role in roles]
    if sys.platform != "linux" or len(chosen) == 1:
        return []
    counts = {"matching": min(MATCHING, len(os.sched_getaffinity(0)))}
    counts[chosen[-1]] = 1  # it answers for the others
    return [Share(role, number) for role in chosen for number in range(1, counts.get(role, 1) + 1)]


def divided(roles: Sequence[str], apart: Sequence[Share], listening: socket.socket) -> Here:
    """Fork a process for each share, the last of them for ``listening``; returns in them, never in the one that forks.

    That one watches, and ends with their exit code. What cannot be forked ends it: 70. To be called before there is a
    thread or an event loop.
    """
    if not apart:
        return Here(roles, 1, {}, listening)
    # Whoever started us may ignore the ends of children: then nobody could tell how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    watch = _Watch(listening)
    for share in apart:
        if (here := watch.fork(share, last=share == apart[-1])) is not None:
            return here
    if (here := watch.until_the_end()) is not None:
        return here  # pages that were started again
    sys.exit(watch.worst)


class _Watch:
    """The process that was started: it has no role, no thread and no loop, so it may fork at any time."""

    def __init__(self, listening: socket.socket) -> None:
        self.worst = 0
        self._listening = listening
        self._forks: dict[Share, Fork] = {}
        self._left: dict[Share, Fork] = {}
        self._told = False
        self._until = 0.0
        self._again: dict[Share, float] = {}
        self._handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def fork(self, share: Share, *, last: bool) -> Here | None:
        """Fork one; what it is, in the fork, None here. The last listens on the worker's address."""
        parent = os.getpid()
        # An exception that a signal raises within what Python runs at a fork is lost, and the signal with it.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, self._handlers)
        try:
            own = self._listening if last else socket.create_server(("127.0.0.1", 0))
            pid = os.fork()
            if not pid:
                for number, handler in self._handlers.items():
                    signal.signal(number, handler)
        except OSError as error:
            fail_stop(f"there is no process for {share}: {error.strerror or error}", error)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        if not pid:
            ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(Exit.SOFTWARE)
            if not last:
                self._listening.close()
            return Here((share.role,), share.number, dict(self._forks) if last else {}, own)
        fork = Fork(pid, own.getsockname()[1])
        self._left[share] = fork
        if not last:
            self._forks[share] = fork
            own.close()
        return None

    def until_the_end(self) -> Here | None:
        """Watch until all have ended; in pages that are started again, what they are."""
        for number in self._handlers:
            signal.signal(number, self._asked)
        while self._left or self._again:
            for share, code in self._ended():
                if share.role == PAGES and not self._told and code not in {*ASKED, Exit.CONFIG}:
                    logger.error("the pages ended with %d: they are started again, and the pipeline goes on", code)
                    self._again[share] = time.monotonic() + AGAIN_S
                    continue
                if code not in ASKED:
                    if not self._told:
                        fail_stop(
                            f"the process of {share} ended with {code}, so this worker does", code=_passed_on(code)
                        )
                    self.worst = self.worst or _passed_on(code)
                self._tell()
            for share in [share for share, at in self._again.items() if self._told or time.monotonic() > at]:
                del self._again[share]
                if not self._told and (here := self.fork(share, last=True)) is not None:
                    return here
            if self._told and time.monotonic() > self._until:
                for fork in self._left.values():
                    os.kill(fork.pid, signal.SIGKILL)
            time.sleep(LOOK_S)
        return None

    def _asked(self, *_: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        """Tell the others to end, once."""
        if not self._told:
            self._told, self._until = True, time.monotonic() + LEAVE_S
            for fork in self._left.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(fork.pid, signal.SIGTERM)

    def _ended(self) -> list[tuple[Share, int]]:
        ended = []
        for share, fork in list(self._left.items()):
            pid, status = os.waitpid(fork.pid, os.WNOHANG)
            if pid:
                del self._left[share]
                ended.append((share, os.waitstatus_to_exitcode(status)))
        return ended


def _passed_on(code: int) -> int:
    return code if code in {Exit.UNREACHABLE, Exit.SOFTWARE, Exit.CONFIG} else Exit.SOFTWARE
