"""A desk's morning: a database as the sink fills it, and a server of the pages over it, in a process of its own.

python -m web.desk FOLDER DATABASE_URL PORT [bare] [unwell] [impatient]

``bare``: without pages; ``unwell``: a role is not ready; ``impatient``: slow clients and idle connections are cut off
within a second.
"""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import msgspec
from legs import SECOND_NS, booked, ours, theirs
from sink.outputs import TOPICS, Outputs, encoded_dead_letter

from traderecon.records import Kind, Leg
from traderecon.sink.store import Store

TESTS = Path(__file__).parents[1]
STRANGE = (
    "<b>bold</b>",
    "\"quoted\", 'single'",
    "T-1/../..",
    "100%00",
    "a%2Fb",
    "=1+1",
    "東京🙂\u202eltr",
    "{braces} ?x=1&y=2#z",
    "T1.json",
    "T1.csv",
    "ends/",
    ".",
    "..",
    "x" * 512,
    "🙂" * 512,
)
"""Valid ids that break careless code."""

MORNING: dict[str, tuple[Leg, ...]] = {
    "MATCHED-1": (ours(), theirs()),
    "MATCHED-2": (ours(), theirs(price="190.505"), booked()),
    "PRICE-1": (ours(), theirs(price="191.25")),
    "PRICE-2": (ours(quantity="2000"), theirs(price="190.5051", quantity="2000")),
    "TICKER-1": (ours(), theirs(ticker="\u0410APL")),
    "SCRIPT-1": (ours(), theirs(ticker="<script>alert(1)</script>")),
    "ALONE-1": (ours(ticker="MSFT", timestamp_ns=SECOND_NS + 86_400 * 10**9),),
    "ALLEGED-1": (theirs(ticker="=SUM(A1)"),),
    "PNL-1": (ours(), theirs(), booked("95")),
    "LATE-1": (ours(), theirs(price="191"), theirs(version=2, kind=Kind.AMEND)),
    "CANCELLED-1": (ours(), theirs(), ours(version=2, kind=Kind.CANCEL), theirs(version=2, kind=Kind.CANCEL)),
    **{trade_id: (ours(), theirs(quantity="99")) for trade_id in STRANGE},
}


def filled(folder: Path, trades: dict[str, tuple[Leg, ...]] = MORNING) -> str:
    """A database with these trades, two dead letters and a partition status; returns its URL."""
    url = f"sqlite:///{folder / 'traderecon.db'}"
    store = Store.open(url)
    store.prepare()
    outputs = Outputs()
    for trade_id, legs in trades.items():
        outputs.publish_trade(trade_id, legs)
    outputs.append(TOPICS.dead_letters, 0, b"k", encoded_dead_letter(0, "<i>not JSON</i>: send an object"))
    odd = msgspec.json.decode(encoded_dead_letter(1, "=1+1"), type=dict[str, Any])
    outputs.append(
        TOPICS.dead_letters, 0, None, msgspec.json.encode(odd | {"code": "KEY_MISSING", "raw": "AP88Yj7igK4="})
    )
    waiting = [{"trade_id": "WAITS-1", "waiting_for": "confirmation", "due": "2025-07-26T10:02:23Z"}]
    counts = {"confirmation": 2, "execution": 1, "pnl": 0}
    status = {"partition": 0, "watermark": "2025-07-26T10:01:23Z", "pending": counts, "oldest": waiting}
    outputs.append(TOPICS.standings, 0, b"0", msgspec.json.encode(status))
    outputs.write_to(store)
    store.close()
    return url


def multiplied(folder: Path, times: int) -> None:
    """Multiply every trade of a database: its newest result again under other ids."""
    with closing(sqlite3.connect(folder / "traderecon.db")) as database, database:
        for table in ("results", "result_history"):
            names = [name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            columns = [f'"{name}"' for name in names if name != "id"]
            values = ["trade_id || '+' || n" if name == '"trade_id"' else name for name in columns]
            if table == "result_history":
                join = "JOIN results AS r USING (trade_id, version, event_id)"
                values = [value if value.startswith("trade_id ||") else f"h.{value}" for value in values]
                source = f"{table} AS h {join}"
            else:
                source = table
            database.execute(
                f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {times}) "
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {source}, many"
            )


class Desk:
    """A client of the server that sends paths exactly as given."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        """The response and its body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def text(self, path: str, status: int = 200) -> str:
        """The body, as text."""
        answer, body = self.ask(path)
        assert answer.status == status, (path, answer.status, body[:500])
        return body.decode()

    def json(self, path: str, status: int = 200) -> Any:
        """The body, as JSON."""
        return json.loads(self.text(path, status))


@contextmanager
def served(folder: Path, url: str, *words: str) -> Iterator[Desk]:
    """Run a server of these pages during the block; it must exit with 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "web.desk", str(folder), url, str(port), *words]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=TESTS.parent)
        try:
            desk = Desk(port)
            _wait(desk, server, log)
            yield desk
            server.terminate()
            assert server.wait(30) == 0, log.read_text()
        finally:
            server.kill()
            server.wait()


def _wait(desk: Desk, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            desk.ask("/healthz/live")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"no answer in 60 s: {log.read_text()}")


def main(folder: str, url: str, port: str, *words: str) -> None:
    """Serve the pages over a database, as the web role of a worker does."""
    import faust

    from traderecon import web
    from traderecon.sink.queries import Queries
    from traderecon.telemetry import Metrics
    from traderecon.transport.app import StreamApp
    from traderecon.web import downloads, server

    app = StreamApp(
        "t-web",
        broker=f"embedded://{folder}",
        data_dir=Path(folder) / "tables",
        web_host="127.0.0.1",
        web_port=int(port),
        web_application_options={"middlewares": web.middlewares()},
    )
    if "impatient" in words:
        server.SILENT_S = 1.0
        downloads.GRACE_S, downloads.MIN_BYTES_PER_S = 0.5, 10**6
    pages = "bare" not in words
    signs = {"sink": {"recovered": True, "assigned": "unwell" not in words}}
    queries = Queries.open(url) if pages else None
    web.attach(
        app,
        queries,
        Metrics(),
        pages=pages,
        health=lambda: signs,
        siblings=web.Siblings(()),
        broker="embedded log, one process",
    )
    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
