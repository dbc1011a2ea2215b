"""The watermark: how far time has got in every source partition, as the journal tells; the least of it holds.

    p topic NUL partition  ->  nanoseconds, space, how many partitions the topic has
    w                      ->  nanoseconds: the watermark itself

Rows that never fall (``RISING``): not when a source gets another partition, which has told nothing yet, and not when a
worker writes late that was stopped and woke up.
"""

from collections.abc import Collection

from traderecon.records.journal import Progress

from .batch_table import Draft

PREFIX = b"p"
WATERMARK = b"w"
RISING = (PREFIX, WATERMARK)


def advance(draft: Draft, progress: Progress, sources: Collection[str]) -> None:
    """Time has got further in some source partitions."""
    reached_ns = watermark_ns(draft, sources, progress)
    for topic, reached in progress.reached.items():
        for partition in reached:
            key = PREFIX + b"%b\x00%d" % (topic.encode(), partition)
            at_ns, partitions = _read(draft.get(key))
            last_ns, count = max(at_ns, progress.at_ns), max(partitions, progress.partitions.get(topic, 0))
            draft.put(key, b"%d %d" % (last_ns, count))
    draft.put(WATERMARK, b"%d" % reached_ns)


def watermark_ns(draft: Draft, sources: Collection[str], ahead: Progress | None = None) -> int:
    """Where the last partition of all source topics has got; 0 while one of them has never told anything.

    ``ahead``: as if this progress had been told.
    """
    held_ns = int(draft.get(WATERMARK) or b"0")
    if ahead is None:
        return held_ns
    return max(held_ns, min((_reached_ns(draft, topic, ahead) for topic in sources), default=0))


def _reached_ns(draft: Draft, topic: str, ahead: Progress) -> int:
    """Where the last partition of one topic has got."""
    prefix = PREFIX + topic.encode() + b"\x00"
    found = {int(key[len(prefix) :]): _read(value) for key, value in draft.scan(prefix)}
    times = {partition: at_ns for partition, (at_ns, _) in found.items()}
    for partition in ahead.reached.get(topic, ()):
        times[partition] = max(times.get(partition, 0), ahead.at_ns)
    count = max((partitions for _, partitions in found.values()), default=0)
    return min(times.values()) if len(times) >= max(1, count, ahead.partitions.get(topic, 0)) else 0


def _read(value: bytes | None) -> tuple[int, int]:
    at_ns, _, partitions = (value or b"0 0").partition(b" ")
    return int(at_ns), int(partitions)
