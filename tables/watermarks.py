"""The watermark: how far time has got in every source partition, as the journal tells; the least of it holds.

p topic NUL partition  ->  nanoseconds, space, how many partitions the topic has
"""

from collections.abc import Collection

from traderecon.records.journal import Progress

from .batch_table import Draft

PREFIX = b"p"


def advance(draft: Draft, progress: Progress) -> None:
    """Time has got further in some source partitions; it never goes back."""
    for topic, reached in progress.reached.items():
        for partition in reached:
            key = PREFIX + b"%b\x00%d" % (topic.encode(), partition)
            at_ns, partitions = _read(draft.get(key))
            last_ns, count = max(at_ns, progress.at_ns), max(partitions, progress.partitions.get(topic, 0))
            draft.put(key, b"%d %d" % (last_ns, count))


def watermark_ns(draft: Draft, sources: Collection[str], ahead: Progress | None = None) -> int:
    """Where the last partition of all source topics has got; 0 while one of them has told nothing.

    ``ahead``: as if this progress had been told.
    """
    latest = []
    for topic in sources:
        prefix = PREFIX + topic.encode() + b"\x00"
        found = {int(key[len(prefix) :]): _read(value) for key, value in draft.scan(prefix)}
        count = max((partitions for _, partitions in found.values()), default=0)
        times = {partition: at_ns for partition, (at_ns, _) in found.items()}
        if ahead is not None:
            count = max(count, ahead.partitions.get(topic, 0))
            for partition in ahead.reached.get(topic, ()):
                times[partition] = max(times.get(partition, 0), ahead.at_ns)
        if not times or len(times) < count:
            return 0
        latest.append(min(times.values()))
    return min(latest, default=0)


def _read(value: bytes | None) -> tuple[int, int]:
    at_ns, _, partitions = (value or b"0 0").partition(b" ")
    return int(at_ns), int(partitions)
