"""A purge: delete trades whose last result is older than a given time; their chains still verify.

    plan_purge(connection, before) -> Plan     purge_next(connection, before, after) -> Step
    next_removal(connection) -> Removal

1. A trade is purged as a whole: its rows of ``results``, ``breaks``, ``break_events`` and ``sent_ids``, and the
   text of all its results. The sha256 of each text stays: that is what the chain's link covers. Trades with an open
   break or under a legal hold stay. A hold on a ticker covers a trade if any leg in any of its results has that ticker:
   ``results.ticker`` is only a summary for lists, empty if the newest legs are cancels without a ticker.
2. The rows at the beginning of the history that have only their links left are removed too, up to a checkpoint that is
   published first: ``chain_starts`` then has the new start of each chain, and the checkpoint has the same.

Each step is one transaction that leaves the database consistent: an interrupted purge is simply run again.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from traderecon.records.digest import sha256
from traderecon.records.formats import OtherFormat
from traderecon.records.result_head import decode_head

TRADES_AT_ONCE = 500
ROWS_AT_ONCE = 20_000

_PURGEABLE = """
    results.decided_at < ?
    AND NOT EXISTS (SELECT 1 FROM breaks WHERE breaks.trade_id = results.trade_id AND status <> 'RESOLVED')
    AND NOT EXISTS (
        SELECT 1 FROM legal_holds WHERE released_at IS NULL AND legal_holds.trade_id = results.trade_id
    )
"""
"""Without the holds on tickers: those need the texts of the results."""
_TICKERS = "SELECT DISTINCT ticker FROM legal_holds WHERE released_at IS NULL AND ticker IS NOT NULL"
_PLAN = f"""
    SELECT count(DISTINCT trade_id), count(*), total(length(CAST(result AS BLOB))) FROM result_history
    WHERE content_sha256 IS NULL AND trade_id IN (SELECT trade_id FROM results WHERE {_PURGEABLE})
