"""The pages on a real server: their content in all three formats, for every id; and rejected requests."""

import csv
import io
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from legs import ours, theirs
from markup import Node, Tree
from sink.outputs import results_of
from web.desk import MORNING, STRANGE, Desk, filled, served

from traderecon.present.trade_row import COLUMNS
from traderecon.records import Leg, State
from traderecon.records.result_message import encode_result
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record
from traderecon.web.templates import visible

CODES = Path(__file__).parents[2] / "docs" / "codes.json"
LEG = {"leg", "leg effective"}
PAGES = ["/", "/breaks", "/trades", "/dead-letters", "/status", "/trades/PRICE-1", "/nothing-here", "/breaks?page=x"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with served(folder, filled(folder)) as running:
        yield running


def tree(desk: Desk, path: str, status: int = 200) -> Node:
    """The page, which must be well formed."""
    read = Tree(desk.text(path, status))
    assert read.declarations == ["DOCTYPE html"]
    return read.root


def ids(page: Node) -> list[str]:
    """The trades of a list."""
    return [cell.all("bdi")[0].text for cell in page.all("th", **{"class": "id"})]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_accessible(desk: Desk, path: str) -> None:
    answer, body = desk.ask(path)
    page = Tree(body.decode()).root
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert page.all("title")[0].text.endswith("TradeRecon")
    assert page.all("a")[0]["href"] == f"#{page.all('main')[0]['id']}"
    for table in page.all("table"):
        assert table.all("caption")
        assert all("scope" in head.attributes for head in table.all("th"))
    for field in page.all("input") + page.all("select"):
        assert any(field in label.walk() for label in page.all("label"))
    assert not page.all("script")
    assert not page.all("style")
    assert not [node for node in page.walk() if "style" in node.attributes]


@pytest.mark.parametrize("path", [*PAGES, "/breaks.csv", "/breaks.json", "/download/csv", "/metrics", "/healthz/live"])
def test_every_response_has_the_security_headers(desk: Desk, path: str) -> None:
    answer, _ = desk.ask(path)
    policy = answer.getheader("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert answer.getheader("Server") == "TradeRecon"


def test_the_overview_has_the_figures(desk: Desk) -> None:
    page = tree(desk, "/")
    assert page.all("h1")[0].text == "22 breaks open, 3 of them critical"
    assert "embedded log, one process" in page.text
    figures = {group.all("dt")[0].text: group.all("dd")[0].text for group in page.all("dl")[0].all("div")}
    assert figures == {
        "Pending": "3",
        "Matched": "3",
        "Mismatched": "20",
        "Unmatched": "2",
        "Cancelled": "1",
        "Match rate": "11.54 %",
        "At stake": "98,097.2",
    }
    assert page.all("meta", **{"http-equiv": "refresh"})[0]["content"] == "5"
    assert ids(page)[:3] == ["TICKER-1", "SCRIPT-1", "ALLEGED-1"]
    assert "2025-07-26 10:01:23" in page.text
    assert not tree(desk, "/?refresh=off").all("meta", **{"http-equiv": "refresh"})
    for path in PAGES[1:]:
        assert not Tree(desk.ask(path)[1].decode()).root.all("meta", **{"http-equiv": "refresh"})


def test_no_link_of_a_page_is_dead(desk: Desk) -> None:
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer, body = desk.ask(path)
        assert answer.status == 200, path
        if answer.getheader("Content-Type", "").startswith("text/html"):
            page = Tree(body.decode()).root
            links = [node["href"] for node in page.all("a") + page.all("link") if not node["href"].startswith("#")]
            waiting += [urljoin(path, link).partition("#")[0] for link in links]
    assert {"/", "/breaks", "/trades", "/dead-letters", "/status", "/download/csv", "/breaks.csv"} <= seen
    assert len([path for path in seen if path.startswith("/trades/")]) >= 3 * len(MORNING)


def test_reasons_on_the_overview_link_to_their_breaks(desk: Desk) -> None:
    page = tree(desk, "/")
    (link,) = [link for link in page.all("a") if "PRICE_MISMATCH" in link["href"]]
    assert ids(tree(desk, link["href"])) == ["PRICE-1", "PRICE-2"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("reason=PNL_INCONSISTENT", ["PNL-1"]),
        ("severity=critical&sort=trade_id", ["ALLEGED-1", "SCRIPT-1", "TICKER-1"]),
        ("state=UNMATCHED&sort=trade_id", ["ALLEGED-1", "ALONE-1"]),
        ("ticker=MSFT", ["ALONE-1"]),
        ("trade_id=PRICE-&sort=notional", ["PRICE-2", "PRICE-1"]),
        ("trade_id=PRICE-&sort=at_stake", ["PRICE-1", "PRICE-2"]),
        ("trade_id=PRICE-", ["PRICE-1", "PRICE-2"]),
        ("trade_id=price", []),
        ("trade_id=%25", []),
        ("reason=PRICE_MISMATCH&severity=critical", []),
        ("status=resolved", ["MATCHED-1", "MATCHED-2", "LATE-1", "CANCELLED-1"]),
        ("status=all&trade_id=LATE&ticker=&reason=", ["LATE-1"]),
        ("reason=PRICE_MISMATCH&per_page=1&page=2", ["PRICE-2"]),
        ("reason=PRICE_MISMATCH&page=9", []),
        ("ticker=%3CI%3E", []),
    ],
)
def test_breaks_are_filtered_the_same_in_all_formats(desk: Desk, query: str, expected: list[str]) -> None:
    page = tree(desk, f"/breaks?{query}")
    found = desk.json(f"/breaks.json?{query}")
    listed = [row["trade_id"] for row in found["rows"]]
    if query == "status=resolved":
        listed, expected = sorted(listed), sorted(expected)
        assert sorted(ids(page)) == expected
    else:
        assert ids(page) == expected
    assert listed == expected
    csv_rows = rows(desk.text(f"/breaks.csv?{query}"))
    assert len(csv_rows) == found["count"]
    if "page" not in query:
        assert sorted(row["trade_id"] for row in csv_rows) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=CANCELLED", ["CANCELLED-1"]),
        ("state=MATCHED", ["LATE-1", "MATCHED-1", "MATCHED-2"]),
        ("reason=MISSING_EXECUTION", ["ALLEGED-1"]),
        ("date=2025-07-27", ["ALONE-1"]),
        ("date=2025-07-25", []),
        ("trade_id=MATCHED-2", ["MATCHED-2"]),
        ("sort=newest&per_page=1", ["ALONE-1"]),
    ],
)
def test_trades_are_filtered(desk: Desk, query: str, expected: list[str]) -> None:
    assert ids(tree(desk, f"/trades?{query}")) == expected
    assert [row["trade_id"] for row in desk.json(f"/trades.json?{query}")["rows"]] == expected


