"""Group commit: one thread writes, and what came while it was writing is one transaction, synced once.

    append, append, commit, ...  ->  everything pending: one transaction  ->  their futures, in order

Order is the order of the calls, from each thread that calls.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from traderecon.transport.log.batches import Entry
from traderecon.transport.log.errors import Busy
from traderecon.transport.log.log import Log

MAX_RECORDS = 20_000
"""One transaction takes no further append once it has so many records."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _Append(NamedTuple):
    topic: str
    partition: int
    entries: Sequence[Entry]
    done: Future[int]


class _Commit(NamedTuple):
    group: str
    offsets: Mapping[tuple[str, int], int]
    notes: Mapping[tuple[str, int], str] | None
    done: Future[None]


class Writer:
    """The one thread of a process that writes to a log. Any thread may call any method.

    While another process keeps the log to itself, it waits; any other error is given to the future it concerns.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pending: SimpleQueue[_Append | _Commit | None] = SimpleQueue()
        self._closing = Event()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def append(self, topic: str, partition: int, entries: Sequence[Entry]) -> Future[int]:
        """Append entries to a partition; the future gives the offset of the first, once they are durable."""
        done: Future[int] = Future()
        self._pending.put(_Append(topic, partition, entries, done))
        return done

    def commit(
        self, group: str, offsets: Mapping[tuple[str, int], int], notes: Mapping[tuple[str, int], str] | None = None
    ) -> Future[None]:
        """Commit a group's next offsets, after everything that was appended before this call."""
        done: Future[None] = Future()
        self._pending.put(_Commit(group, offsets, notes, done))
        return done

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this, in the writer's thread, after every transaction with records; it must not raise."""
        self._listeners = (*self._listeners, listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners = tuple(one for one in self._listeners if one != listener)

    def close(self) -> None:
        """Write what is pending, and end. A second time does nothing."""
        self._closing.set()
        self._pending.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set() or not self._pending.empty():
            appends, commits = self._gathered()
            if appends:
                self._append(appends)
            for commit in commits:
                try:
                    self._patiently(partial(self._log.commit, commit.group, commit.offsets, commit.notes))
                except Exception as error:
                    commit.done.set_exception(error)
                else:
                    commit.done.set_result(None)

    def _gathered(self) -> tuple[list[_Append], list[_Commit]]:
        """What is pending, at least one call; one that was cancelled meanwhile is left out."""
        appends: list[_Append] = []
        commits: list[_Commit] = []
        count = 0
        work = self._pending.get()
        while True:
            if work is not None and work.done.set_running_or_notify_cancel():
                if isinstance(work, _Append):
                    appends.append(work)
                    count += len(work.entries)
                else:
                    commits.append(work)
            if count >= MAX_RECORDS:
                return appends, commits
            try:
                work = self._pending.get_nowait()
            except Empty:
                return appends, commits

    def _append(self, appends: list[_Append]) -> None:
        groups = [(one.topic, one.partition, one.entries) for one in appends]
        try:
            bases = self._patiently(partial(self._log.append, groups))
        except Exception as error:
            if len(appends) == 1:
                appends[0].done.set_exception(error)
                return
            for one in appends:  # so that what one of them asks for does not fail the others
                self._append([one])
            return
        for one, base in zip(appends, bases, strict=True):
            one.done.set_result(base)
        for listener in self._listeners:
            listener()

    def _patiently(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except Busy as error:
                if self._closing.is_set():
                    raise
                logger.warning("waiting to write: %s", error)
