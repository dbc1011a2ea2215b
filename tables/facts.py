"""The facts of trades: one row per fact, never changed, deleted when outranked.

    f trade_id NUL identity (32 bytes)  ->  journal offset, space, the journal record's value

The offset distinguishes a replay (the same record) from a producer's duplicate (another record with the same fact).
"""

from collections.abc import Sequence

import msgspec

from traderecon.records import Fact, Origin
from traderecon.records.journal import decode_fact

from .batch_table import TableBatch

PREFIX = b"f"
READ_BACK = -1
"""In place of a journal offset: the fact was read back from a published result, before its journal record."""


class StoredFact(msgspec.Struct, frozen=True, gc=False):
    """A fact, the identity of its leg, and the offset of its journal record."""

    identity: str
    fact: Fact
    journal_offset: int


def load(write_batch: TableBatch, trade_id: bytes) -> list[StoredFact]:
    """The stored facts of a trade in journal order, without those added by this write batch."""
    prefix = PREFIX + trade_id + b"\x00"
    start = len(prefix)
    facts = []
    for key, value in write_batch.stored(prefix):
        offset, _, journal_record = value.partition(b" ")
        facts.append(StoredFact(key[start:].hex(), decode_fact(journal_record), int(offset)))
    if len(facts) > 1:
        facts.sort(key=by_offset)
    return facts


def put(write_batch: TableBatch, trade_id: bytes, fact: StoredFact, journal_record: bytes) -> None:
    """Add a fact; ``journal_record`` is the value of its journal record."""
    key = PREFIX + trade_id + b"\x00" + bytes.fromhex(fact.identity)
    write_batch.put(key, b"%d %b" % (fact.journal_offset, journal_record))


def find_read_back(existing: Sequence[StoredFact], origin: Origin) -> StoredFact | None:
    """The fact that was read back and came from this source record; None if there is none."""
    for fact in existing:
        stored = fact.fact.origin
        same_record = (stored.topic, stored.partition, stored.offset) == (origin.topic, origin.partition, origin.offset)
        if fact.journal_offset == READ_BACK and same_record:
            return fact
    return None


def forget(write_batch: TableBatch, trade_id: bytes, fact: StoredFact) -> None:
    """Delete a fact: it is outranked, its trade is closed, or its journal record replaces it."""
    write_batch.delete(PREFIX + trade_id + b"\x00" + bytes.fromhex(fact.identity))


def by_offset(fact: StoredFact) -> int:
    """Sort key for journal order."""
    return fact.journal_offset
