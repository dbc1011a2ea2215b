"""Trades: the facts of each, and what was told of it; those that moved last are not read twice.

What is remembered of a partition is what its rows say. All of it is forgotten when somebody else wrote rows (recovery,
a worker that was stopped and woke up), when the store was opened anew, and when a draft was not written to its end.
"""

from bisect import insort

from traderecon.records import Told

from . import facts, told
from .batch_table import Draft, Held
from .facts import Kept

REMEMBERED = 8_192
"""Trades of one partition, about 3 kB each; more while a batch lasts."""


class Trade:
    """One trade: its facts, in the order of the journal, and the last result published of it."""

    __slots__ = ("facts", "told")

    def __init__(self, facts: list[Kept], told: Told | None) -> None:
        self.facts, self.told = facts, told


class Trades:
    """The trades of a partition's draft: it is new, or has just been written, and only this changes facts in it."""

    def __init__(self, draft: Draft, remembered: dict[bytes, Trade]) -> None:
        self._draft, self._remembered = draft, remembered

    def of(self, trade_id: bytes) -> Trade:
        """A trade; without facts where nothing is known of it."""
        found = self._remembered.get(trade_id)
        if found is None:
            # What this draft has of a trade is remembered: the rest is stored.
            found = Trade(facts.stored(self._draft, trade_id), told.last(self._draft, trade_id))
            self._remembered[trade_id] = found
        return found

    def keep(self, trade_id: bytes, kept: Kept, journalled: bytes) -> None:
        """Add a fact; ``journalled`` is the value of its journal record."""
        facts.keep(self._draft, trade_id, kept, journalled)
        known = self._remembered[trade_id].facts
        if known and known[-1].journal_offset > kept.journal_offset:  # out of turn, and perhaps in another one's row
            known[:] = [one for one in known if one.identity != kept.identity]
            insort(known, kept, key=facts.by_offset)
        else:
            known.append(kept)

    def adopt(self, trade_id: bytes, read_back: Kept, exact: Kept, journalled: bytes) -> None:
        """The journal record of a fact that was read back from a result has come: it takes the place of that one."""
        facts.forget(self._draft, trade_id, read_back)
        known = self._remembered[trade_id].facts
        known[:] = [one for one in known if one.identity != read_back.identity]
        self.keep(trade_id, exact, journalled)

    def tell(self, trade_id: bytes, last: Told) -> None:
        """This result is published."""
        told.tell(self._draft, trade_id, last)
        self.of(trade_id).told = last


class Memory:
    """What is remembered of the trades of each partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, tuple[Draft, Held, dict[bytes, Trade]]] = {}

    def trades(self, draft: Draft) -> Trades:
        """The trades as a new draft finds them."""
        before, held, remembered = self._partitions.get(draft.partition, (draft, None, {}))
        if held != draft.held or before.pending:
            remembered = {}
        for oldest in [*remembered][: max(0, len(remembered) - REMEMBERED)]:
            del remembered[oldest]
        self._partitions[draft.partition] = (draft, draft.held, remembered)
        return Trades(draft, remembered)
