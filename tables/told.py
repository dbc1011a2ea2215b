"""What was told: the last result published of each trade.

    e trade_id  ->  version, space, JSON of what was told

Not derivable: the rules may have changed since, and the watermark has moved. The higher version stays (``RISING``).
Before the fact in the order of keys: where it is there and the fact is not, the result is known to be published.
"""

import msgspec

from traderecon.records import Told

from .batch_table import Draft

PREFIX = b"e"
RISING = (PREFIX,)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Told).decode


def last(draft: Draft, trade_id: bytes) -> Told | None:
    """The last result published of a trade; None where there was none."""
    found = draft.get(PREFIX + trade_id)
    return None if found is None else decoded(found)


def decoded(row: bytes) -> Told:
    """What the value of a row says."""
    return _decode(row.partition(b" ")[2])


def tell(draft: Draft, trade_id: bytes, told: Told) -> None:
    """This result is published."""
    draft.put(PREFIX + trade_id, row(told))


def forget(draft: Draft, trade_id: bytes) -> None:
    """The trade is closed: its last result is in that row."""
    draft.delete(PREFIX + trade_id)


def row(told: Told) -> bytes:
    """The value of its row."""
    return b"%d %b" % (told.version, _encode(told))
