"""The facts of trades: what every source said of a trade, one row per fact, never changed, and gone when outranked.

    f trade_id NUL identity (32 bytes)  ->  journal offset, space, the journal record's value

The offset tells a replay (the same record again) from a producer's duplicate (another record, the same fact).
"""

from collections.abc import Sequence

import msgspec

from traderecon.records import Fact, Origin
from traderecon.records.journal import decode_fact

from .batch_table import TableBatch

PREFIX = b"f"
READ_BACK = -1
"""In place of a journal offset: the fact was read back from a published result, its journal record comes later."""


class StoredFact(msgspec.Struct, frozen=True, gc=False):
    """A fact in the table: the identity of its leg, and the offset of the journal record that brought it."""

    identity: str
    fact: Fact
    journal_offset: int


def stored(write_batch: TableBatch, trade_id: bytes) -> list[StoredFact]:
    """Every fact of a trade, in the order of the journal, without those that came with this draft."""
    prefix = PREFIX + trade_id + b"\x00"
    start = len(prefix)
    found = []
    for key, value in write_batch.stored(prefix):
        offset, _, journal_record = value.partition(b" ")
        found.append(StoredFact(key[start:].hex(), decode_fact(journal_record), int(offset)))
    if len(found) > 1:
        found.sort(key=by_offset)
    return found


def keep(write_batch: TableBatch, trade_id: bytes, kept: StoredFact, journal_record: bytes) -> None:
    """Add a fact; ``journal_record`` is the value of its journal record."""
    key = PREFIX + trade_id + b"\x00" + bytes.fromhex(kept.identity)
    write_batch.put(key, b"%d %b" % (kept.journal_offset, journal_record))


def read_back(known: Sequence[StoredFact], origin: Origin) -> StoredFact | None:
    """Of facts that were read back the one that came with this record; None where there is none."""
    place = origin.topic, origin.partition, origin.offset
    for kept in known:
        there = kept.fact.origin
        if kept.journal_offset == READ_BACK and (there.topic, there.partition, there.offset) == place:
            return kept
    return None


def forget(write_batch: TableBatch, trade_id: bytes, kept: StoredFact) -> None:
    """Take a row away: higher facts of its side outrank it, its trade is closed, or its journal record has come."""
    write_batch.delete(PREFIX + trade_id + b"\x00" + bytes.fromhex(kept.identity))


def by_offset(kept: StoredFact) -> int:
    """The order of the journal."""
    return kept.journal_offset
