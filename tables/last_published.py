"""The last published result of each trade.

    e trade_id  ->  version, space, JSON of ``LastPublished``

Not derivable: rules may have changed since, and the watermark has moved. Monotonic: the higher version wins. First in
key order before facts: if a crash loses the fact, the result is still known to be published.
"""

import msgspec

from traderecon.records import LastPublished

from .batch_table import TableBatch

PREFIX = b"e"
MONOTONIC = (PREFIX,)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LastPublished).decode


def get(write_batch: TableBatch, trade_id: bytes) -> LastPublished | None:
    """The last published result of a trade; None if there is none."""
    value = write_batch.get(PREFIX + trade_id)
    return None if value is None else decode(value)


def decode(value: bytes) -> LastPublished:
    """Decode the value of a row."""
    return _decode(value.partition(b" ")[2])


def put(write_batch: TableBatch, trade_id: bytes, last: LastPublished) -> None:
    """Store a result as the last published one."""
    write_batch.put(PREFIX + trade_id, encode(last))


def forget(write_batch: TableBatch, trade_id: bytes) -> None:
    """Delete the row, when the trade's closed row contains the result."""
    write_batch.delete(PREFIX + trade_id)


def encode(last: LastPublished) -> bytes:
    """Encode the value of a row."""
    return b"%d %b" % (last.version, _encode(last))