def test_a_list_can_be_paged_through(desk: Desk) -> None:
    path, found = "/trades?per_page=5", []
    while True:
        page = tree(desk, path)
        found += ids(page)
        following = page.all("a", rel="next")
        if not following:
            break
        path = following[0]["href"]
    assert found == [visible(trade_id) for trade_id in sorted(MORNING, key=str.encode)]
    assert [link["href"] for link in page.all("a", rel="prev")] == ["/trades?per_page=5&page=5"]


@pytest.mark.parametrize("trade_id", MORNING)
def test_every_trade_has_its_page_whatever_its_id_is(desk: Desk, trade_id: str) -> None:
    listed = tree(desk, "/trades")
    (cell,) = [cell for cell in listed.all("th", **{"class": "id"}) if cell.all("bdi")[0].text == visible(trade_id)]
    page = tree(desk, cell.all("a")[0]["href"])
    assert page.all("h1")[0].all("bdi")[0].text == visible(trade_id)
    twins = {link.text: link["href"] for link in page.all("a") if link.text in {"CSV", "JSON"}}
    assert desk.json(twins["JSON"])["trade_id"] == trade_id
    (row,) = rows(desk.text(twins["CSV"]))
    assert row["trade_id"].removeprefix("'") == trade_id
    assert tuple(row) == COLUMNS


