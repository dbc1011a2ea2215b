"""Retry counts: how often a record has crashed this worker. At the third failure it becomes a dead letter.

    except Exception as error:
        if retry_counts.count_failure(batch, record) < LIMIT:
            raise                       # exit 70, nothing acknowledged; a supervisor restarts the worker
        ...                             # a dead letter, HANDLER_ERROR

Kills are counted too: the batch being decoded is recorded in a file and removed from it afterwards.

    with retry_counts.attempting(batch):    a process killed inside leaves the batch recorded as suspect
        ...                                 each record of a suspect batch is recorded before it is touched

So the first kill identifies a batch, the second a record, and the third makes that record a dead letter. The file
survives the process, not the machine: only records of a suspect batch are synced to disk.

The counts are in a file because the process does not survive the failure. Each worker has its own. Records are
identified by content: the previous stage may write the same record again, at another offset.
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
"""Number of failures at which a record becomes a dead letter."""
MAX_COUNTS = 1_000
"""Number of records with a stored count; the oldest are dropped."""


class RetryCounts:
    """The counts of one worker, in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        self._attempt = path.with_suffix(".attempt")
        self._file: int | None = None
        self._suspect = self._interrupted_attempt()

    @contextmanager
    def attempting(self, batch: MicroBatch) -> Iterator[None]:
        """If the process is killed inside, the batch is suspect at the next start. Must not contain an await."""
        self._write([batch.topic, batch.partition, batch.records[0].offset, batch.last_offset])
        try:
            yield
        finally:  # exceptions are counted by the caller
            self._write(None)

    def is_suspect(self, batch: MicroBatch) -> bool:
        """Whether the previous process was killed while processing records of this batch."""
        if self._suspect is None:
            return False
        topic, partition, first, last = self._suspect
        return (topic, partition) == (batch.topic, batch.partition) and (
            batch.records[0].offset <= last and batch.last_offset >= first
        )

    def is_poison(self, batch: MicroBatch, record: Record) -> bool:
        """Whether a record has killed ``LIMIT`` processes; if not, it is noted as the one being decoded.

        Call it before touching a record of a suspect batch. The first kill is not in its count, since only the
        batch was known then.
        """
        name = _name(batch, record)
        if self._counts.get(name, 0) >= LIMIT - 1:
            return True
        self._write([batch.topic, batch.partition, record.offset, record.offset, name])
        os.fsync(self._descriptor())
        return False

    def _interrupted_attempt(self) -> "tuple[str, int, int, int] | None":
        """Topic, partition, first and last offset of the attempt in which the previous process was killed."""
        content = self._attempt.read_bytes() if self._attempt.exists() else b""
        try:
            topic, partition, first, last, *names = json.loads(content)
        except ValueError:  # no attempt was running, or the machine stopped during the write
            return None
        for name in names:
            self._counts[name] = self._counts.pop(name, 0) + 1
            self._save()
        self._attempt.write_bytes(b"")
        return topic, partition, first, last

    def _write(self, attempt: Any) -> None:
        file = self._descriptor()
        os.ftruncate(file, 0)
        if attempt is not None:
            os.pwrite(file, json.dumps(attempt).encode(), 0)

    def _descriptor(self) -> int:
        if self._file is None:
            self._file = os.open(self._attempt, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._file)
        return self._file

    def count_failure(self, batch: MicroBatch, record: Record) -> int:
        """Count a failure of a record, durably; return its number of failures including this one."""
        name = _name(batch, record)
        self._counts[name] = count = self._counts.pop(name, 0) + 1
        for oldest in [*self._counts][: max(0, len(self._counts) - MAX_COUNTS)]:
            del self._counts[oldest]
        self._save()
        hit(Failpoint.FAILURE_COUNTED, batch.topic)
        return count

    def _save(self) -> None:
        replace(self._path, json.dumps(self._counts).encode())


def _name(batch: MicroBatch, record: Record) -> str:
    """The key of a record's count: topic and hash of its content."""
    return f"{batch.topic} {sha256(b'%r %r' % (record.key, record.value)).hexdigest()}"
