"""Outputs read back: the rows that a table which has lost them gets from the results published of its trades.

    Published, ...  ->  ``e`` rows (the last result published), ``f`` rows (the facts it shows), ``c`` rows (look at it)

A fact that was read back has ``READ_BACK`` in place of its journal offset; when its journal record is read again, that
takes its place, and no result comes of it: the outputs show it already.
"""

from collections.abc import Callable, Iterable

from msgspec import structs

from traderecon.records import Origin, identity
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.records.result_message import Published

from . import closed, facts, last_published

_SHOWN = 0
"""Which journal records made a result, it does not say: those of its facts that are stored, the others are adopted."""

Place = tuple[str, int, int]
"""Topic, partition and offset of the record that was a fact's."""


def newest(results: Iterable[Published]) -> list[Published]:
    """The newest result of each trade: it shows every fact there was."""
    found: dict[str, Published] = {}
    for one in results:
        known = found.get(one.trade_id)
        if known is None or one.last.version > known.last.version:
            found[one.trade_id] = one
    return list(found.values())


def rows(
    result: Published, last: bytes | None = None, stored: Callable[[bytes], Iterable[bytes]] = lambda prefix: ()
) -> dict[bytes, bytes]:
    """The rows a result gives; none where ``last``, the row of the trade's last result, is newer.

    ``stored``: the values of the rows that begin with a prefix. A fact that is there already gets no second row.
    """
    version = 0 if last is None else int(last.partition(b" ")[0])
    if version > result.last.version:
        return {}
    trade_id = result.trade_id.encode()
    prefix = facts.PREFIX + trade_id + b"\x00"
    there = dict(_stored(value) for value in stored(prefix))
    found = {}
    if version < result.last.version:
        upto = max((there.get(place(fact.origin), _SHOWN) for fact in result.facts), default=_SHOWN)
        found[last_published.PREFIX + trade_id] = last_published.row(
            structs.replace(result.last, upto=max(upto, _SHOWN))
        )
    if last is None:  # nobody knows when its retention ends: whoever looks does
        found[closed.key(0, trade_id)] = b""
    for fact in result.facts:
        if place(fact.origin) not in there:
            key = prefix + bytes.fromhex(identity(fact.leg))
            found[key] = b"%d %b" % (facts.READ_BACK, encode_journal(fact))
    return found


def place(origin: Origin) -> Place:
    """Which record a fact came with."""
    return origin.topic, origin.partition, origin.offset


def _stored(value: bytes) -> tuple[Place, int]:
    """Where the record of a fact lies, and its journal offset, of the fact's row."""
    offset, _, journal_record = value.partition(b" ")
    return place(decode_fact(journal_record).origin), int(offset)