def test_an_id_that_ends_like_a_file_name_is_found(tmp_path: Path) -> None:
    sides: tuple[Leg, ...] = (ours(), theirs())
    trades = dict.fromkeys(("T24.csv", "T25", "T25.csv", "T26.json", "T27.csv.json"), sides)
    with served(tmp_path, filled(tmp_path, trades)) as desk:
        for trade_id in ("T24.csv", "T26.json", "T27.csv.json"):
            assert tree(desk, f"/trades/{trade_id}").all("h1")[0].text == trade_id
            assert desk.json(f"/trades/{trade_id}.json")["trade_id"] == trade_id
            assert [row["trade_id"] for row in rows(desk.text(f"/trades/{trade_id}.csv"))] == [trade_id]
        # Where both are there, the ending asks for the form, and a slash for the page of the longer id.
        assert [row["trade_id"] for row in rows(desk.text("/trades/T25.csv"))] == ["T25"]
        assert tree(desk, "/trades/T25.csv/").all("h1")[0].text == "T25.csv"
        assert desk.text("/trades/T24", 404)


@pytest.mark.parametrize("path", ["/", "/breaks", "/trades", "/trades?trade_id=%E6%9D%B1", "/breaks?reason=%E2%80%AE"])
def test_marks_of_direction_are_spelled_out(desk: Desk, path: str) -> None:
    _, body = desk.ask(path)
    page = body.decode()
    assert not any(mark in page for mark in "\u202a\u202e\u2066\u2069\u200e\u200f\u200b\ufeff")
    assert ("[U+202E]" in page) == (path != "/")


def test_a_senders_text_is_never_markup(desk: Desk) -> None:
    for path in ["/", "/breaks", "/trades", "/dead-letters", "/trades/SCRIPT-1", f"/trades/{quote(STRANGE[0])}"]:
        text = desk.text(path)
        for sent in ("<b>bold", "<script", "<i>not"):
            assert sent not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in desk.text("/trades/SCRIPT-1")


def test_a_trade_is_laid_out_side_by_side(desk: Desk) -> None:
    page = tree(desk, "/trades/PRICE-1")
    checks = {row.all("th")[0].text: row for row in page.all("table", **{"class": "compare"})[0].all("tr")[1:]}
    assert list(checks) == ["ticker", "quantity", "price", "timestamp", "pnl expected, booked"]
    price = [cell.text for cell in checks["price"].all("td")]
    assert price == ["190.5", "191.25", "0.75", "0.005", "FAIL"]
    assert [mark.text for mark in checks["price"].all("mark")] == ["0.5", "1.25"]
    assert checks["price"]["class"] == "fail"
    assert "the prices differ by more than the tolerance" in page.text
    assert "in, partition 0, offset 1, received 2025-07-26 10:01:23" in page.text


def test_legs_that_contradict_each_other_are_both_shown_and_the_field_is_marked(tmp_path: Path) -> None:
    url = filled(tmp_path, {"CONTESTED-1": (ours(), ours(price="190.60"), theirs())})
    with served(tmp_path, url) as desk:
        page = tree(desk, "/trades/CONTESTED-1")
        checks = {row.all("th")[0].text: row for row in page.all("table", **{"class": "compare"})[0].all("tr")[1:]}
        price = [cell.text for cell in checks["price"].all("td")]
        assert price[:2] == ["190.5 | 190.6 contested", "190.5"]
        assert price[-1] == "NOT_CHECKED the legs contradict themselves"
        legs = [leg.all("p")[0].text.split()[0] for leg in page.all("div") if leg.attributes.get("class") in LEG]
        assert legs == ["Contradictory.", "Contradictory.", "Effective."]
        assert [name.text for name in page.all("dt") if "contested" in name.text] == ["price contested"] * 2
        assert desk.json("/trades/CONTESTED-1.json")["result"]["contested"] == ["executions.price"]
        [row] = csv.DictReader(io.StringIO(desk.text("/trades/CONTESTED-1.csv")))
        assert (row["execution_price"], row["contested"]) == ("190.5 | 190.6", "executions.price")


def test_lookalike_characters_are_spelled_out(desk: Desk) -> None:
    checks = tree(desk, "/trades/TICKER-1").all("table", **{"class": "compare"})[0]
    assert "U+0410" in checks.text
    assert len(checks.all("mark")) == 2


