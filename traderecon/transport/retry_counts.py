"""How often one record has ended the process: the third time it is a dead letter.

    except Exception as error:
        if retry_counts.another(batch, record) < LIMIT:
            raise                       # exit 70, nothing acknowledged; a supervisor starts the worker again
        ...                             # a dead letter, HANDLER_ERROR

A kill is counted, too: what is about to be decoded is written down before, and crossed out after.

    with retry_counts.attempting(batch):         a process that ends in here leaves the batch behind, as a suspect
        ...                                 of a suspect each record is written down before it is touched

So the first kill names a batch, the next one the record, the third puts it aside. What is written survives the
process, not the machine: only records of a suspect are synced to disk.

Kept in a file, since the process does not survive what is counted. Each worker counts for itself. A record is known by
its content: a stage that dies may have it written by the stage before it once more, at another offset.
"""

import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from traderecon.durable import replace
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.microbatch import MicroBatch, Record

LIMIT = 3
"""The strike at which a record is put aside."""
KEPT = 1_000
"""So many records of a worker are remembered, the last that failed."""


class RetryCounts:
    """The counts of one worker, in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        self._attempt = path.with_suffix(".attempt")
        self._file: int | None = None
        self._suspect = self._left_behind()

    @contextmanager
    def attempting(self, batch: MicroBatch) -> Iterator[None]:
        """While inside, a process that ends leaves the batch behind. To be left before anything is waited for."""
        self._write([batch.topic, batch.partition, batch.records[0].offset, batch.last_offset])
        try:
            yield
        finally:  # an exception is no kill: whoever catches it counts it
            self._write(None)

    def suspects(self, batch: MicroBatch) -> bool:
        """Whether the process before this one was killed in records of this batch."""
        if self._suspect is None:
            return False
        topic, partition, first, last = self._suspect
        return (topic, partition) == (batch.topic, batch.partition) and (
            batch.records[0].offset <= last and batch.last_offset >= first
        )

    def killer(self, batch: MicroBatch, record: Record) -> bool:
        """Before a record of a suspect is touched: whether it has been the end of a process ``LIMIT`` times.

        The first time it was not known which record of the batch it was.
        """
        name = _name(batch, record)
        if self._counts.get(name, 0) >= LIMIT - 1:
            return True
        self._write([batch.topic, batch.partition, record.offset, record.offset, name])
        os.fsync(self._opened())
        return False

    def _left_behind(self) -> "tuple[str, int, int, int] | None":
        """What the process before this one had under way when it was killed."""
        left = self._attempt.read_bytes() if self._attempt.exists() else b""
        try:
            topic, partition, first, last, *names = json.loads(left)
        except ValueError:  # nothing was under way, or the machine stopped while it was written
            return None
        for name in names:
            self._counts[name] = self._counts.pop(name, 0) + 1
            self._save()
        self._attempt.write_bytes(b"")
        return topic, partition, first, last

    def _write(self, attempt: Any) -> None:
        file = self._opened()
        os.ftruncate(file, 0)
        if attempt is not None:
            os.pwrite(file, json.dumps(attempt).encode(), 0)

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._attempt, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._file)
        return self._file

    def another(self, batch: MicroBatch, record: Record) -> int:
        """Count a failure on a record, durably; gives how often it has failed, this time included."""
        name = _name(batch, record)
        self._counts[name] = count = self._counts.pop(name, 0) + 1
        for oldest in [*self._counts][: max(0, len(self._counts) - KEPT)]:
            del self._counts[oldest]
        self._save()
        hit(Failpoint.STRUCK, batch.topic)
        return count

    def _save(self) -> None:
        replace(self._path, json.dumps(self._counts).encode())


def _name(batch: MicroBatch, record: Record) -> str:
    """A record by its content."""
    return f"{batch.topic} {sha256(b'%r %r' % (record.key, record.value)).hexdigest()}"
