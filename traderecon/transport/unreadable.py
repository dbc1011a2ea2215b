"""A batch that is not read: what a fetch has in the place of its records, so that not one offset passes unseen.

    a compressed batch of offsets 5 to 900 that decodes to more than the bound -> one UnreadableBatch, at offset 900

It is handed over like a record without key and value. A stage that knows nothing of it finds a tombstone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop


class UnreadableBatch(NamedTuple):
    """The offsets from ``first`` to ``offset``, both included, of one batch.

    ``content`` is the batch as it was fetched; ``why`` goes on after "a batch of N bytes, compressed with CODEC, ", and
    says what to do.
    A batch of a format before Kafka 0.11 does not tell its first offset: 0.
    """

    first: int
    offset: int
    timestamp: int
    timestamp_type: int | None
    codec: str
    content: bytes
    too_large: bool
    why: str
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()

    def sentence(self, topic: str, partition: int) -> str:
        """Where it lies, how large it is, and why nobody reads it."""
        return (
            f"offsets {self.first} to {self.offset} of {topic}[{partition}] are one batch of {len(self.content)} "
            f"bytes, compressed with {self.codec}, {self.why}"
        )

    @property
    def width(self) -> int:
        """How many offsets it stands for."""
        return self.offset - self.first + 1


def widths_of(records: Iterable[object]) -> Mapping[int, int]:
    """How many offsets each unreadable batch among these records stands for, by its last one."""
    return {record.offset: record.width for record in records if type(record) is UnreadableBatch}


def require_readable(topic: str, partition: int, records: Iterable[object]) -> None:
    """End the process, 78, where one is not read: a changelog is written by its table alone, and is state."""
    for record in records:
        if isinstance(record, UnreadableBatch):
            fail_stop(
                f"{record.sentence(topic, partition)}, and nothing in a changelog may be left out. No table writes "
                "such a batch: find out who did, and who may write to this topic.",
                code=Exit.CONFIG,
            )