def test_a_single_side_is_shown_with_its_values(desk: Desk) -> None:
    row = tree(desk, "/trades/ALONE-1").all("table", **{"class": "compare"})[0].all("tr")[1]
    assert [cell.text for cell in row.all("td")][:2] == ["MSFT", "–"]
    assert "the other side is missing" in row.text


def test_a_trade_has_its_history_its_break_and_every_leg(desk: Desk) -> None:
    page = tree(desk, "/trades/LATE-1")
    assert "resolved 2025-07-26" in page.text
    assert [head.text for head in page.all("th", scope="row", **{"class": "number"})] == ["3", "2", "1"]
    transitions = [row.all("td")[0].text for row in page.all("table")[-1].all("tr")[1:]]
    assert transitions == ["opened", "reclassified", "resolved AMENDMENT"]
    legs = [leg.all("p")[0].text.split()[0] for leg in page.all("div") if leg.attributes.get("class") in LEG]
    assert legs == ["Effective.", "Superseded.", "Effective."]
    trade = desk.json("/trades/LATE-1.json")
    assert [result["version"] for result in trade["history"]] == [3, 2, 1]
    assert trade["result"]["state"] == "MATCHED"
    assert trade["break"]["status"] == "RESOLVED"


def test_an_unknown_trade_is_not_found_and_a_pending_one_is_explained(desk: Desk) -> None:
    assert "There is no result for a trade T-404" in tree(desk, "/trades/T-404", 404).text
    assert "waiting for its confirmation until 2025-07-26 10:02:23" in tree(desk, "/trades/WAITS-1", 404).text
    assert desk.json("/trades/%00.json", 404)["status"] == 404
    assert desk.text("/trades/T-404.csv", 404).startswith("There is no result")


def test_dead_letters_are_shown_with_their_first_bytes(desk: Desk) -> None:
    page = tree(desk, "/dead-letters")
    assert "KEY_MISSING open =1+1 executions/0/1" in page.text
    assert r"\x00\xff<b>\u202e" in page.text
    assert ids(tree(desk, "/dead-letters?code=SCHEMA_INVALID")) == []
    csv_rows = rows(desk.text("/dead-letters.csv"))
    assert [row["text"] for row in csv_rows] == ["'=1+1", "<i>not JSON</i>: send an object"]
    assert desk.json("/dead-letters.json?code=KEY_MISSING")["count"] == 1


def test_the_download_has_every_trade_in_the_columns_of_reconcile(desk: Desk) -> None:
    answer, body = desk.ask("/download/csv")
    assert answer.getheader("Content-Disposition") == 'attachment; filename="reconciliation.csv"'
    csv_rows = rows(body.decode())
    assert tuple(csv_rows[0]) == COLUMNS
    expected = sorted(MORNING, key=str.encode)
    assert [row["trade_id"].removeprefix("'") for row in csv_rows] == expected
    assert {row["trade_id"] for row in csv_rows} >= {"'=1+1"}


def test_the_registry_of_codes_is_the_file_of_the_documentation(desk: Desk) -> None:
    assert desk.json("/api/v1/reasons") == json.loads(CODES.read_text(encoding="utf-8"))
    assert desk.ask("/api/v1/reasons?kind=reason")[0].status == 400


def test_head_has_no_body(desk: Desk) -> None:
    for path in ("/", "/breaks.csv", "/download/csv", "/trades/PRICE-1.json"):
        answer, body = desk.ask(path, "HEAD")
        assert (answer.status, body) == (200, b"")


def test_all_five_states_are_counted(desk: Desk) -> None:
    counts = {"PENDING": 3, "MATCHED": 3, "MISMATCHED": 20, "UNMATCHED": 2, "CANCELLED": 1}
    assert desk.json("/api/reconciliation_status") == counts
    assert set(counts) == set(State)


