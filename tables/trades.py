"""Trades: the facts of each and its last published result, with a cache of recently used trades.

The cache of a partition always equals its rows. It is dropped when rows were written in another way (recovery, another
worker that resumed late), when the store was reopened, and when a write batch was abandoned unwritten.
"""

import re
from bisect import insort

from msgspec import structs

from traderecon.records import LastPublished
from traderecon.records.bounds import outranked
from traderecon.records.match_keys import claims_namesake

from . import closed, facts, last_published, namesakes
from .batch_table import StoreVersion, TableBatch
from .closed import Closed
from .facts import READ_BACK, StoredFact

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
CACHED_TRADES = 8_192
"""Cached trades per partition, about 3 kB each; a batch may exceed this temporarily."""


class Trade:
    """One trade: its facts in journal order, and its last published result (``last_published``).

    ``namesakes``: the ids of the trades that share this id as the one that was sent; None until they are asked for.
    """

    __slots__ = ("closed", "facts", "last_published", "namesakes")

    def __init__(
        self, facts: list[StoredFact], last_published: LastPublished | None, closed: Closed | None = None
    ) -> None:
        self.facts, self.last_published, self.closed = facts, last_published, closed
        self.namesakes: set[bytes] | None = None
        if closed is not None:  # facts from before the closing are void, even if a late worker writes them again
            reopened = last_published is not None and last_published.version > closed.version
            # A fact read back from a result published after the closing has no journal offset yet, but counts.
            self.facts = [
                fact
                for fact in facts
                if fact.journal_offset > closed.offset or (reopened and fact.journal_offset == READ_BACK)
            ]
            self.last_published = last_published if reopened else closed.last_published


