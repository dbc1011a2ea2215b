"""The watermark: the minimum over all source partitions of the time each has reached, according to the journal.

    p topic NUL partition  ->  rank, space, the topic's number of partitions
    w                      ->  rank of the watermark

A rank combines epoch and time (ns): a later epoch ranks above every time of an earlier one, so a reset can go back in
time while ranks still increase. Monotonic rows: neither a new partition without any time yet, nor a late write of a
suspended worker, lowers them.
"""

from collections.abc import Collection

from traderecon.records.journal import Progress

from .batch_table import TableBatch

PREFIX = b"p"
WATERMARK = b"w"
MONOTONIC = (PREFIX, WATERMARK)
EPOCH_NS = 10**21
"""Greater than any time in nanoseconds."""


def advance(write_batch: TableBatch, progress: Progress, sources: Collection[str]) -> None:
    """Store the progress of source partitions, or the beginning of a new epoch, and update the watermark."""
    watermark = _watermark(write_batch, sources, progress)
    for topic, reached in progress.reached.items():
        for partition in reached:
            key = PREFIX + b"%b\x00%d" % (topic.encode(), partition)
            last, partitions = _decode(write_batch.get(key))
            rank, count = max(last, _rank(progress)), max(partitions, progress.partitions.get(topic, 0))
            write_batch.put(key, b"%d %d" % (rank, count))
    write_batch.put(WATERMARK, b"%d" % watermark)


def watermark_ns(write_batch: TableBatch, sources: Collection[str], ahead: Progress | None = None) -> int:
    """The watermark in nanoseconds; 0 while a source partition has no time yet.

    ``ahead``: as if this progress were stored.
    """
    return _watermark(write_batch, sources, ahead) % EPOCH_NS


def _watermark(write_batch: TableBatch, sources: Collection[str], ahead: Progress | None) -> int:
    """The watermark's rank."""
    stored = int(write_batch.get(WATERMARK) or b"0")
    if ahead is None:
        return stored
    if ahead.epoch > stored // EPOCH_NS:
        # A reset moves time only back: going forward could end the grace of unread records.
        stored = ahead.epoch * EPOCH_NS + min(stored % EPOCH_NS, ahead.at_ns)
    return max(stored, min((_topic_rank(write_batch, topic, ahead) for topic in sources), default=0))


def _topic_rank(write_batch: TableBatch, topic: str, ahead: Progress) -> int:
    """The lowest rank among the partitions of a topic; 0 while one of them has none."""
    prefix = PREFIX + topic.encode() + b"\x00"
    stored = {int(key[len(prefix) :]): _decode(value) for key, value in write_batch.scan(prefix)}
    ranks = {partition: rank for partition, (rank, _) in stored.items()}
    for partition in ahead.reached.get(topic, ()):
        ranks[partition] = max(ranks.get(partition, 0), _rank(ahead))
    count = max((partitions for _, partitions in stored.values()), default=0)
    return min(ranks.values()) if len(ranks) >= max(1, count, ahead.partitions.get(topic, 0)) else 0


def _rank(progress: Progress) -> int:
    return progress.epoch * EPOCH_NS + progress.at_ns


def _decode(value: bytes | None) -> tuple[int, int]:
    rank, _, partitions = (value or b"0 0").partition(b" ")
    return int(rank), int(partitions)
