"""Fills of orders through the worker: as in a batch, each record on the page, what has no group rejected."""

import csv
import json
from pathlib import Path

from pipeline_case import Installation
from pipeline_truth import assert_history_holds

RULES = 'name = "orders"\ngroup_by = "order_id"\ngrace_seconds = 2\n'
TERMS = "trade_id,order_id,ticker,quantity,price,timestamp,account"
FILES = {
    "executions.csv": [
        TERMS,
        "F1,O1,AAPL,30,190.40,2025-07-26T10:01:23Z,A1",
        "F2,O1,AAPL,30,190.50,2025-07-26T10:01:24Z,A2",
        "F3,O1,AAPL,40,190.575,2025-07-26T10:01:25Z,A2",
        "F4,O2,AAPL,60,190.50,2025-07-26T10:01:23Z,A1",
        "F5,,AAPL,60,190.50,2025-07-26T10:01:23Z,A1",
        "F6,O3,AAPL,1,3,2025-07-26T10:01:23Z,A1",
        "F7,O3,AAPL,2,4,2025-07-26T10:01:23Z,A1",
    ],
    "broker_confirmations.csv": [
        TERMS,
        "B1,O1,AAPL,100,190.500,2025-07-26T10:01:25Z,A1",
        "B2,O2,AAPL,100,190.50,2025-07-26T10:01:23Z,A1",
        "B3,O3,AAPL,3,3.67,2025-07-26T10:01:23Z,A1",
    ],
    "pnl_snapshot.csv": [
        "trade_id,order_id,pnl_impact,commission",
        "F1,O1,5711.5,0.5",
        "F2,O1,5714.5,0.5",
        "F3,O1,7622.5,0.5",
        "F9,,1,1",
    ],
}
VERDICTS = {
    "O1": ("MATCHED", []),
    "O2": ("MISMATCHED", ["QUANTITY_MISMATCH"]),
    "O3": ("MATCHED", []),
}


def test_the_stream_adds_up_fills_as_the_batch_does(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    for name, lines in FILES.items():
        (installation.directory / name).write_text("\n".join(lines) + "\n")
    installation.environment["TRADERECON_RULES"] = str(tmp_path / "rules.toml")
    worker = installation.start_ready()
    installation.run("ingest", *FILES)
    installation.until_decided()

    installation.run(
        *("reconcile", "--executions", "executions.csv", "--confirmations", "broker_confirmations.csv"),
        *("--pnl", "pnl_snapshot.csv", "--out", "batch.csv"),
    )
    stored = installation.rows("SELECT trade_id, state, reasons FROM results ORDER BY trade_id")
    assert {trade_id: (state, json.loads(reasons)) for trade_id, state, reasons in stored} == VERDICTS
    dead_letters = installation.rows("SELECT source_topic, code FROM dead_letters")
    assert sorted(dead_letters) == [("executions", "KEY_MISSING"), ("pnl_snapshot", "KEY_MISSING")]

    streamed, reconciled = (
        {row["trade_id"]: row for row in csv.DictReader(text.splitlines())}
        for text in (worker.get("/download/csv").decode(), (installation.directory / "batch.csv").read_text())
    )
    assert streamed == reconciled
    assert (streamed["O1"]["execution_quantity"], streamed["O1"]["execution_price"]) == ("100", "190.5")
    assert (streamed["O1"]["pnl_impact"], streamed["O1"]["pnl_check"]) == ("19048.5", "PASS")
    assert streamed["O3"]["execution_price"] == "3.666666666666666667"
    page = worker.get("/trades/O1").decode()
    assert all(f"<bdi>{member}</bdi>" in page for member in ("F1", "F2", "F3", "B1"))
    assert "3 records of the group, in total" in page
    assert "<bdi>19048.5</bdi>" in page

    (installation.directory / "late.csv").write_text(f"{TERMS}\nF8,O2,AAPL,40,190.50,2025-07-26T10:01:23Z,A1\n")
    installation.run("ingest", "late.csv", "--topic", "executions")
    installation.until_decided()
    assert installation.one("SELECT state FROM results WHERE trade_id = 'O2'") == "MATCHED"
    assert worker.leave() == 0
    assert_history_holds(installation)
    installation.run("audit", "verify")
