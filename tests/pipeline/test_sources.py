"""The worker reads every source by its settings, and gives the verdicts of the batch on the same files."""

import csv
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import source_day
from pipeline_case import Installation
from pipeline_truth import assert_history_holds

from traderecon.records import Source


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules file of the day, beside its files."""
    return source_day.write(tmp_path)


def test_the_stream_and_the_batch_read_the_same_files_alike(installation: Installation, rules: Path) -> None:
    installation.environment["TRADERECON_RULES"] = str(rules)
    worker = installation.start_ready()
    installation.run("ingest", *(f"{source}.csv" for source in Source))
    installation.until_decided()

    batch = installation.run(
        *("reconcile", "--executions", "executions.csv", "--confirmations", "broker_confirmations.csv"),
        *("--pnl", "pnl_snapshot.csv", "--out", "batch.csv"),
    )
    assert "7 rows rejected" in batch.stderr
    stored = installation.rows("SELECT trade_id, state, reasons, hints FROM results ORDER BY trade_id")
    assert {
        trade_id: (state, ";".join(json.loads(reasons)), json.loads(hints))
        for trade_id, state, reasons, hints in stored
    } == source_day.VERDICTS
    dead_letters = installation.rows("SELECT source_topic, code FROM dead_letters")
    assert sorted(dead_letters) == source_day.REJECTS

    streamed, reconciled = (
        {row["trade_id"]: row for row in csv.DictReader(text.splitlines())}
        for text in (worker.get("/download/csv").decode(), (installation.directory / "batch.csv").read_text())
    )
    assert streamed == reconciled
    legs = json.loads(
        str(installation.one("SELECT result FROM result_history WHERE trade_id = 'S3' ORDER BY version DESC"))
    )
    (confirmation,) = legs["legs"]["broker_confirmations"]
    assert confirmation["payload"].items() >= {"price": "0.725", "sent_price": "72.5", "sent_currency": "GBX"}.items()
    page = worker.get("/trades/S3").decode()
    assert "72.5" in page
    assert worker.leave() == 0
    assert_history_holds(installation)
    installation.run("audit", "verify")


def test_trades_without_a_price_and_a_time_are_on_every_page_and_in_every_output(
    installation: Installation, tmp_path: Path
) -> None:
    """The checks are off, so no record has the fields: matched, broken, one-sided, cancelled."""
    rules = tmp_path / "desk.toml"
    severity = '[[severity]]\nstake_at_least = 5\ncurrency = "USD"\nseverity = "low"\n'
    rules.write_text(f'name = "x"\n{severity}[checks]\nprice = false\ntimestamp = false\n', encoding="utf-8")
    installation.environment["TRADERECON_RULES"] = str(rules)
    header = "trade_id,ticker,quantity,currency,kind"
    ours = ["P1,AAPL,100,USD,", "P2,AAPL,100,USD,", "P3,AAPL,100,USD,", "P4,AAPL,100,USD,", "P4,,,,cancel"]
    theirs = ["P1,AAPL,100,USD,", "P2,MSFT,100,USD,", "P5,AAPL,7,USD,"]
    (tmp_path / "executions.csv").write_text("\n".join((header, *ours, "")), encoding="utf-8")
    (tmp_path / "broker_confirmations.csv").write_text("\n".join((header, *theirs, "")), encoding="utf-8")
    worker = installation.start_ready()
    installation.run("ingest", "executions.csv", "broker_confirmations.csv")
    installation.until_decided()
    batch = installation.run(
        *("reconcile", "--executions", "executions.csv", "--confirmations", "broker_confirmations.csv"),
        *("--out", "batch.csv", "--report", "report.html"),
    )
    assert "5 trades" in batch.stderr
    streamed, reconciled = (
        {row["trade_id"]: row for row in csv.DictReader(text.splitlines())}
        for text in (worker.get("/download/csv").decode(), (tmp_path / "batch.csv").read_text())
    )
    assert streamed == reconciled
    assert {trade_id: row["state"] for trade_id, row in streamed.items()} == {
        "P1": "MATCHED",
        "P2": "MISMATCHED",
        "P3": "UNMATCHED",
        "P4": "CANCELLED",
        "P5": "UNMATCHED",
    }
    assert {row["at_stake"] for row in streamed.values()} == {""}
    pages = ("/", "/trades", "/trades.json", "/trades.csv", "/breaks", "/breaks.json", "/breaks.csv", "/status")
    for path in (*pages, *(f"/trades/{trade_id}" for trade_id in streamed)):
        assert worker.get(path)
    assert "P2" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert worker.leave() == 0
    assert_history_holds(installation)
    installation.run("audit", "verify")


def test_a_time_ahead_and_a_key_of_another_trade_are_said(installation: Installation) -> None:
    """C18, E15: both trades are judged as they are; the hints are of the stream alone."""
    worker = installation.start_ready()
    terms = {"ticker": "AAPL", "quantity": 100, "price": "190.50"}
    ahead = datetime.fromtimestamp(time.time() + 600, UTC).isoformat(timespec="milliseconds")
    for topic in ("executions", "broker_confirmations"):
        soon = {"trade_id": "T1", "timestamp": ahead, **terms}
        keyed = {"trade_id": "T2", "timestamp": "2025-07-26T10:01:23Z", **terms}
        installation.append(topic, [json.dumps(soon).encode()], key=b"T1")
        installation.append(topic, [json.dumps(keyed).encode()], key=b"T9", partition=1)
    installation.until_decided()
    assert installation.rows("SELECT trade_id, state, hints FROM results ORDER BY trade_id") == [
        ("T1", "MATCHED", '["FUTURE_TIMESTAMP"]'),
        ("T2", "MATCHED", '["KEY_MISMATCH"]'),
    ]
    assert "T9" in worker.get("/trades/T2").decode()
    assert "sent_key" not in worker.log
    assert worker.leave() == 0


def test_a_source_with_other_keys_has_no_hint(installation: Installation, tmp_path: Path) -> None:
    rules = tmp_path / "desk.toml"
    tables = (f'[sources.{source}]\nkey = "other"' for source in Source)
    rules.write_text("\n".join(('name = "founding"', *tables)), encoding="utf-8")
    installation.environment["TRADERECON_RULES"] = str(rules)
    installation.start_ready()
    for topic in ("executions", "broker_confirmations"):
        terms = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
        installation.append(topic, [json.dumps({"trade_id": "T2", **terms}).encode()], key=b"AAPL")
    installation.until_decided()
    assert installation.rows("SELECT state, hints FROM results") == [("MATCHED", "[]")]


def test_a_file_with_an_error_starts_no_worker(installation: Installation, rules: Path) -> None:
    rules.write_text(source_day.RULES.replace("New_York", "NewYork"), encoding="utf-8")
    installation.environment["TRADERECON_RULES"] = str(rules)
    worker = installation.start()
    assert worker.ended() == 78
    assert "(did you mean America/New_York?)" in worker.log


def test_each_source_has_its_own_grace(installation: Installation, tmp_path: Path) -> None:
    rules = tmp_path / "desk.toml"
    graces = {"executions": 600, "broker_confirmations": 1}
    tables = (f"[sources.{source}]\ngrace_seconds = {seconds}" for source, seconds in graces.items())
    rules.write_text("\n".join(('name = "founding"', *tables)), encoding="utf-8")
    installation.environment["TRADERECON_RULES"] = str(rules)
    worker = installation.start_ready()
    terms = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
    installation.append("broker_confirmations", [json.dumps({"trade_id": "C1", **terms}).encode()])
    installation.append("executions", [json.dumps({"trade_id": "E1", **terms}).encode()])
    installation.until(lambda: installation.rows("SELECT 1 FROM results"), "the lone execution is a break")
    assert installation.rows("SELECT trade_id, state FROM results") == [("E1", "UNMATCHED")]
    waiting = [json.loads(pending) for (pending,) in installation.rows("SELECT pending FROM standings")]
    assert sum(counts.get("execution", 0) for counts in waiting) == 1
    assert worker.leave() == 0
