"""Orphans: trades of which only a pnl snapshot has arrived.

    O trade_id  ->  when the snapshot was received, in nanoseconds

A snapshot alone claims no trade and opens no break, so nothing else would ever name it.
"""

from collections.abc import Iterator

from .batch_table import TableBatch

PREFIX = b"O"


def put(write_batch: TableBatch, trade_id: bytes, received_at_ns: int) -> None:
    """Note a trade that begins with its snapshot."""
    write_batch.put(PREFIX + trade_id, b"%d" % received_at_ns)


def forget(write_batch: TableBatch, trade_id: bytes) -> None:
    """A leg has arrived that claims the trade, or the trade is forgotten."""
    write_batch.delete(PREFIX + trade_id)


def received_by(write_batch: TableBatch, by_ns: int) -> Iterator[bytes]:
    """The trades whose snapshot was received by a time, by id."""
    for key, value in write_batch.scan(PREFIX):
        if int(value) <= by_ns:
            yield key[len(PREFIX) :]
