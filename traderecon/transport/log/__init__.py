"""The embedded log: topics, partitions, offsets and commits in one SQLite file, in place of Kafka.

    append([(topic, partition, entries), ...])  ->  one transaction, synced  ->  read(topic, partition, offset, ...)

For installations with one worker process: ``WorkerLock`` rejects a second one. Other processes may append and read at
the same time. Synchronous, and reads no clock: timestamps are arguments.
"""

from traderecon.transport.log.batches import Entry, Record
from traderecon.transport.log.database import Sync
from traderecon.transport.log.errors import (
    Busy,
    Damaged,
    DiskFull,
    LogError,
    NoSuchPartition,
    OffsetOutOfRange,
    OtherFormat,
    ReadOnly,
    RecordRejected,
    TopicDiffers,
    Unreachable,
    WorkerRunning,
)
from traderecon.transport.log.log import Log, Topic
from traderecon.transport.log.open_log import OpenLog
from traderecon.transport.log.worker_lock import WorkerLock
from traderecon.transport.log.writer import Writer

__all__ = [
    "Busy",
    "Damaged",
    "DiskFull",
    "Entry",
    "Log",
    "LogError",
    "NoSuchPartition",
    "OffsetOutOfRange",
    "OpenLog",
    "OtherFormat",
    "ReadOnly",
    "Record",
    "RecordRejected",
    "Sync",
    "Topic",
    "TopicDiffers",
    "Unreachable",
    "WorkerLock",
    "WorkerRunning",
    "Writer",
]