"""  # noqa: S608  # our own text
_OLD = "SELECT count(*) FROM results WHERE decided_at < ?"
_OPEN = "SELECT count(*) FROM results JOIN breaks USING (trade_id) WHERE decided_at < ? AND status <> 'RESOLVED'"
_NEXT = f"SELECT trade_id FROM results WHERE trade_id > ? AND {_PURGEABLE} ORDER BY trade_id LIMIT ?"  # noqa: S608  # our own text
_TEXTS = "SELECT id, result FROM result_history WHERE trade_id = ? AND content_sha256 IS NULL"
_SIZE = (
    "SELECT count(*), total(length(CAST(result AS BLOB))) FROM result_history "
    "WHERE trade_id = ? AND content_sha256 IS NULL"
)
_EMPTY = "UPDATE result_history SET result = '', content_sha256 = ? WHERE id = ?"
_DERIVED = (
    "DELETE FROM break_events WHERE trade_id = ? AND break_id IN (SELECT break_id FROM breaks WHERE trade_id = ?)",
    "DELETE FROM breaks WHERE trade_id = ? AND trade_id = ?",
    "DELETE FROM sent_ids WHERE trade_id = ? AND trade_id = ?",
    "DELETE FROM results WHERE trade_id = ? AND trade_id = ?",
)
_FIRST_WITH_TEXT = "SELECT id FROM result_history WHERE content_sha256 IS NULL ORDER BY id LIMIT 1"
_ID_RANGE = "SELECT min(id), max(id) FROM result_history"
_CHAINS = "SELECT topic, partition, count(*), max(id) FROM result_history WHERE id <= ? GROUP BY topic, partition"
_LINK = 'SELECT "offset", chain FROM result_history WHERE id = ?'
_PURGED_ROWS = "SELECT rows FROM chain_starts WHERE topic = ? AND partition = ?"
_SAVE_START = (
    "INSERT INTO chain_starts (topic, partition, next_offset, head, rows, last_row) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset, head = excluded.head, "
    "rows = excluded.rows, last_row = excluded.last_row"
)
_REMOVE = "DELETE FROM result_history WHERE id <= ?"


class Plan(NamedTuple):
    """What a purge would delete: trades, results, bytes of text; old trades that stay: ``open`` breaks, ``held``."""

    trades: int
    results: int
    size_bytes: int
    open: int
    held: int


class Step(NamedTuple):
    """What one step deleted; ``after``: the last trade it examined, "" after the last step."""

    trades: int
    results: int
    after: str


class ChainStart(NamedTuple):
    """Where a chain starts after its removed rows: next offset, head, number of removed rows, id of the last one."""

    topic: str
    partition: int
    next_offset: int
    head: str
    rows: int
    last_row: int


class Removal(NamedTuple):
    """Rows to remove: up to which id, and where each chain starts afterwards."""

    upto: int
    starts: Sequence[ChainStart]


def plan_purge(connection: Connection, before: str) -> Plan:
    """What a purge would delete; ``before`` is ISO 8601 UTC."""
    trades, results, size = _one(connection, _PLAN, before)
    (old,) = _one(connection, _OLD, before)
    (open_,) = _one(connection, _OPEN, before)
    if tickers := _held_tickers(connection):
        for page in _pages(connection, before):
            for trade_id in page:
                if _has_ticker(connection, trade_id, tickers):
                    count, size_bytes = _one(connection, _SIZE, trade_id)
                    trades, results, size = trades - 1, results - count, size - size_bytes
    return Plan(trades, results, int(size), open_, old - trades - open_)


def purge_next(connection: Connection, before: str, after: str) -> Step:
    """Purge the next trades in the order of their ids, after ``after``."""
    page = _page(connection, before, after)
    tickers = _held_tickers(connection)
    trades = results = 0
    for trade_id in page:
        if tickers and _has_ticker(connection, trade_id, tickers):
            continue
        trades += 1
        texts = connection.exec_driver_sql(_TEXTS, (trade_id,)).all()
        for row_id, text in texts:
            connection.exec_driver_sql(_EMPTY, (sha256(str(text).encode()), row_id))
        results += len(texts)
        for statement in _DERIVED:
            connection.exec_driver_sql(statement, (trade_id, trade_id))
    return Step(trades, results, page[-1] if len(page) == TRADES_AT_ONCE else "")


def _page(connection: Connection, before: str, after: str) -> list[str]:
    return [row[0] for row in connection.exec_driver_sql(_NEXT, (after, before, TRADES_AT_ONCE))]


def _pages(connection: Connection, before: str) -> Iterator[list[str]]:
    page = _page(connection, before, "")
    while page:
        yield page
        page = _page(connection, before, page[-1]) if len(page) == TRADES_AT_ONCE else []


def _held_tickers(connection: Connection) -> frozenset[str]:
    return frozenset(row[0] for row in connection.exec_driver_sql(_TICKERS))


def _has_ticker(connection: Connection, trade_id: str, tickers: frozenset[str]) -> bool:
    """Whether any leg in any result of a trade has one of these tickers; True also if a result cannot be decoded."""
    for _, text in connection.exec_driver_sql(_TEXTS, (trade_id,)):
        try:
            if not tickers.isdisjoint(decode_head(text).tickers):
                return True
        except (msgspec.MsgspecError, OtherFormat, TypeError):
            return True
    return False


def next_removal(connection: Connection) -> Removal | None:
    """The rows at the beginning of the history with only their links left, a bounded number; None: there are none."""
    first, last = _one(connection, _ID_RANGE)
    if first is None:
        return None
    with_text = connection.exec_driver_sql(_FIRST_WITH_TEXT).first()
    # The last row stays, so that the next one gets the id after it.
    upto = min(first + ROWS_AT_ONCE, last if with_text is None else with_text[0]) - 1
    if upto < first:
        return None
    starts = []
    for topic, partition, count, last_row in connection.exec_driver_sql(_CHAINS, (upto,)).all():
        offset, head = _one(connection, _LINK, last_row)
        purged = connection.exec_driver_sql(_PURGED_ROWS, (topic, partition)).first()
        rows = count + (0 if purged is None else purged[0])
        starts.append(ChainStart(topic, partition, offset + 1, head, rows, last_row))
    return Removal(upto, sorted(starts))


def remove(connection: Connection, removal: Removal) -> None:
    """Save the new chain starts and delete the rows. A checkpoint with the same starts must be published already."""
    for start in removal.starts:
        save_chain_start(connection, start)
    connection.exec_driver_sql(_REMOVE, (removal.upto,))


def save_chain_start(connection: Connection, start: ChainStart) -> None:
    """Save where a chain starts."""
    connection.exec_driver_sql(_SAVE_START, tuple(start))


def _one(connection: Connection, query: str, *values: Any) -> Any:
    return connection.exec_driver_sql(query, values).one()
