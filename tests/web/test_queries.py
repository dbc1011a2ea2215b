"""Queries: read-only, consistent, and fast on long lists."""

from pathlib import Path

import pytest
from legs import ours, theirs
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from web.desk import filled, served

from traderecon.sink.database import READER_CACHE_KIB, WRITER_CACHE_KIB, StoreError
from traderecon.sink.filters import BreakFilter, DeadLetterFilter, TradeFilter
from traderecon.sink.queries import MOST_SHOWN, Queries
from traderecon.sink.store import Store


def test_no_query_can_write(tmp_path: Path) -> None:
    queries = Queries.open(filled(tmp_path))
    with queries.engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("DELETE FROM results"))
    assert queries.count(TradeFilter()) > 0
    queries.close()


def test_readers_have_a_small_cache_and_the_sink_a_large_one(tmp_path: Path) -> None:
    url = filled(tmp_path)
    queries, store = Queries.open(url), Store.open(url)
    for engine, pages_kib in (
        (queries.engine, READER_CACHE_KIB),
        (store.readers, READER_CACHE_KIB),
        (store.engine, WRITER_CACHE_KIB),
    ):
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA cache_size")).scalar() == -pages_kib
    queries.close()
    store.close()


@pytest.mark.matrix("P6")
def test_streamed_rows_equal_the_count(tmp_path: Path) -> None:
    queries = Queries.open(filled(tmp_path))
    for wanted in (TradeFilter(), BreakFilter(), BreakFilter(status="all"), DeadLetterFilter()):
        streamed = [row for rows in queries.stream(wanted) for row in rows]
        assert streamed == queries.rows(wanted, limit=1_000)
        assert len(streamed) == queries.count(wanted) > 0
    queries.close()


def test_one_trade_is_found_by_an_index(tmp_path: Path) -> None:
    queries = Queries.open(filled(tmp_path))
    with queries.engine.connect() as connection:
        for table, column in (("results", "trade_id"), ("breaks", "trade_id"), ("result_history", "trade_id")):
            plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {column} = 'x'")).all()
            assert [row.detail.split()[0] for row in plan] == ["SEARCH"]
    queries.close()


@pytest.mark.matrix("P6")
def test_of_a_trade_with_very_many_results_the_newest_are_read(tmp_path: Path) -> None:
    legs = tuple(leg for number in range(1, 60) for leg in (theirs(version=number), ours(version=number, price="200")))
    url = filled(tmp_path, {"HOT-1": legs})
    queries = Queries.open(url)
    found = queries.trade("HOT-1")
    assert found is not None
    queries.close()
    assert found.results > MOST_SHOWN == len(found.history)
    versions = [one.version for one in found.history]
    assert versions == sorted(versions, reverse=True)
    assert (found.history[0].version, found.history[0].event_id) == (found.row.version, found.row.event_id)
    assert len(found.events) <= MOST_SHOWN
    with served(tmp_path, url) as desk:
        assert f"The newest {MOST_SHOWN} of {found.results} results" in desk.text("/trades/HOT-1")
        page = desk.json("/trades/HOT-1.json")
        assert (page["results"], len(page["history"])) == (found.results, MOST_SHOWN)


def test_queries_reject_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database, whatever its name is " * 100)
    with pytest.raises(StoreError, match="not a readable database"):
        Queries.open(f"sqlite:///{tmp_path / 'x.db'}")
