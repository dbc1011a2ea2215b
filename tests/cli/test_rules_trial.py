"""``traderecon rules try``: what other rules would do to the trades in the database. Source: DOMAIN.md F32."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from legs import booked, ours, theirs
from sink.outputs import Outputs

from traderecon.addresses import sqlite_url
from traderecon.cli import command
from traderecon.exit_codes import Exit
from traderecon.records import Kind, Leg
from traderecon.sink.store import Store

pytestmark = pytest.mark.usefixtures("here")

WIDER = 'name = "a cent"\n[checks.price.tolerance]\nabsolute = "0.01"\n'
STRICTER = 'name = "exact"\n[checks.price.tolerance]\nabsolute = "0"\n[checks.pnl]\nincomplete = "break"\n'
TRADES: dict[str, list[Leg]] = {
    "AGREES": [ours(), theirs()],
    "OFF-BY-8": [ours(), theirs(price="190.508")],
    "TOLERATED": [ours(), theirs(price="190.504")],
    "TWO": [ours(), theirs(price="190.508", quantity="101")],
    "ALONE": [ours()],
    "CANCELLED": [ours(kind=Kind.CANCEL), theirs(kind=Kind.CANCEL)],
    "NO-COMMISSION": [ours(), theirs(), booked(commission=None)],
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "traderecon-data" / "traderecon.db"
    path.parent.mkdir()
    store, outputs = Store.open(sqlite_url(path)), Outputs()
    store.prepare()
    for trade_id, legs in TRADES.items():
        outputs.publish_trade(trade_id, legs)
    outputs.write_to(store)
    store.close()
    return path


def try_rules(tmp_path: Path, text: str, *options: str) -> Result:
    (tmp_path / "desk.toml").write_text(text)
    return CliRunner().invoke(command, ["rules", "try", "desk.toml", *options])


def tried(tmp_path: Path, text: str, *options: str) -> dict[str, Any]:
    result = try_rules(tmp_path, text, "--json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_wider_tolerance_closes_breaks_and_changes_nothing(tmp_path: Path, database: Path) -> None:
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    found = tried(tmp_path, WIDER)
    assert {name: count for name, count in found.items() if isinstance(count, int)} == {
        "trades": 7,
        "opened": 0,
        "closed": 1,
        "changed": 1,
        "unchanged": 5,
        "not_judged": 0,
        "other_grouping": 0,
        "unreadable": 0,
    }
    assert [trade["trade_id"] for trade in found["first"]["closed"]] == ["OFF-BY-8"]
    (changed,) = found["first"]["changed"]
    assert changed == {
        "trade_id": "TWO",
        "reasons_before": ["PRICE_MISMATCH", "QUANTITY_MISMATCH"],
        "reasons": ["QUANTITY_MISMATCH"],
        "severity": "high",
        "at_stake": "191.308",
        "currency": None,
    }
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


def test_a_stricter_rule_opens_breaks_the_most_urgent_first(tmp_path: Path, database: Path) -> None:
    found = tried(tmp_path, STRICTER, "--show", "1")
    assert (found["opened"], found["closed"], found["changed"]) == (2, 0, 0)
    assert [trade["trade_id"] for trade in found["first"]["opened"]] == ["TOLERATED"]
    text = try_rules(tmp_path, STRICTER).output
    assert "7 trades: 2 would become breaks, 0 would no longer be breaks" in text
    assert "  TOLERATED  no reason -> PRICE_MISMATCH" in text


def test_what_cannot_be_tried_is_refused_or_said(tmp_path: Path, database: Path) -> None:
    grouped = try_rules(tmp_path, 'name = "o"\ngroup_by = "order_id"')
    assert (grouped.exit_code, "7 trades are not judged: which records belong together" in grouped.stderr) == (0, True)
    with_sources = try_rules(tmp_path, f"{WIDER}[sources.executions]\nsigned = true\n")
    assert with_sources.exit_code == 0
    assert "its [sources] tables are not tried" in with_sources.stderr
    assert try_rules(tmp_path, "nam = 1").exit_code == Exit.INPUT
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for name in ("latin.toml", "absent.toml"):
        assert CliRunner().invoke(command, ["rules", "try", name]).exit_code == Exit.INPUT
