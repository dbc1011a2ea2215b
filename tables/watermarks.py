"""The watermark: how far time has got in every source partition, as the journal tells; the least of it holds.

    p topic NUL partition  ->  rank, space, how many partitions the topic has
    w                      ->  rank: the watermark itself

A rank is a time in nanoseconds in its epoch: a later epoch is above every time of an earlier one, so a reset goes back
in time and its rows rise all the same. Rows that never fall (``MONOTONIC``): not when a source gets another partition,
which has told nothing yet, and not when a worker writes late that was stopped and woke up.
"""

from collections.abc import Collection

from traderecon.records.journal import Progress

from .batch_table import TableBatch

PREFIX = b"p"
WATERMARK = b"w"
MONOTONIC = (PREFIX, WATERMARK)
EPOCH_NS = 10**21
"""More nanoseconds than any time has."""


def advance(write_batch: TableBatch, progress: Progress, sources: Collection[str]) -> None:
    """Time has got further in some source partitions; or a new epoch begins."""
    watermark = _watermark(write_batch, sources, progress)
    for topic, reached in progress.reached.items():
        for partition in reached:
            key = PREFIX + b"%b\x00%d" % (topic.encode(), partition)
            last, partitions = _read(write_batch.get(key))
            rank, count = max(last, _rank(progress)), max(partitions, progress.partitions.get(topic, 0))
            write_batch.put(key, b"%d %d" % (rank, count))
    write_batch.put(WATERMARK, b"%d" % watermark)


def watermark_ns(write_batch: TableBatch, sources: Collection[str], ahead: Progress | None = None) -> int:
    """Where the last partition of all source topics has got; 0 while one of them has never told anything.

    ``ahead``: as if this progress had been told.
    """
    return _watermark(write_batch, sources, ahead) % EPOCH_NS


def _watermark(write_batch: TableBatch, sources: Collection[str], ahead: Progress | None) -> int:
    """The watermark's rank."""
    held = int(write_batch.get(WATERMARK) or b"0")
    if ahead is None:
        return held
    if ahead.epoch > held // EPOCH_NS:
        # A reset takes time back, never on: what is not read yet is not passed over.
        held = ahead.epoch * EPOCH_NS + min(held % EPOCH_NS, ahead.at_ns)
    return max(held, min((_reached(write_batch, topic, ahead) for topic in sources), default=0))


def _reached(write_batch: TableBatch, topic: str, ahead: Progress) -> int:
    """Where the last partition of one topic has got, as a rank."""
    prefix = PREFIX + topic.encode() + b"\x00"
    found = {int(key[len(prefix) :]): _read(value) for key, value in write_batch.scan(prefix)}
    ranks = {partition: rank for partition, (rank, _) in found.items()}
    for partition in ahead.reached.get(topic, ()):
        ranks[partition] = max(ranks.get(partition, 0), _rank(ahead))
    count = max((partitions for _, partitions in found.values()), default=0)
    return min(ranks.values()) if len(ranks) >= max(1, count, ahead.partitions.get(topic, 0)) else 0


def _rank(progress: Progress) -> int:
    return progress.epoch * EPOCH_NS + progress.at_ns


def _read(value: bytes | None) -> tuple[int, int]:
    rank, _, partitions = (value or b"0 0").partition(b" ")
    return int(rank), int(partitions)