def test_open_breaks_are_metrics(desk: Desk) -> None:
    text = desk.text("/metrics")
    assert 'traderecon_breaks_open{reason="PRICE_MISMATCH",severity="high"} 2.0' in text
    assert 'traderecon_breaks_open{reason="SIDE_MISMATCH",severity="critical"} 0.0' in text
    assert 'traderecon_break_age_seconds_bucket{le="+Inf"} 22.0' in text
    assert 'traderecon_break_age_seconds_bucket{le="60"} 0.0' in text
    assert 'traderecon_breaks_open_by_severity{severity="critical"} 3.0' in text
    assert 'traderecon_breaks_open_by_severity{severity="low"} 0.0' in text
    assert 'traderecon_money_at_stake{currency="",severity="critical"} 57150.0' in text
    assert "traderecon_build_info" in text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/breaks?reason=FOO", "reason is “FOO”: use one of MISSING_CONFIRMATION"),
        ("/breaks?raeson=FOO", "Unknown parameter “raeson”: did you mean reason? This page takes status, "),
        ("/breaks?xyzzy=1", "Unknown parameter “xyzzy”. This page takes status, "),
        ("/breaks?page=0", "page is “0”: use a whole number from 1"),
        ("/breaks?page=%C2%B2", "use a whole number"),
        ("/breaks?page=99999999999999999999", "use a whole number"),
        ("/breaks?per_page=501", "from 1 to 500"),
        ("/breaks?ticker=A&ticker=B", "ticker is given 2 times"),
        ("/breaks?ticker=%00", "ticker cannot be searched for"),
        ("/trades?date=2025-02-30", "date is “2025-02-30”: use a day such as 2025-07-26"),
        ("/trades?date=20250226", "use a day such as"),
        ("/trades?state=PENDING", "Pending trades are listed on /status."),
        ("/trades?state=pending", "Pending trades are listed on /status."),
        ("/trades?sort=%3Cb%3E", "sort is “<b>”"),
        ("/dead-letters?code=x", "code is “x”"),
        ("/?x=1", "The only parameter of the overview is refresh=off."),
        ("/status?x=1", "Unknown parameter x"),
        ("/trades/PRICE-1?x=1", "Unknown parameter x"),
    ],
)
def test_a_bad_request_gets_the_reason(desk: Desk, path: str, message: str) -> None:
    assert message in tree(desk, path, 400).text
    route, _, query = path.partition("?")
    if route in {"/breaks", "/trades", "/dead-letters"}:
        assert message in desk.json(f"{route}.json?{query}", 400)["error"]
        assert message in desk.text(f"{route}.csv?{query}", 400)


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/healthz/x", "/health"])
def test_a_probe_at_a_wrong_path_gets_the_right_ones(desk: Desk, path: str) -> None:
    answer, body = desk.ask(path)
    assert answer.status == 404
    assert "health is at /healthz/live and /healthz/ready" in body.decode()


@pytest.mark.parametrize("path", ["/breaks/", "/trades/", "/status/", "/healthz/ready/", "/metrics/", "/breaks.csv/"])
def test_a_slash_at_the_end_changes_nothing(desk: Desk, path: str) -> None:
    assert desk.ask(path)[0].status == 200


@pytest.mark.parametrize(
    "path", ["/router/", "/router", "/table/", "/graph/", "/assignment/", "/x", "//evil.com/", "/static"]
)
def test_nothing_else_is_served(desk: Desk, path: str) -> None:
    answer, _ = desk.ask(path)
    assert (answer.status, answer.getheader("Location")) == (404, None)


def test_other_methods_are_rejected(desk: Desk) -> None:
    for method in ("POST", "DELETE", "OPTIONS", "TRACE"):
        answer, _ = desk.ask("/breaks", method)
        assert answer.status == 405
        assert answer.getheader("Allow") == "GET,HEAD"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:5000", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:x", 421),
        ("localhost@evil.example", 421),
    ],
)
def test_foreign_host_names_are_rejected(desk: Desk, host: str, status: int) -> None:
    for path in ("/", "/metrics", "/api/reconciliation_status", "/nothing"):
        answer, _ = desk.ask(path, Host=host)
        assert answer.status == (404 if path == "/nothing" and status == 200 else status)


