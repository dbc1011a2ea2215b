"""What a desk sees first: severity by the rules, the money at stake, and breaks that become more urgent with age."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import arrived, judgement_of, ours, theirs
from markup import Tree
from sink.outputs import Outputs
from sqlalchemy import Column, MetaData, Table, Text, create_engine, insert, select
from web.desk import served

from traderecon.clock import now_ns
from traderecon.intake.instants import instant
from traderecon.matching import judge, result_of, sides_of
from traderecon.matching.assess import assess
from traderecon.records import Leg, Result
from traderecon.records.business_time import Calendar
from traderecon.records.instants import FOREVER_NS, NS_PER_S, iso
from traderecon.records.numbers import plain
from traderecon.records.result_message import encode_result
from traderecon.rules import Rules
from traderecon.rules.file import parse_rules
from traderecon.sink.filters import BreakFilter
from traderecon.sink.queries import Queries
from traderecon.sink.query_parts import largest_first
from traderecon.sink.rows import BreakRow
from traderecon.sink.store import Store
from traderecon.web.ages import ages
from traderecon.web.exposition import BreakCollector

RULES = parse_rules(
    """
    name = "desk"
    [[severity]]
    reason = "PRICE_MISMATCH"
    stake_below = "1"
    currency = "USD"
    severity = "low"
    [[severity]]
    open_hours = 87_600
    severity = "critical"
    """
)
TRADES: dict[str, tuple[Leg, ...]] = {
    "CENTS": (ours(currency="USD"), theirs(price="190.5051")),
    "MUCH": (ours(currency="USD"), theirs(price="200")),
    "LESS": (ours(currency="USD"), theirs(price="191")),
    "EUROS": (ours(currency="EUR"), theirs(price="1000000000")),
    "BARE": (ours(account="A", currency="USD"), msgspec.structs.replace(theirs(account="B"), price=None)),
    "GOOD": (ours(currency="USD"), theirs()),
}


def result(trade_id: str, legs: tuple[Leg, ...], rules: Rules = RULES) -> Result:
    facts = arrived(*[msgspec.structs.replace(leg, trade_id=trade_id) for leg in legs])
    sides = sides_of(facts)
    verdict = judge(sides, FOREVER_NS, rules)
    return result_of(judgement_of(facts, verdict, assess(sides, verdict, rules)), rules.stamp())


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'traderecon.db'}"
    store, outputs = Store.open(url), Outputs()
    store.prepare()
    for trade_id, legs in TRADES.items():
        published = result(trade_id, legs)
        topic = "mismatch" if published.verdict.state.is_break else "reconciled"
        outputs.append(topic, 0, trade_id.encode(), encode_result(published))
    outputs.write_to(store)
    store.close()
    return url


def test_the_default_order_is_severity_then_the_money_at_stake_an_unknown_amount_first(url: str) -> None:
    queries = Queries.open(url)
    rows = [(row.trade_id, row.severity, row.at_stake, row.currency) for row in breaks_of(queries)]
    assert rows == [
        ("BARE", "high", None, "USD"),
        ("EUROS", "high", "99999980950", "EUR"),
        ("MUCH", "high", "950", "USD"),
        ("LESS", "high", "50", "USD"),
        ("CENTS", "low", "0.51", "USD"),
    ]
    assert queries.stakes() == {
        ("USD", "high"): Decimal(1000),
        ("EUR", "high"): Decimal("99999980950"),
        ("USD", "low"): Decimal("0.51"),
    }
    queries.close()


def breaks_of(queries: Queries, **wanted: str) -> list[BreakRow]:
    rows = queries.rows(BreakFilter(**wanted), limit=100)
    return [row for row in rows if isinstance(row, BreakRow)]


def test_a_break_becomes_more_urgent_when_it_has_been_open_long_enough(url: str) -> None:
    queries = Queries.open(url)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        read = "SELECT opened_at, escalates_at, escalates_to FROM breaks WHERE trade_id = 'CENTS'"
        [(opened_at, escalates_at, escalates_to)] = database.execute(read)
        hours_ns = instant(escalates_at).ns - instant(opened_at).ns
        assert (hours_ns, escalates_to) == (87_600 * 3_600 * NS_PER_S, "critical")
        for from_now_s, severity in ((3_600, "low"), (-3_600, "critical")):
            with database:
                at = iso(now_ns() + from_now_s * NS_PER_S)
                database.execute("UPDATE breaks SET escalates_at = ? WHERE trade_id = 'CENTS'", (at,))
            [row] = breaks_of(queries, trade_id="CENTS")
            assert row.severity == severity
            assert [each.trade_id for each in breaks_of(queries, trade_id="CENTS", severity=severity)] == ["CENTS"]
            assert queries.open_breaks().severities[severity] == 1
        with database:  # it is past its time, but nobody has to hurry any more
            database.execute("UPDATE breaks SET status = 'RESOLVED' WHERE trade_id = 'CENTS'")
        assert [row.severity for row in breaks_of(queries, trade_id="CENTS", status="resolved")] == ["low"]
    queries.close()


def test_the_desk_sees_when_a_break_becomes_more_urgent(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE breaks SET escalates_at = '2999-07-26T21:00:00Z' WHERE trade_id != 'LESS'")
        database.execute("UPDATE breaks SET escalates_at = '2020-01-01T00:00:00Z' WHERE trade_id = 'LESS'")
    with served(tmp_path, url) as desk:
        (cents,) = [row for row in json.loads(desk.text("/breaks.json"))["rows"] if row["trade_id"] == "CENTS"]
        assert (cents["escalates_at"], cents["escalates_to"]) == ("2999-07-26T21:00:00Z", "critical")
        (less,) = [row for row in json.loads(desk.text("/breaks.json"))["rows"] if row["trade_id"] == "LESS"]
        assert less["escalates_at"] == "2020-01-01T00:00:00Z"
        assert "escalates_at" in next(csv.reader(io.StringIO(desk.text("/breaks.csv"))))
        for path, times in (("/breaks?trade_id=CENTS", 1), ("/trades/CENTS", 1), ("/breaks?trade_id=LESS", 0)):
            text = desk.text(path)
            assert text.count("critical at 2999-07-26 21:00") == times, path
            assert "critical at 2020" not in text


def test_every_list_and_download_has_the_severity_of_the_break_by_now(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE breaks SET escalates_at = '2020-01-01T00:00:00Z' WHERE trade_id = 'CENTS'")
        database.execute(
            "UPDATE breaks SET escalates_at = '2020-01-01T00:00:00Z', status = 'RESOLVED' WHERE trade_id = 'LESS'"
        )
    with served(tmp_path, url) as desk:
        expected = {"BARE": "high", "CENTS": "critical", "EUROS": "high", "GOOD": "", "LESS": "high", "MUCH": "high"}
        for path in ("/trades.csv", "/download/csv"):
            rows = csv.DictReader(io.StringIO(desk.text(path)))
            assert {row["trade_id"]: row["severity"] for row in rows} == expected, path
        listed = json.loads(desk.text("/trades.json"))["rows"]
        assert {row["trade_id"]: row["severity"] or "" for row in listed} == expected
        assert json.loads(desk.text("/trades/CENTS.json"))["severity"] == "critical"
        [row] = csv.DictReader(io.StringIO(desk.text("/trades/CENTS.csv")))
        assert row["severity"] == "critical"


def test_the_metric_has_the_ages_of_the_list_of_breaks(url: str) -> None:
    """Whatever the time of this test: a desk that has been closed for days, and one that never closes."""
    today = datetime.now(UTC).date()
    days_before = tuple((today - timedelta(days=day)).isoformat() for day in range(-2, 11))
    week = (1, 2, 3, 4, 5, 6, 7)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE breaks SET opened_at = ?", (iso(now_ns() - 5 * 86_400 * NS_PER_S),))
    for calendar, age, sum_s in (
        (Calendar("UTC", 0, 1_440, week, tuple(sorted(days_before))), "0 h", 0),
        (Calendar("UTC", 0, 1_440, week), "120 h", 5 * 5 * 86_400),
        (None, "120 h", 5 * 5 * 86_400),
    ):
        queries = Queries.open(url, calendar)
        shown = ages(calendar, now_ns())
        assert {shown(row) for row in breaks_of(queries)} == {age}
        [family] = [each for each in BreakCollector(queries).collect() if each.name == "traderecon_break_age_seconds"]
        samples = {sample.name.rpartition("_")[2]: sample.value for sample in family.samples}
        assert samples["count"] == 5
        assert samples["sum"] == pytest.approx(sum_s, abs=300)
        queries.close()


def test_the_pages_show_what_is_at_stake_and_what_would_clear_it(url: str, tmp_path: Path) -> None:
    with served(tmp_path, url) as desk:
        overview = Tree(desk.text("/")).root.text
        assert "99,999,980,950" in overview
        assert "1,000.51" in overview
        page = Tree(desk.text("/trades/LESS")).root.text
        assert "a price tolerance of 0.5" in page
        assert "broker_confirmations.price = 190.5" in page
        assert "At stake" in page
        published = json.loads(desk.text("/trades/LESS.json"))
        assert (published["at_stake"], published["currency"], published["severity"]) == ("50", "USD", "high")
        assert published["result"]["at_stake"] == {"amount": "50", "currency": "USD"}
        assert published["result"]["would_clear"][0] == {"check": "price", "value": "0.5"}
        good = json.loads(desk.text("/trades/GOOD.json"))
        assert (good["at_stake"], good["currency"]) == (None, "USD")
        assert not {"at_stake", "severity", "would_clear"} & set(good["result"])


AMOUNTS = st.decimals(min_value=0, max_value=Decimal("1E36"), allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | AMOUNTS, max_size=20))
def test_texts_of_decimals_are_ordered_by_value_whatever_their_digits(amounts: list[Decimal | None]) -> None:
    table = Table("t", MetaData(), Column("amount", Text))
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        if amounts:
            connection.execute(insert(table), [{"amount": None if a is None else plain(a)} for a in amounts])
        found = [amount for (amount,) in connection.execute(select(table).order_by(*largest_first(table.c.amount)))]
    known = sorted((amount for amount in amounts if amount is not None), reverse=True)
    assert found == [None] * amounts.count(None) + [plain(amount) for amount in known]
