"""The interface of a log driver to ``BatchConsumer``: fetches, offsets, commits with notes, topic ids.

Drivers: ``embedded_consumer`` and ``kafka``.
"""

from collections.abc import Iterable, Mapping

from faust.transport.consumer import Consumer
from faust.types import TP

from traderecon.transport.fingerprint import LogId
from traderecon.transport.progress import Fetch


class Driver(Consumer):
    """Calls for offsets leave out partitions whose leader does not answer."""

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        """Fetch from the active partitions, for at most ``timeout`` seconds; partitions without progress are absent."""
        raise NotImplementedError

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """The end of what can be read now: the high watermark, or the first open transaction below it."""
        raise NotImplementedError

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The group's committed offset of each partition that has one."""
        raise NotImplementedError

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Commit the group's next offsets, each with a note."""
        raise NotImplementedError

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        """The notes of the group's commits."""
        raise NotImplementedError

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        """The ids by which a recreated topic or a truncated partition is detected; topics without ids are absent."""
        raise NotImplementedError

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; a topic that does not exist is absent."""
        raise NotImplementedError
