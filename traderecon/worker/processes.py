"""The processes of one worker: on Kafka, each stage and the pages run in their own process, under a supervisor.

    traderecon worker ─┬─ intake                   with metrics and health on a loopback port
     (supervises)      ├─ matching, matching-2     two, each with its own partitions
                       ├─ sink
                       └─ web                      on the worker's address: queries the others, answers for all

A Python process runs one thread at a time: with a process per stage a worker clears a backlog 1.6 times as fast, and
1.2 times faster still with two for matching, then the slowest stage. The processes share only the worker's home. Stages
live and die together: the kernel kills them when the supervisor dies, and the supervisor exits with the code of the
stage that failed. The pages hold no pipeline state: if their process fails, it is restarted. Linux only, because of
that kernel signal; elsewhere, on the embedded log, and with a single role, a worker is one process.
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

POLL_S = 0.1
STOP_TIMEOUT_S = 40.0
"""A stage ends by itself within 30 s of SIGTERM: see ``StreamApp``."""
RESTART_DELAY_S = 1.0
"""Delay before the pages are restarted."""
STOPPED_CODES = {0, *(code for number in (signal.SIGTERM, signal.SIGINT) for code in (-number, 128 + number))}
"""Exit codes of a process that was asked to stop, before or after its handlers were installed."""
PR_SET_PDEATHSIG = 1
"""Source: prctl(2)."""
PAGES = "web"
MATCHING_PROCESSES = 2
"""If there are as many processors: matching takes twice as long as the sink."""

logger = logging.getLogger(__name__)


class Share(NamedTuple):
    """The work of one fork: a stage, its first, second, ... part, or the pages."""

    role: str
    number: int

    def __str__(self) -> str:
        return self.role if self.number == 1 else f"{self.role}-{self.number}"


class Fork(NamedTuple):
    """Another process of this worker, and the loopback port of its health."""

    pid: int
    port: int


class ThisProcess(NamedTuple):
    """This process: its roles, its share, its listening socket, and the other forks if it answers for them."""

    roles: Sequence[str]
    share: int
    forks: Mapping[Share, Fork]
    listening: socket.socket


def shares(roles: Collection[str]) -> Sequence[Share]:
    """The processes to fork; none if everything runs in this process."""
    ordered = [role for role in ROLES if role in roles]
    if sys.platform != "linux" or len(ordered) == 1:
        return []
    counts = {"matching": min(MATCHING_PROCESSES, len(os.sched_getaffinity(0)))}
    counts[ordered[-1]] = 1  # it answers for the others
    return [Share(role, number) for role in ordered for number in range(1, counts.get(role, 1) + 1)]


def fork_processes(roles: Sequence[str], to_fork: Sequence[Share], listening: socket.socket) -> ThisProcess:
    """Fork a process for each share; returns in the forks only. The last fork gets the ``listening`` socket.

    The parent supervises them and exits with their exit code, or with 70 if it cannot fork. Call it before a thread or
    an event loop is started.
    """
    if not to_fork:
        return ThisProcess(roles, 1, {}, listening)
    # If SIGCHLD is ignored, as some parents have it, the exit codes of children are lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    supervisor = _Supervisor(listening)
    for share in to_fork:
        if (here := supervisor.fork(share, last=share == to_fork[-1])) is not None:
            return here
    if (here := supervisor.supervise()) is not None:
        return here  # the restarted pages
    sys.exit(supervisor.exit_code)


class _Supervisor:
    """The parent process: it has no role, thread or event loop, so it may fork at any time."""

    def __init__(self, listening: socket.socket) -> None:
        self.exit_code = 0
        self._listening = listening
        self._siblings: dict[Share, Fork] = {}
        self._running: dict[Share, Fork] = {}
        self._stopping = False
        self._kill_at_s = 0.0
        self._restart_at_s: dict[Share, float] = {}
        self._handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def fork(self, share: Share, *, last: bool) -> ThisProcess | None:
        """Fork one process; its description in the fork, None in the parent. The last gets the worker's socket."""
        parent = os.getpid()
        # A signal whose handler raises inside Python's fork hooks would be lost.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, self._handlers)
        try:
            own = self._listening if last else socket.create_server(("127.0.0.1", 0))
            pid = os.fork()
            if not pid:
                for number, handler in self._handlers.items():
                    signal.signal(number, handler)
        except OSError as error:
            fail_stop(f"no process could be started for {share}: {error.strerror or error}", error)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        if not pid:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(Exit.SOFTWARE)
            if not last:
                self._listening.close()
            return ThisProcess((share.role,), share.number, dict(self._siblings) if last else {}, own)
        fork = Fork(pid, own.getsockname()[1])
        self._running[share] = fork
        if not last:
            self._siblings[share] = fork
            own.close()
        return None

    def supervise(self) -> ThisProcess | None:
        """Wait until all processes have ended and return None; in restarted pages, return their description."""
        for number in self._handlers:
            signal.signal(number, self._on_signal)
        while self._running or self._restart_at_s:
            for share, code in self._reap():
                self._on_exit(share, code)
            if (here := self._restart_pages()) is not None:
                return here
            if self._stopping and time.monotonic() > self._kill_at_s:
                for fork in self._running.values():
                    os.kill(fork.pid, signal.SIGKILL)
            time.sleep(POLL_S)
        return None

    def _on_signal(self, *_: Any) -> None:
        self._stop_all()

    def _on_exit(self, share: Share, code: int) -> None:
        """Schedule the restart of failed pages; the end of any other process ends the worker."""
        if share.role == PAGES and not self._stopping and code not in {*STOPPED_CODES, Exit.CONFIG}:
            logger.error("the pages ended with exit code %d: restarting them; the pipeline continues", code)
            self._restart_at_s[share] = time.monotonic() + RESTART_DELAY_S
            return
        if code not in STOPPED_CODES:
            if not self._stopping:
                text = f"the process of {share} ended with exit code {code}, so the worker ends"
                fail_stop(text, code=_worker_exit_code(code))
            self.exit_code = self.exit_code or _worker_exit_code(code)
        self._stop_all()

    def _restart_pages(self) -> ThisProcess | None:
        due = [share for share, at_s in self._restart_at_s.items() if self._stopping or time.monotonic() > at_s]
        for share in due:
            del self._restart_at_s[share]
            if not self._stopping and (here := self.fork(share, last=True)) is not None:
                return here
        return None

    def _stop_all(self) -> None:
        """Send SIGTERM to all processes, once."""
        if not self._stopping:
            self._stopping, self._kill_at_s = True, time.monotonic() + STOP_TIMEOUT_S
            for fork in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(fork.pid, signal.SIGTERM)

    def _reap(self) -> list[tuple[Share, int]]:
        """The processes that have ended since the last call, with their exit codes."""
        ended = []
        for share, fork in list(self._running.items()):
            pid, status = os.waitpid(fork.pid, os.WNOHANG)
            if pid:
                del self._running[share]
                ended.append((share, os.waitstatus_to_exitcode(status)))
        return ended


def _worker_exit_code(code: int) -> int:
    return code if code in {Exit.UNREACHABLE, Exit.SOFTWARE, Exit.CONFIG} else Exit.SOFTWARE