class Trades:
    """The trades of a partition within a write batch, which must be new or just written; facts change only here."""

    def __init__(self, write_batch: TableBatch, cache: dict[bytes, Trade]) -> None:
        self._write_batch, self._cache = write_batch, cache

    def of(self, trade_id: bytes) -> Trade:
        """A trade; without facts if it is unknown."""
        trade = self._cache.get(trade_id)
        if trade is None:
            # Trades changed by this write batch are in the cache, so the stored rows are current here.
            stored = facts.load(self._write_batch, trade_id)
            last = last_published.get(self._write_batch, trade_id)
            trade = Trade(stored, last, closed.of(self._write_batch, trade_id))
            self._drop_outranked(trade_id, trade.facts)  # a late worker may have written a dropped fact again
            self._cache[trade_id] = trade
        return trade

    def add_fact(self, trade_id: bytes, fact: StoredFact, journal_record: bytes) -> None:
        """Add a fact; ``journal_record`` is the value of its journal record."""
        facts.put(self._write_batch, trade_id, fact, journal_record)
        existing = self._cache[trade_id].facts
        if existing and existing[-1].journal_offset >= fact.journal_offset:  # out of order, and may replace a row
            existing[:] = [other for other in existing if other.identity != fact.identity]
            insort(existing, fact, key=facts.by_offset)
        else:
            existing.append(fact)
        self._drop_outranked(trade_id, existing)

    def _drop_outranked(self, trade_id: bytes, existing: list[StoredFact]) -> None:
        """Delete facts that are not among the highest of their side."""
        if indexes := outranked([fact.fact for fact in existing]):
            for index in indexes:
                facts.forget(self._write_batch, trade_id, existing[index])
            existing[:] = [fact for index, fact in enumerate(existing) if index not in indexes]

    def adopt(self, trade_id: bytes, read_back: StoredFact, exact: StoredFact, journal_record: bytes) -> None:
        """Replace a fact that was read back from a result by the one from its journal record."""
        facts.forget(self._write_batch, trade_id, read_back)
        existing = self._cache[trade_id].facts
        existing[:] = [fact for fact in existing if fact.identity != read_back.identity]
        self.add_fact(trade_id, exact, journal_record)
        last = self._cache[trade_id].last_published
        if last is not None:  # that result includes the fact
            self.set_last_published(trade_id, structs.replace(last, upto=max(last.upto, exact.journal_offset)))

    def close(self, trade_id: bytes, row: Closed) -> None:
        """Replace all rows of a trade by its closed row."""
        self._clear(trade_id)
        closed.put(self._write_batch, trade_id, row)
        self._replace(trade_id, Trade([], None, row))

    def forget(self, trade_id: bytes) -> None:
        """Delete all rows of a trade; of a closed trade only the horizon remains."""
        trade = self.of(trade_id)
        if trade.closed is not None:
            versions = (trade.closed.version, 0 if trade.last_published is None else trade.last_published.version)
            closed.forget(self._write_batch, trade_id, trade.closed, max(versions))
        self._clear(trade_id)
        self._replace(trade_id, Trade([], None))  # its rows stay stored until the batch is written

    def _replace(self, trade_id: bytes, trade: Trade) -> None:
        """Cache a trade without facts; it keeps the list of trades that share its id."""
        trade.namesakes = self.of(trade_id).namesakes
        self._cache[trade_id] = trade

    def _clear(self, trade_id: bytes) -> None:
        """Delete every fact, void ones included, and the last published result."""
        existing = [*facts.load(self._write_batch, trade_id), *self.of(trade_id).facts]
        for fact in {fact.identity: fact for fact in existing}.values():
            facts.forget(self._write_batch, trade_id, fact)
        last_published.forget(self._write_batch, trade_id)

    def namesakes(self, sent_id: bytes, before_offset: int) -> list[bytes]:
        """The open trades that share a sent id, and were claimed before a journal offset; by id.

        One of them may be from before the match key, under the trade_id as it was sent.
        """
        every = sorted({_as_sent(sent_id), *self._namesakes(sent_id)})
        return [trade_id for trade_id in every if self.is_claimed(trade_id, before_offset)]

    def closed_namesakes(self, sent_id: bytes) -> list[bytes]:
        """The closed trades that share a sent id, until they are forgotten; by id."""
        every = sorted({_as_sent(sent_id), *self._namesakes(sent_id)})
        return [trade_id for trade_id in every if self.of(trade_id).closed is not None]

    def is_claimed(self, trade_id: bytes, before_offset: int) -> bool:
        """Whether a trade is open, and has a leg with its full id from before a journal offset."""
        trade = self.of(trade_id)
        return trade.closed is None and any(
            row.journal_offset < before_offset and claims_namesake(row.fact) for row in trade.facts
        )

    def add_namesake(self, sent_id: bytes, trade_id: bytes) -> None:
        """Note that a trade has this sent id."""
        if trade_id not in self._namesakes(sent_id):
            namesakes.put(self._write_batch, sent_id, trade_id)
            self._namesakes(sent_id).add(trade_id)

    def forget_namesake(self, sent_id: bytes, trade_id: bytes) -> None:
        """Note that a trade is forgotten."""
        namesakes.forget(self._write_batch, sent_id, trade_id)
        self._namesakes(sent_id).discard(trade_id)

    def _namesakes(self, sent_id: bytes) -> set[bytes]:
        trade = self.of(sent_id)
        if trade.namesakes is None:
            trade.namesakes = {*namesakes.load(self._write_batch, sent_id)}
        return trade.namesakes

    def set_last_published(self, trade_id: bytes, last: LastPublished) -> None:
        """Store a result as the last published one."""
        last_published.put(self._write_batch, trade_id, last)
        self.of(trade_id).last_published = last


def _as_sent(partial_id: bytes) -> bytes:
    """The trade_id of a partial id, as it was sent."""
    return _ESCAPED.sub(rb"\1", partial_id)


class TradeCache:
    """The cached trades of all partitions."""

    def __init__(self) -> None:
        self._partitions: dict[int, tuple[TableBatch, StoreVersion, dict[bytes, Trade]]] = {}

    def trades(self, write_batch: TableBatch) -> Trades:
        """The trades for a new write batch."""
        version = write_batch.store_version
        before, cached_version, cache = self._partitions.get(write_batch.partition, (write_batch, None, {}))
        if cached_version != version or before.pending:
            cache = {}
        for oldest in [*cache][: max(0, len(cache) - CACHED_TRADES)]:
            del cache[oldest]
        self._partitions[write_batch.partition] = (write_batch, version, cache)
        return Trades(write_batch, cache)