@pytest.mark.matrix("P6")
def test_a_reader_that_goes_away_does_no_harm(desk: Desk) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", desk.port), timeout=30) as reader:
            reader.sendall(b"GET /download/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reader.recv(10)
    assert desk.json("/healthz/ready")["ready"] is True


def test_without_pages_only_health_and_metrics_are_served(tmp_path: Path) -> None:
    with served(tmp_path, "", "bare", "unwell") as bare:
        for path in ("/", "/breaks", "/trades/T1", "/style.css", "/api/reconciliation_status", "/router/"):
            assert bare.ask(path)[0].status == 404
        assert "traderecon_breaks_open" not in bare.text("/metrics")
        roles = {"sink": {"recovered": True, "assigned": False}}
        assert bare.json("/healthz/live") == {"live": True, "roles": roles, "incidents": []}
        assert bare.json("/healthz/ready", 503)["ready"] is False


def test_an_unreadable_database_is_reported_and_survived(tmp_path: Path) -> None:
    url = filled(tmp_path, {"T1": MORNING["PRICE-1"]})
    file = tmp_path / "traderecon.db"
    with served(tmp_path, url) as desk:
        with closing(sqlite3.connect(file)) as writer, writer:
            writer.execute("ALTER TABLE breaks RENAME TO hidden")
        answer, body = desk.ask("/breaks")
        assert (answer.status, answer.getheader("Retry-After")) == (503, "5")
        assert b"The database did not answer" in body
        assert desk.json("/breaks.json", 503)["status"] == 503
        assert desk.text("/breaks.csv", 503).startswith("The database did not answer")
        text = desk.text("/metrics")
        assert "traderecon_build_info" in text
        assert "traderecon_break_age_seconds" not in text
        assert desk.json("/healthz/live")["live"] is True
        with closing(sqlite3.connect(file)) as writer, writer:
            writer.execute("ALTER TABLE hidden RENAME TO breaks")
            writer.execute("UPDATE result_history SET result = '{}'")
        number = desk.text("/trades/T1", 500).partition("Error ")[2][:8]
        assert f"error {number}: GET '/trades/T1' failed" in (tmp_path / "server.log").read_text()
        assert desk.ask("/breaks")[0].status == 200


FOREIGN: dict[str, tuple[str, ...]] = {
    "F-source": ("legs.future_source: an unknown source",),
    "F-no-checks": ("checks: missing",),
    "F-checks": ("checks[0]: Object missing required field `name`",),
    "F-checks-text": ("checks: Expected `array`, got `str`",),
    "F-no-rules": ("rules: missing",),
    "F-rules": ("rules: Expected `object`, got `int`",),
    "F-legs": ("legs.executions[0]: Object missing required field `topic`",),
    "F-hints": (),
    "F-operand": (),
    "F-timestamp": (),
    "F-nul\0\n": (),
}


def foreign(trade_id: str) -> dict[str, Any]:
    """A result that TradeRecon did not write, though the sink accepts it."""
    legs: list[Leg] = [ours(), theirs(price="191")]
    message: dict[str, Any] = json.loads(encode_result(results_of(trade_id, legs)[-1]))
    leg = message["legs"]["executions"][0]
    match trade_id:
        case "F-source":
            message["legs"]["future_source"] = [leg]
        case "F-no-checks" | "F-no-rules":
            del message[trade_id.removeprefix("F-no-")]
        case "F-checks":
            message["checks"][0] = {"x": 1}
        case "F-checks-text":
            message["checks"] = "none"
        case "F-rules":
            message["rules"] = 1
        case "F-legs":
            message["legs"]["executions"] = [{"payload": {}, "stands": True}]
        case "F-hints":
            message["hints"] = ["NOPE"]
        case "F-operand":
            message["checks"][1] |= {"execution": "1e999999", "confirmation": "x", "difference": "9" * 5_000}
        case "F-timestamp":
            leg["payload"] |= {"timestamp": 5}
    return message


def test_of_a_foreign_result_every_page_shows_what_can_be_read(tmp_path: Path) -> None:
    url = filled(tmp_path, {"T1": MORNING["PRICE-1"]})
    store = Store.open(url)
    records = [Record(1_000 + at, 0, b"k", json.dumps(foreign(one)).encode(), ()) for at, one in enumerate(FOREIGN)]
    store.take(MicroBatch("mismatch", 0, records))
    store.close()
    with served(tmp_path, url) as desk:
        for trade_id, unreadable in FOREIGN.items():
            page = tree(desk, f"/trades/{quote(trade_id, safe='')}")
            assert page.all("h1")[0].text == visible(trade_id)
            [*shown] = [
                part.text for part in page.all("bdi") if part.text.startswith(("legs", "checks", "rules", "hints"))
            ]
            assert tuple(shown) == unreadable
            assert ("Not readable" in page.text) is bool(unreadable)
            assert desk.json(f"/trades/{quote(trade_id, safe='')}.json")["trade_id"] == trade_id
            desk.text(f"/trades/{quote(trade_id, safe='')}.csv")
        for path in ("/", "/breaks", "/trades", "/breaks.csv?sort=oldest", "/trades.csv", "/download/csv"):
            assert "F-no-rules" in desk.text(path)
        assert {row["trade_id"] for row in rows(desk.text("/breaks.csv?sort=oldest"))} == {"T1", *FOREIGN}


def test_an_amount_of_a_million_digits_is_shortened(tmp_path: Path) -> None:
    """An earlier version stored it."""
    url = filled(tmp_path, {"T1": MORNING["PRICE-1"]})
    with closing(sqlite3.connect(tmp_path / "traderecon.db")) as writer, writer:
        for table in ("results", "breaks"):
            writer.execute(f"UPDATE {table} SET notional = '1' || hex(zeroblob(499999))")
            writer.execute(f"UPDATE {table} SET at_stake = notional")
        writer.execute(
            'UPDATE result_history SET result = replace(result, \'"quantity":"100"\', \'"quantity":"1e999999"\')'
        )
    with served(tmp_path, url) as desk:
        for path in ("/", "/breaks", "/trades", "/trades/T1", "/breaks?sort=notional"):
            assert "10000000000000000000… (999,999 characters)" in desk.text(path)
        for path in ("/trades/T1.json", "/trades/T1.csv", "/breaks.json", "/download/csv", "/metrics"):
            desk.text(path)


def test_a_figure_that_cannot_be_read_takes_no_other_with_it(tmp_path: Path) -> None:
    url = filled(tmp_path, {"T1": MORNING["PRICE-1"]})
    file = tmp_path / "traderecon.db"
    row = "INSERT INTO ledger VALUES (?, 0, 0, 9223372036854775807, 0, 0, 0, 0, 0, ?, '[]')"
    with served(tmp_path, url) as desk:
        with closing(sqlite3.connect(file)) as writer, writer:
            writer.executemany(row, [(topic, 2**63 - 1) for topic in ("executions", "legs", "pnl_snapshot")])
        assert f"traderecon_unaccounted_offsets {float(3 * (2**63 - 1))}" in desk.text("/metrics")
        assert desk.json("/status.json")["unaccounted"] == 2**63 - 1
        assert desk.ask("/status")[0].status == 200
        with closing(sqlite3.connect(file)) as writer, writer:
            writer.execute("UPDATE ledger SET unaccounted = 'many' WHERE topic = 'legs'")
            writer.execute("UPDATE breaks SET opened_at = 'long ago'")
        text = desk.text("/metrics")
        assert "traderecon_unaccounted_offsets +Inf" in text
        assert 'traderecon_breaks_open{reason="PRICE_MISMATCH",severity="high"} 1.0' in text
        assert "traderecon_break_age_seconds" not in text
        said = (tmp_path / "server.log").read_text()
        assert "the metrics age are left out: what the database has cannot be counted" in said
        assert "unaccounted offsets are reported as infinite" in said


def test_a_failed_download_does_not_look_complete(tmp_path: Path) -> None:
    url = filled(tmp_path, {f"T{number:04}": MORNING["PRICE-1"] for number in range(2_500)})
    with closing(sqlite3.connect(tmp_path / "traderecon.db")) as writer, writer:
        writer.execute("UPDATE result_history SET result = '{}' WHERE trade_id = 'T2400'")
    with served(tmp_path, url) as desk, socket.create_connection(("127.0.0.1", desk.port), timeout=30) as reader:
        reader.sendall(b"GET /download/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        try:
            while chunk := reader.recv(65_536):
                received += chunk
        except ConnectionResetError:
            pass
        assert received.startswith(b"HTTP/1.1 200")
        assert not received.endswith(b"0\r\n\r\n")
        assert "failed while it was sent, cut off" in (tmp_path / "server.log").read_text()
