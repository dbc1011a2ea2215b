"""What a desk is sent on a bad day: legs again, legs that contradict each other, legs that nobody answers."""

import json

import pytest
from pipeline_case import Installation
from pipeline_truth import assert_history_holds

TERMS = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
ONE_SIDED = 8_000
MAX_MIB = 400
"""Full caches take 300."""


def leg(trade_id: str, **terms: object) -> bytes:
    return json.dumps({"trade_id": trade_id, **TERMS, **terms}).encode()


@pytest.mark.matrix("D1")
def test_the_same_leg_again_is_counted_and_another_under_its_version_is_a_conflict(
    installation: Installation,
) -> None:
    worker = installation.start_ready()
    installation.append("executions", [leg("T1")] * 3 + [leg("T2"), leg("T2", price="7")])
    installation.append("broker_confirmations", [leg("T1"), leg("T2")])
    installation.until_decided()
    found = installation.rows("SELECT trade_id, state, reasons, version FROM results ORDER BY trade_id")
    assert found == [("T1", "MATCHED", "[]", 2), ("T2", "MISMATCHED", '["DUPLICATE_CONFLICT"]', 3)]
    assert worker.metric("traderecon_duplicates_total") == 3
    assert installation.rows("SELECT * FROM dead_letters") == []
    assert_history_holds(installation)


@pytest.mark.matrix("D9")
def test_one_sided_legs_become_breaks_in_little_memory(installation: Installation) -> None:
    """A million of them is a command: `PYTHONPATH=tests python -m benchmarks.soak --profile alone`."""
    worker = installation.start_ready()
    for partition in range(installation.partitions):
        trades = range(partition, ONE_SIDED, installation.partitions)
        installation.append("executions", [leg(f"A{number}") for number in trades], partition=partition)
    installation.until_decided()
    states = installation.rows("SELECT state, reasons, count(*) FROM results GROUP BY state, reasons")
    assert states == [("UNMATCHED", '["MISSING_CONFIRMATION"]', ONE_SIDED)]
    assert installation.one("SELECT count(*) FROM breaks WHERE status = 'OPEN'") == ONE_SIDED
    assert worker.peak_mib() < MAX_MIB
