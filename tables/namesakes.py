"""Namesakes: the trades that share a trade_id, where a match key refines it.

    n sent id NUL trade_id  ->  empty

The facts of records with a partial key lie under the sent id, for the trades that come later. A row may outlive its
trade, so a reader asks for the trade. Source: ``records.match_keys``.
"""

from .batch_table import TableBatch

PREFIX = b"n"


def load(write_batch: TableBatch, sent_id: bytes) -> list[bytes]:
    """The stored trades with a sent id, by id, without those added by this write batch."""
    prefix = key(sent_id, b"")
    return [row_key[len(prefix) :] for row_key, _ in write_batch.stored(prefix)]


def put(write_batch: TableBatch, sent_id: bytes, trade_id: bytes) -> None:
    """Add a trade."""
    write_batch.put(key(sent_id, trade_id), b"")


def forget(write_batch: TableBatch, sent_id: bytes, trade_id: bytes) -> None:
    """Delete the row of a forgotten trade."""
    write_batch.delete(key(sent_id, trade_id))


def key(sent_id: bytes, trade_id: bytes) -> bytes:
    """The key of a row."""
    return PREFIX + sent_id + b"\x00" + trade_id
