"""What a log must offer to the consumer above it, in a driver's words: fetches, offsets, commits with notes, topic ids.

The drivers: ``embedded_consumer`` and ``kafka``.
"""

from collections.abc import Iterable, Mapping

from faust.transport.consumer import Consumer
from faust.types import TP

from traderecon.transport.fingerprint import LogId
from traderecon.transport.progress import Fetch


class Driver(Consumer):
    """The questions a log answers; of offsets it gives those whose leader answers."""

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        """What was read of each partition that moved, within ``timeout`` seconds."""
        raise NotImplementedError

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """Up to where each partition can be read now: the high watermark, or the first open transaction below it."""
        raise NotImplementedError

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The group's next offset of each partition that has a commit."""
        raise NotImplementedError

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Commit the group's next offsets, and keep a note beside each."""
        raise NotImplementedError

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        """What was noted with the group's commits."""
        raise NotImplementedError

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        """What tells each topic from one made anew, and a partition from one that was cut; without such: left out."""
        raise NotImplementedError

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; a topic that does not exist is absent."""
        raise NotImplementedError
