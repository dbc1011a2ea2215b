"""Rows restored from outputs: what a table that lost rows gets back from the published results of its trades.

    PublishedResult, ...  ->  ``e`` rows (last published result), ``f`` rows (its facts), ``c`` rows (a timer)

A restored fact has ``READ_BACK`` in place of its journal offset. When its journal record is read again, that replaces
it without a new result, since the outputs include it already.
"""

from collections.abc import Callable, Iterable

from msgspec import structs

from traderecon.records import Origin, identity
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.records.result_message import PublishedResult

from . import closed, facts, last_published

_UNKNOWN_OFFSET = 0
"""Results do not contain journal offsets; facts without a stored one get theirs when they are adopted."""

Coordinates = tuple[str, int, int]
"""Topic, partition and offset of a fact's source record."""


def newest(results: Iterable[PublishedResult]) -> list[PublishedResult]:
    """The newest result of each trade, which includes all of its facts."""
    by_trade: dict[str, PublishedResult] = {}
    for result in results:
        known = by_trade.get(result.trade_id)
        if known is None or result.last.version > known.last.version:
            by_trade[result.trade_id] = result
    return list(by_trade.values())


def rows(
    result: PublishedResult, last: bytes | None = None, stored: Callable[[bytes], Iterable[bytes]] = lambda prefix: ()
) -> dict[bytes, bytes]:
    """The rows restored from a result; none if ``last``, the row of the trade's last result, is newer.

    ``stored``: returns the values of the stored rows with a prefix. Stored facts get no second row.
    """
    version = 0 if last is None else int(last.partition(b" ")[0])
    if version > result.last.version:
        return {}
    trade_id = result.trade_id.encode()
    prefix = facts.PREFIX + trade_id + b"\x00"
    stored_offsets = dict(_coordinates_and_offset(value) for value in stored(prefix))
    restored = {}
    if version < result.last.version:
        offsets = (stored_offsets.get(coordinates(fact.origin), _UNKNOWN_OFFSET) for fact in result.facts)
        upto = max(offsets, default=_UNKNOWN_OFFSET)
        restored[last_published.PREFIX + trade_id] = last_published.encode(
            structs.replace(result.last, upto=max(upto, _UNKNOWN_OFFSET))
        )
    if last is None:  # the end of its retention is unknown: the timer, due at once, computes it
        restored[closed.key(0, trade_id)] = b""
    for fact in result.facts:
        if coordinates(fact.origin) not in stored_offsets:
            key = prefix + bytes.fromhex(identity(fact.leg))
            restored[key] = b"%d %b" % (facts.READ_BACK, encode_journal(fact))
    return restored


def coordinates(origin: Origin) -> Coordinates:
    """The coordinates of a fact's source record."""
    return origin.topic, origin.partition, origin.offset


def _coordinates_and_offset(value: bytes) -> tuple[Coordinates, int]:
    """Source coordinates and journal offset from the value of a fact's row."""
    offset, _, journal_record = value.partition(b" ")
    return coordinates(decode_fact(journal_record).origin), int(offset)
