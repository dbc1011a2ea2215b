"""Downloads: slow clients hold no database transaction, are limited, and are cut off; pages never wait for them."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from broker.waiting import until
from sink.outputs import TOPICS, Outputs
from web.desk import MORNING, Desk, filled, multiplied, served

from traderecon.sink import queries as reading
from traderecon.sink import store as storing
from traderecon.sink.database import wal_bytes
from traderecon.sink.filters import BreakFilter, BreakSort, DeadLetterFilter, Filter, TradeFilter, TradeSort
from traderecon.sink.queries import Queries, TooManyRows
from traderecon.sink.store import Store
from traderecon.web.downloads import MOST

READERS = 16
TIMES = 4_000
"""Makes a download larger than the buffers of two sockets."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    filled(folder, {name: MORNING[name] for name in ("MATCHED-1", "PRICE-1", "TICKER-1", "PNL-1", "LATE-1")})
    multiplied(folder, TIMES)
    return folder


@pytest.fixture(scope="module")
def desk(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with served(tmp_path_factory.mktemp("desk"), f"sqlite:///{many / 'traderecon.db'}") as running:
        yield running


def stalled(desk: Desk, path: str, readers: ExitStack) -> socket.socket:
    """A client that sends a request and then hardly reads the response."""
    reader = readers.enter_context(socket.socket())
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.settimeout(60)
    reader.connect(("127.0.0.1", desk.port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return reader


@pytest.mark.matrix("P6")
def test_stalled_downloads_hold_no_read_and_starve_no_page(desk: Desk, many: Path) -> None:
    paths = ("/download/csv", "/trades.csv", "/trades.csv?sort=newest")
    with ExitStack() as readers:
        clients = [stalled(desk, paths[number % len(paths)], readers) for number in range(READERS)]
        lines = [client.recv(13).split(b" ")[1] for client in clients]
        assert sorted(lines) == [b"200"] * MOST + [b"429"] * (READERS - MOST)
        rejected = clients[lines.index(b"429")].recv(4_096)
        assert b"Retry-After: 30" in rejected
        for page in ("/", "/breaks", "/trades.json", "/status", "/trades/PRICE-1", "/healthz/ready"):
            assert desk.ask(page)[0].status == 200
        with closing(sqlite3.connect(many / "traderecon.db", isolation_level=None)) as writer:
            writer.execute("UPDATE standings SET at = at")
            busy, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0, "a reader blocks the checkpoint"
        assert wal_bytes(many / "traderecon.db") == 0


@pytest.mark.matrix("P6")
def test_a_reader_that_is_too_slow_is_cut_off(many: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{many / 'traderecon.db'}"
    with served(tmp_path, url, "impatient") as desk, ExitStack() as readers:
        clients = [stalled(desk, "/download/csv", readers) for _ in range(MOST)]
        assert [client.recv(13).split(b" ")[1] for client in clients] == [b"200"] * MOST
        until(lambda: "the client is too slow" in (tmp_path / "server.log").read_text(), "a client is cut off")
        until(lambda: desk.ask("/download/csv")[0].status == 200, "another download may start")


def orders() -> list[Filter]:
    return [
        *(BreakFilter(status="all", sort=sort) for sort in BreakSort),
        *(TradeFilter(sort=sort) for sort in TradeSort),
        DeadLetterFilter(),
    ]


@pytest.mark.matrix("P6")
@pytest.mark.parametrize("wanted", orders(), ids=str)
def test_a_row_that_moves_while_it_is_read_appears_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Filter
) -> None:
    """The first rows of the order become the last, and the last the first, between the first page and the second."""
    monkeypatch.setattr(reading, "BATCH_ROWS", 4)
    queries = Queries.open(filled(tmp_path))
    before = queries.rows(wanted, limit=1_000)
    pages = queries.stream(wanted)
    found = [next(pages)]
    with closing(sqlite3.connect(tmp_path / "traderecon.db")) as writer, writer:
        for table in ("breaks", "results"):
            writer.execute(
                f"UPDATE {table} SET severity = CASE severity WHEN 'critical' THEN 'low' ELSE 'critical' END"
            )
            writer.execute(f"UPDATE {table} SET event_time = CAST(4000 - substr(event_time, 1, 4) AS TEXT)")
            writer.execute(f"UPDATE {table} SET notional = CAST(1000000 - coalesce(notional, 0) AS TEXT)")
        writer.execute("UPDATE breaks SET opened_at = CAST(9 - substr(opened_at, 1, 1) AS TEXT) || opened_at")
    found += pages
    ids = [getattr(row, "trade_id", None) or row.id for page in found for row in page]  # type: ignore[attr-defined]
    assert ids == [getattr(row, "trade_id", None) or row.id for row in before]  # type: ignore[attr-defined]
    queries.close()


@pytest.mark.matrix("P6")
def test_an_order_of_rows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_SORTED", 3)
    queries = Queries.open(filled(tmp_path))
    with pytest.raises(TooManyRows):
        next(iter(queries.stream(BreakFilter())))
    assert sum(map(len, queries.stream(BreakFilter(sort=BreakSort.TRADE_ID)))) > 3
    queries.close()


@pytest.mark.matrix("P6")
def test_the_log_of_the_file_is_cut_off_after_a_long_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "WAL_BYTES", 200_000)
    monkeypatch.setattr(storing, "TRUNCATE_EVERY_S", 0.0)
    outputs = Outputs()
    for number in range(60):
        outputs.publish_trade(f"T{number}", MORNING["PRICE-1"])
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    records = outputs.partitions[TOPICS.mismatch, 0]
    half = len(records) // 2
    store.take(outputs.batch((TOPICS.mismatch, 0), 0, 1))
    with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM results").fetchone()
        for first in range(1, half):
            store.take(outputs.batch((TOPICS.mismatch, 0), first, first + 1))
        assert wal_bytes(store.path) > 200_000
    store.take(outputs.batch((TOPICS.mismatch, 0), half, len(records)))
    assert wal_bytes(store.path) < 200_000
    store.close()
