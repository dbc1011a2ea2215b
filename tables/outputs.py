"""Rows restored from outputs: what a table that lost rows gets back from the published results of its trades.

    PublishedResult, ...  ->  ``e`` (last published result), ``f`` (its facts), ``c`` (a timer), ``n`` rows (namesakes)

A restored fact has ``READ_BACK`` in place of its journal offset. When its journal record is read again, that replaces
it without a new result, since the outputs include it already.
"""

from collections.abc import Callable, Iterable

from msgspec import structs

from traderecon.records import Fact, Origin, Reason, identity
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.records.match_keys import as_unambiguous, has_partial_key, partial_id
from traderecon.records.result_message import PublishedResult

from . import closed, facts, last_published, namesakes

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
            restored |= _read_back(trade_id, fact)
        if fact.leg.sent_id is not None and Reason.ORPHAN_LATE not in result.last.reasons:
            restored |= _namesake_rows(trade_id, fact, fact.leg.sent_id, stored)
    return restored


def _read_back(trade_id: bytes, fact: Fact) -> dict[bytes, bytes]:
    key = facts.PREFIX + trade_id + b"\x00" + bytes.fromhex(identity(fact.leg))
    return {key: b"%d %b" % (facts.READ_BACK, encode_journal(fact))}


def _namesake_rows(
    trade_id: bytes, fact: Fact, sent: str, stored: Callable[[bytes], Iterable[bytes]]
) -> dict[bytes, bytes]:
    """Where a match key refines the trade_id: the trade's row; a fact with a partial key lies under the sent id too."""
    sent_id = partial_id(sent).encode()
    restored = {namesakes.key(sent_id, trade_id): b""}
    if has_partial_key(fact.leg) and trade_id != sent_id:
        values = stored(facts.PREFIX + sent_id + b"\x00")
        if coordinates(fact.origin) not in dict(_coordinates_and_offset(value) for value in values):
            restored |= {closed.key(0, sent_id): b"", **_read_back(sent_id, as_unambiguous(fact))}
    return restored


def coordinates(origin: Origin) -> Coordinates:
    """The coordinates of a fact's source record."""
    return origin.topic, origin.partition, origin.offset


def _coordinates_and_offset(value: bytes) -> tuple[Coordinates, int]:
    """Source coordinates and journal offset from the value of a fact's row."""
    offset, _, journal_record = value.partition(b" ")
    return coordinates(decode_fact(journal_record).origin), int(offset)
