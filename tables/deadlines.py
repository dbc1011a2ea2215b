"""The deadlines: which trades wait, until when, and for what; swept as the watermark moves.

    d due (8 bytes, nanoseconds) trade_id  ->  what it waits for

A row only says "look at this trade then": what the trade comes to, its facts say. A row too many costs a look.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from .batch_table import Draft

PREFIX = b"d"
_DUE = slice(1, 9)


class Waiting(NamedTuple):
    """A trade that waits, until ``due_ns`` of the log's time."""

    due_ns: int
    trade_id: bytes
    awaited: str


def await_until(draft: Draft, due_ns: int, trade_id: bytes, awaited: str) -> None:
    """Look at a trade when its grace is over."""
    draft.put(_key(due_ns, trade_id), awaited.encode())


def forget(draft: Draft, due_ns: int, trade_id: bytes) -> None:
    """It waits no longer."""
    draft.delete(_key(due_ns, trade_id))


def due(draft: Draft, watermark_ns: int, at_most: int) -> list[Waiting]:
    """Trades whose grace is over, the first ``at_most`` of them."""
    after = PREFIX + (watermark_ns + 1).to_bytes(8, "big")
    return list(islice(map(_waiting, draft.scan(PREFIX, before=after)), at_most))


def waiting(draft: Draft) -> Iterator[Waiting]:
    """Every trade that waits; of those stored the one whose grace ends first comes first."""
    return map(_waiting, draft.scan(PREFIX))


def _key(due_ns: int, trade_id: bytes) -> bytes:
    return PREFIX + due_ns.to_bytes(8, "big") + trade_id


def _waiting(row: tuple[bytes, bytes]) -> Waiting:
    key, awaited = row
    return Waiting(int.from_bytes(key[_DUE], "big"), key[_DUE.stop :], awaited.decode())
