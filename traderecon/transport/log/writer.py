"""Group commit: one thread writes; calls that arrive meanwhile share the next transaction and its sync.

    append, append, commit, ...  ->  everything pending: one transaction  ->  their futures, in order

The calls of each thread are executed in order.
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
"""A transaction takes no further append once it has this many records."""

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
    """The only thread of a process that writes to a log. Any thread may call any method.

    It waits while another process holds the write lock; other errors are set on the future they concern.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pending: SimpleQueue[_Append | _Commit | None] = SimpleQueue()
        self._closing = Event()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def append(self, topic: str, partition: int, entries: Sequence[Entry]) -> Future[int]:
        """Append entries to a partition; the future returns the first one's offset once they are durable."""
        done: Future[int] = Future()
        self._pending.put(_Append(topic, partition, entries, done))
        return done

    def commit(
        self, group: str, offsets: Mapping[tuple[str, int], int], notes: Mapping[tuple[str, int], str] | None = None
    ) -> Future[None]:
        """Commit a group's next offsets, after everything appended before this call."""
        done: Future[None] = Future()
        self._pending.put(_Commit(group, offsets, notes, done))
        return done

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` in the writer's thread after every transaction with records; it must not raise."""
        self._listeners = (*self._listeners, listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop calling ``listener``."""
        self._listeners = tuple(existing for existing in self._listeners if existing != listener)

    def close(self) -> None:
        """Write what is pending and end the thread. Idempotent."""
        self._closing.set()
        self._pending.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set() or not self._pending.empty():
            appends, commits = self._take_pending()
            if appends:
                self._append(appends)
            for commit in commits:
                try:
                    self._retry_while_busy(partial(self._log.commit, commit.group, commit.offsets, commit.notes))
                except Exception as error:
                    commit.done.set_exception(error)
                else:
                    commit.done.set_result(None)

    def _take_pending(self) -> tuple[list[_Append], list[_Commit]]:
        """Wait for a call and return all pending ones, without those that were cancelled."""
        appends: list[_Append] = []
        commits: list[_Commit] = []
        count = 0
        call = self._pending.get()
        while True:
            if call is not None and call.done.set_running_or_notify_cancel():
                if isinstance(call, _Append):
                    appends.append(call)
                    count += len(call.entries)
                else:
                    commits.append(call)
            if count >= MAX_RECORDS:
                return appends, commits
            try:
                call = self._pending.get_nowait()
            except Empty:
                return appends, commits

    def _append(self, appends: list[_Append]) -> None:
        groups = [(append.topic, append.partition, append.entries) for append in appends]
        try:
            bases = self._retry_while_busy(partial(self._log.append, groups))
        except Exception as error:
            if len(appends) == 1:
                appends[0].done.set_exception(error)
                return
            for append in appends:  # one by one, so that an invalid one does not fail the others
                self._append([append])
            return
        for append, base in zip(appends, bases, strict=True):
            append.done.set_result(base)
        for listener in self._listeners:
            listener()

    def _retry_while_busy(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except Busy as error:
                if self._closing.is_set():
                    raise
                logger.warning("waiting to write: %s", error)
