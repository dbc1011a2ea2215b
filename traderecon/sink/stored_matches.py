"""Stored matches: the facts of trades whose newest result is MATCHED or CANCELLED."""

from collections.abc import Sequence
from contextlib import closing

import msgspec
from sqlalchemy import and_, select

from traderecon.records import Fact
from traderecon.records.match_keys import partial_id, partial_part
from traderecon.records.result_message import decode_published
from traderecon.sink.queries import Queries
from traderecon.sink.schema import result_history, results
from traderecon.sink.schema import sent_ids as sent_id_rows

TRADES_PER_QUERY = 500
SETTLED_STATES = ("MATCHED", "CANCELLED")


class StoredMatches(msgspec.Struct, frozen=True):
    """The matches in a database; ``url`` as of ``Queries.open``. Can be sent to another process."""

    url: str

    def require_readable(self) -> None:
        """Raises StoreError, or one of ``UNREADABLE``, if the database cannot be read."""
        with closing(Queries.open(self.url)) as queries:
            queries.ping()

    def __call__(self, trade_ids: Sequence[str]) -> dict[str, tuple[Fact, ...]]:
        """The facts of each of these trades that is matched or cancelled; a purged result has none and is left out.

        Raises StoreError, or one of ``UNREADABLE``.
        """
        newest = and_(result_history.c.trade_id == results.c.trade_id, result_history.c.version == results.c.version)
        found: dict[str, tuple[Fact, ...]] = {}
        with closing(Queries.open(self.url)) as queries, queries.engine.connect() as connection:
            for start in range(0, len(trade_ids), TRADES_PER_QUERY):
                some = trade_ids[start : start + TRADES_PER_QUERY]
                query = (
                    select(results.c.trade_id, result_history.c.result)
                    .join(result_history, newest)
                    .where(results.c.trade_id.in_(some), results.c.state.in_(SETTLED_STATES))
                )
                for trade_id, result in connection.execute(query):
                    if result:
                        text = result.encode() if isinstance(result, str) else bytes(result)
                        found[trade_id] = decode_published(text).facts
        return found

    def namesakes(self, sent_ids: Sequence[str]) -> dict[str, list[str]]:
        """The trades that share each of these trade_ids, by a match key. Raises as above."""
        found: dict[str, list[str]] = {}
        columns = sent_id_rows.c
        with closing(Queries.open(self.url)) as queries, queries.engine.connect() as connection:
            for start in range(0, len(sent_ids), TRADES_PER_QUERY):
                some = sent_ids[start : start + TRADES_PER_QUERY]
                query = select(columns.sent_id, columns.trade_id).where(columns.sent_id.in_(some))
                for sent_id, trade_id in connection.execute(query):
                    if partial_part(trade_id) == partial_id(sent_id):
                        found.setdefault(sent_id, []).append(trade_id)
        return found
