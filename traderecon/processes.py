"""The processes of one worker: on a Kafka each stage has one of its own, so that none waits for another's turn.

    traderecon worker ─┬─ intake             a fork, with metrics and health on a port of loopback
                       ├─ matching           another
                       └─ sink, web          the process that was started: it asks the others, and answers for all

One Python process runs one thread at a time: with its stages in three a worker comes through a backlog 1.6 times as
fast. They share nothing but the worker's home, and live and end together: a fork ends with the process that was
started, however that ends, and that one ends with the exit code of a fork that failed. The home is held until the last
of them is gone.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mode import Service

from traderecon.roles import ROLES
from traderecon.transport.halt import PROMISE, REFUSED, UNREACHABLE, halt

LOOK_S = 0.2
LEAVE_S = 40.0
"""A stage that is told to stop ends by itself within 30 s: see ``StreamApp``."""
TOLD = (0, 128 + signal.SIGTERM, -signal.SIGTERM)
"""How a process ends that was asked to, before or after it had begun."""


class Fork(NamedTuple):
    """Another process of this worker, as the one that was started sees it."""

    pid: int
    port: int


class Here(NamedTuple):
    """What this process is: roles of its own, and the forks it answers for; ``listening`` only where it is one."""

    roles: Sequence[str]
    forks: Mapping[str, Fork]
    listening: socket.socket | None


def stages_apart(roles: Collection[str]) -> Sequence[str]:
    """The roles that get a process of their own: all stages but the last, which stays with the pages."""
    return [role for role in ROLES if role in roles and role != "web"][:-1]


def divided(roles: Sequence[str], apart: Sequence[str]) -> Here:
    """Fork a process for each role of ``apart``; returns in all of them.

    To be called before there is a thread or an event loop. A fork ends at once when this process is gone.
    """
    forks: dict[str, Fork] = {}
    heard, held = os.pipe()
    for role in apart:
        listening = socket.create_server(("127.0.0.1", 0))
        if not (pid := os.fork()):
            os.close(held)
            threading.Thread(target=end_with, args=(heard,), daemon=True).start()
            return Here((role,), {}, listening)
        forks[role] = Fork(pid, listening.getsockname()[1])
        listening.close()
    os.close(heard)  # ``held`` stays open as long as this process lives
    return Here([role for role in roles if role not in forks], forks, None)


def end_with(file: int) -> None:
    """End this process at once when nobody can write to ``file`` any more: nothing left to do may get in their way."""
    while os.read(file, 4_096):
        pass
    os._exit(PROMISE)


class Forks(Service):
    """Watches the forks while the worker runs, and has them end with it."""

    def __init__(self, forks: Mapping[str, Fork], **more: Any) -> None:
        super().__init__(**more)
        self._left = dict(forks)

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_S)
            for role, code in self._ended():
                if code not in TOLD:
                    halt(f"the process of {role} ended with {code}, so this worker does", code=_passed_on(code))
                os.kill(os.getpid(), signal.SIGTERM)

    async def on_stop(self) -> None:
        """Tell them to end."""
        for fork in self._left.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(fork.pid, signal.SIGTERM)

    def join(self) -> int:
        """Wait until they have ended, killing who does not within 40 s; 0, or the exit code of one that failed."""
        worst, until = 0, time.monotonic() + LEAVE_S
        while self._left:
            for _, code in self._ended():
                worst = worst or (0 if code in TOLD else _passed_on(code))
            if time.monotonic() > until:
                for fork in self._left.values():
                    os.kill(fork.pid, signal.SIGKILL)
            time.sleep(LOOK_S / 10)
        return worst

    def _ended(self) -> list[tuple[str, int]]:
        ended = []
        for role, fork in list(self._left.items()):
            pid, status = os.waitpid(fork.pid, os.WNOHANG)
            if pid:
                del self._left[role]
                ended.append((role, os.waitstatus_to_exitcode(status)))
        return ended


def _passed_on(code: int) -> int:
    return code if code in {UNREACHABLE, PROMISE, REFUSED} else PROMISE
