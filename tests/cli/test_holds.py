"""``traderecon db hold`` and ``db purge``: what a hold covers; a day after the watermark is rejected."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from web.desk import MORNING, filled

from traderecon.cli import command
from traderecon.exit_codes import Exit
from traderecon.records.action import Hold
from traderecon.sink.legal_holds import take_hold
from traderecon.sink.store import Store

pytestmark = pytest.mark.usefixtures("here")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["db", *arguments])


def add(*arguments: str) -> str:
    done = run("hold", "add", "--reason", "a test", "--by", "me", *arguments)
    assert done.exit_code == Exit.OK, done.stderr
    return done.stderr


@pytest.fixture
def url(here: Path) -> str:
    """A log, and a database with trades of one ticker."""
    assert CliRunner().invoke(command, ["topics", "create"]).exit_code == Exit.OK
    return filled(Path("traderecon-data"))


def test_a_hold_reports_what_it_covers(url: str) -> None:
    trade = next(iter(MORNING))
    assert add("--trade", trade).endswith(f" on trade {trade}: covers 1 trade in the database now\n")
    assert "trades in the database now" in add("--ticker", "AAPL")


def test_a_hold_that_covers_nothing_is_accepted_with_a_warning(url: str) -> None:
    assert add("--trade", "NOPE").endswith("warning: it covers no trade in the database now\n")
    assert add("--ticker", "aapl").endswith("warning: it covers no trade in the database now; did you mean AAPL?\n")
    assert add("--ticker", "NOPE").endswith("no trade in the database now\n")


def test_without_a_database_the_coverage_is_not_reported(here: Path) -> None:
    assert CliRunner().invoke(command, ["topics", "create"]).exit_code == Exit.OK
    assert add("--ticker", "AAPL").endswith(" on ticker AAPL\n")


def test_the_list_shows_what_each_hold_covers(url: str) -> None:
    empty = run("hold", "list")
    assert (empty.stdout, empty.stderr) == ("", "there are no legal holds\n")
    assert json.loads(run("hold", "list", "--json").stdout) == []
    store = Store.open(url)
    with store.engine.begin() as connection:
        take_hold(connection, Hold("1", "me", "2025-07-26T10:00:00Z", "a test", None, "AAPL"))
        take_hold(connection, Hold("2", "me", "2025-07-26T10:00:01Z", "a test", "NOPE", None))
    store.close()
    counts = [row["trades"] for row in json.loads(run("hold", "list", "--json").stdout)]
    assert counts[0] > 1
    assert counts[1] == 0
    first, second = run("hold", "list").stdout.splitlines()
    assert first.endswith(f", {counts[0]} trades")
    assert second.endswith(", 0 trades")


def test_a_day_after_the_watermark_is_rejected(url: str) -> None:
    result = run("purge", "--before", "2025-07-27")
    assert result.exit_code == Exit.USAGE
    assert "--before 2025-07-27 is after the watermark (2025-07-26T10:01:23Z)" in result.stderr
    assert "give 2025-07-26 or an earlier day" in result.stderr
    assert run("purge", "--before", "2025-07-26").exit_code == Exit.OK


@pytest.mark.parametrize("written", ["tomorrow", "20250726", "2025-W30-6", "2025-02-30"])
def test_an_invalid_day_is_a_usage_error(written: str) -> None:
    result = run("purge", "--before", written)
    assert result.exit_code == Exit.USAGE
    assert f"{written!r} is not a date: write YYYY-MM-DD" in result.stderr
    assert "--before YYYY-MM-DD" in run("purge", "--help").stdout
