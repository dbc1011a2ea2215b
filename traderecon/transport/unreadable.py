"""Unreadable batches: what a fetch contains in place of their records, so that no offset is skipped silently.

    a compressed batch of offsets 5 to 900 that decodes to more than the bound -> one UnreadableBatch, at offset 900

It has the attributes of a record without key and value: to a stage that does not handle it, it is a tombstone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop


class UnreadableBatch(NamedTuple):
    """One batch with the offsets ``first`` to ``offset``, inclusive.

    ``content``: the batch as fetched. ``reason``: why it cannot be read and what to do, continuing "a batch of N bytes,
    compressed with CODEC, ". ``first`` is 0 for formats before Kafka 0.11, which do not contain it.
    """

    first: int
    offset: int
    timestamp: int
    timestamp_type: int | None
    codec: str
    content: bytes
    too_large: bool
    reason: str
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()

    def describe(self, topic: str, partition: int) -> str:
        """Offsets, size and codec of the batch, and why it cannot be read."""
        return (
            f"offsets {self.first} to {self.offset} of {topic}[{partition}] are one batch of {len(self.content)} "
            f"bytes, compressed with {self.codec}, {self.reason}"
        )

    @property
    def width(self) -> int:
        """The number of offsets it covers."""
        return self.offset - self.first + 1


def widths_of(records: Iterable[object]) -> Mapping[int, int]:
    """The number of offsets each unreadable batch among these records covers, by its last offset."""
    return {record.offset: record.width for record in records if type(record) is UnreadableBatch}


def require_readable(topic: str, partition: int, records: Iterable[object]) -> None:
    """End the process, 78, at an unreadable batch: a changelog is state, and only its table may write to it."""
    for record in records:
        if isinstance(record, UnreadableBatch):
            fail_stop(
                f"{record.describe(topic, partition)}, and no record of a changelog may be skipped. No table writes "
                "such a batch: find the producer that did, and check who may write to this topic.",
                code=Exit.CONFIG,
            )
