"""How many trades in the database a legal hold covers now; if none, the ticker that was probably meant."""

from typing import NamedTuple

from sqlalchemy import Connection

from traderecon.cli.local_database import ask
from traderecon.sink.queries import Queries

_BY_TRADE = "SELECT count(*) FROM results WHERE trade_id = ?"
_BY_TICKER = "SELECT count(*) FROM results WHERE ticker = ?"
_OTHER_CASE = "SELECT ticker FROM results WHERE ticker = ? COLLATE NOCASE ORDER BY ticker LIMIT 1"


class HoldCoverage(NamedTuple):
    """The number of trades; if it is 0, ``suggestion`` is a ticker in the database that differs only in case."""

    trades: int
    suggestion: str | None


def coverage_of(connection: Connection, trade: str | None, ticker: str | None) -> HoldCoverage:
    """What a hold on a trade or a ticker covers; a ticker covers the trades whose newest result has it."""
    statement, name = (_BY_TRADE, trade) if ticker is None else (_BY_TICKER, ticker)
    trades = int(connection.exec_driver_sql(statement, (name,)).scalar_one())
    if trades or ticker is None:
        return HoldCoverage(trades, None)
    row = connection.exec_driver_sql(_OTHER_CASE, (ticker,)).first()
    return HoldCoverage(0, None if row is None else str(row[0]))


def current_coverage(database_url: str, trade: str | None, ticker: str | None) -> HoldCoverage | None:
    """The same for the configured database; None if it is not on this machine or cannot be read."""

    def question(queries: Queries) -> HoldCoverage:
        with queries.engine.connect() as connection:
            return coverage_of(connection, trade, ticker)

    return ask(database_url, question)
