"""Trades: the facts of each, and what was told of it; those that moved last are not read twice.

What is remembered of a partition is what its rows say. All of it is forgotten when somebody else wrote rows (recovery,
a worker that was stopped and woke up), when the store was opened anew, and when a draft was not written to its end.
"""

from bisect import insort

from msgspec import structs

from traderecon.records import LastPublished
from traderecon.records.bounds import outranked

from . import closed, facts, last_published
from .batch_table import Held, TableBatch
from .closed import Closed
from .facts import READ_BACK, StoredFact

REMEMBERED = 8_192
"""Trades of one partition, about 3 kB each; more while a batch lasts."""


class Trade:
    """One trade: its facts, in the order of the journal, and the last result published of it."""

    __slots__ = ("closed", "facts", "told")

    def __init__(self, facts: list[StoredFact], told: LastPublished | None, closed: Closed | None = None) -> None:
        self.facts, self.told, self.closed = facts, told, closed
        if closed is not None:  # what came before is gone, whoever writes it again
            late = told is not None and told.version > closed.version
            # Read back from a result behind the closing, a fact has no offset yet, and came behind it too.
            self.facts = [
                kept
                for kept in facts
                if kept.journal_offset > closed.offset or (late and kept.journal_offset == READ_BACK)
            ]
            self.told = told if late else closed.told


class Trades:
    """The trades of a partition's draft: it is new, or has just been written, and only this changes facts in it."""

    def __init__(self, write_batch: TableBatch, remembered: dict[bytes, Trade]) -> None:
        self._draft, self._remembered = write_batch, remembered

    def of(self, trade_id: bytes) -> Trade:
        """A trade; without facts where nothing is known of it."""
        found = self._remembered.get(trade_id)
        if found is None:
            # What this draft has of a trade is remembered: the rest is stored.
            known, last = facts.stored(self._draft, trade_id), last_published.last(self._draft, trade_id)
            found = Trade(known, last, closed.of(self._draft, trade_id))
            self._bound(trade_id, found.facts)  # a worker that woke up late may have written one that was let go
            self._remembered[trade_id] = found
        return found

    def keep(self, trade_id: bytes, kept: StoredFact, journal_record: bytes) -> None:
        """Add a fact; ``journal_record`` is the value of its journal record."""
        facts.keep(self._draft, trade_id, kept, journal_record)
        known = self._remembered[trade_id].facts
        if known and known[-1].journal_offset > kept.journal_offset:  # out of turn, and perhaps in another one's row
            known[:] = [one for one in known if one.identity != kept.identity]
            insort(known, kept, key=facts.by_offset)
        else:
            known.append(kept)
        self._bound(trade_id, known)

    def _bound(self, trade_id: bytes, known: list[StoredFact]) -> None:
        """Let go of the facts that are not among the highest of their side, whoever brought them and when."""
        if lost := outranked([kept.fact for kept in known]):
            for place in lost:
                facts.forget(self._draft, trade_id, known[place])
            known[:] = [kept for place, kept in enumerate(known) if place not in lost]

    def adopt(self, trade_id: bytes, read_back: StoredFact, exact: StoredFact, journal_record: bytes) -> None:
        """The journal record of a fact that was read back from a result has come: it takes the place of that one."""
        facts.forget(self._draft, trade_id, read_back)
        known = self._remembered[trade_id].facts
        known[:] = [one for one in known if one.identity != read_back.identity]
        self.keep(trade_id, exact, journal_record)
        last = self._remembered[trade_id].told
        if last is not None:  # whose result showed the fact
            self.tell(trade_id, structs.replace(last, upto=max(last.upto, exact.journal_offset)))

    def close(self, trade_id: bytes, row: Closed) -> None:
        """All that is left of a trade is this row."""
        self._clear(trade_id)
        closed.put(self._draft, trade_id, row)
        self._remembered[trade_id] = Trade([], None, row)

    def forget(self, trade_id: bytes) -> None:
        """Nothing is left of a trade, but of a closed one that it was."""
        trade = self.of(trade_id)
        if trade.closed is not None:
            versions = (trade.closed.version, 0 if trade.told is None else trade.told.version)
            closed.forget(self._draft, trade_id, trade.closed, max(versions))
        self._clear(trade_id)
        self._remembered[trade_id] = Trade([], None)  # its rows are stored until the draft is written

    def _clear(self, trade_id: bytes) -> None:
        """Take away every fact, also those that a closed row has made void, and what was published."""
        there = [*facts.stored(self._draft, trade_id), *self.of(trade_id).facts]
        for kept in {one.identity: one for one in there}.values():
            facts.forget(self._draft, trade_id, kept)
        last_published.forget(self._draft, trade_id)

    def tell(self, trade_id: bytes, last: LastPublished) -> None:
        """This result is published."""
        last_published.tell(self._draft, trade_id, last)
        self.of(trade_id).told = last


class Memory:
    """What is remembered of the trades of each partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, tuple[TableBatch, Held, dict[bytes, Trade]]] = {}

    def trades(self, write_batch: TableBatch) -> Trades:
        """The trades as a new draft finds them."""
        before, held, remembered = self._partitions.get(write_batch.partition, (write_batch, None, {}))
        if held != write_batch.held or before.pending:
            remembered = {}
        for oldest in [*remembered][: max(0, len(remembered) - REMEMBERED)]:
            del remembered[oldest]
        self._partitions[write_batch.partition] = (write_batch, write_batch.held, remembered)
        return Trades(write_batch, remembered)
