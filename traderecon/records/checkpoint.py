"""A checkpoint: the state of one hash chain at one moment, stored outside the database it protects.

    {"topic": "mismatch", "partition": 0, "next_offset": 812, "head": "...", "rows": 640, "last_row": 2210, "at": "..."}

A record of the topic ``checkpoints`` under the key ``<topic>/<partition>``, and a line of ``checkpoints.jsonl``. It
covers committed rows: a chain that is shorter or different was tampered with. If the sink has a key, ``signed_by``
names it, and ``signature`` covers the line without itself: see ``audit/signing.py``. Source: CONTRACT.md, Topics.
"""

from typing import Annotated

import msgspec

from traderecon.records.formats import FORMAT, OtherFormat

TopicPartition = tuple[str, int]
"""A topic and a partition."""
Count = Annotated[int, msgspec.Meta(ge=0)]


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """``rows``: how many the chain has; ``last_row``: the ``id`` of the last, 0 for none; ``at``: ISO 8601 UTC.

    ``first``: the offset the database began at if retention had removed earlier records; its chain differs from one
    begun at 0.
    ``database``: its id, since the topic has the checkpoints of every database.
    """

    topic: str
    partition: Count
    next_offset: Count
    head: str
    rows: Count
    last_row: Count
    at: str
    format: int = FORMAT
    first: Count | msgspec.UnsetType = msgspec.UNSET
    database: str | msgspec.UnsetType = msgspec.UNSET
    signed_by: str | msgspec.UnsetType = msgspec.UNSET
    signature: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def tp(self) -> TopicPartition:
        """Which chain it is of."""
        return self.topic, self.partition

    @property
    def key(self) -> bytes:
        """The key of its record."""
        return f"{self.topic}/{self.partition}".encode()

    @property
    def line(self) -> bytes:
        """Its JSON."""
        return _encode(self)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Checkpoint).decode


def decode_checkpoint(line: bytes) -> Checkpoint:
    """The checkpoint in a record or a line. MsgspecError, UnicodeDecodeError: it is not one; OtherFormat."""
    checkpoint = _decode(line)
    if checkpoint.format != FORMAT:
        raise OtherFormat(checkpoint.format, FORMAT)
    return checkpoint
