"""What was told: the last result published of each trade.

    e trade_id  ->  version, space, JSON of what was told

Not derivable: the rules may have changed since, and the watermark has moved. The higher version stays (``MONOTONIC``).
Before the fact in the order of keys: where it is there and the fact is not, the result is known to be published.
"""

import msgspec

from traderecon.records import LastPublished

from .batch_table import TableBatch

PREFIX = b"e"
MONOTONIC = (PREFIX,)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LastPublished).decode


def last(write_batch: TableBatch, trade_id: bytes) -> LastPublished | None:
    """The last result published of a trade; None where there was none."""
    found = write_batch.get(PREFIX + trade_id)
    return None if found is None else decoded(found)


def decoded(row: bytes) -> LastPublished:
    """What the value of a row says."""
    return _decode(row.partition(b" ")[2])


def tell(write_batch: TableBatch, trade_id: bytes, told: LastPublished) -> None:
    """This result is published."""
    write_batch.put(PREFIX + trade_id, row(told))


def forget(write_batch: TableBatch, trade_id: bytes) -> None:
    """The trade is closed: its last result is in that row."""
    write_batch.delete(PREFIX + trade_id)


def row(told: LastPublished) -> bytes:
    """The value of its row."""
    return b"%d %b" % (told.version, _encode(told))
