"""Graces: waiting trades, expiry, late legs, and sources that hold back the watermark."""

import json
import time

import pytest
from pipeline_case import Installation
from pipeline_truth import assert_history_holds

from traderecon.intake import decode
from traderecon.records import Fact, Origin, Source
from traderecon.records.instants import NS_PER_S
from traderecon.records.journal import Progress, encode_journal
from traderecon.transport import partition_for

TERMS = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
STATE = "SELECT state, reasons, hints FROM results WHERE trade_id = ?"


def leg(trade_id: str, **terms: object) -> bytes:
    return json.dumps({"trade_id": trade_id, **TERMS, **terms}).encode()


def newest_result(installation: Installation, trade_id: str) -> tuple[str, list[str], list[str]] | None:
    """State, reasons and hints of a trade's newest result."""
    for state, reasons, hints in installation.rows(STATE, trade_id):
        return state, json.loads(reasons), json.loads(hints)
    return None


@pytest.mark.matrix("D2")
def test_a_late_confirmation_resolves_the_break(installation: Installation) -> None:
    installation.start_ready()
    installation.append("executions", [leg("T1")])
    installation.until(lambda: newest_result(installation, "T1"), "the grace of T1 is over")
    assert newest_result(installation, "T1") == ("UNMATCHED", ["MISSING_CONFIRMATION"], [])
    assert installation.rows("SELECT trade_id, status FROM breaks") == [("T1", "OPEN")]
    installation.append("broker_confirmations", [leg("T1")])
    installation.until(
        lambda: newest_result(installation, "T1") == ("MATCHED", [], ["LATE_CONFIRMATION"]), "T1 is matched"
    )
    installation.until_decided()
    assert installation.rows("SELECT trade_id, status FROM breaks") == [("T1", "RESOLVED")]
    transitions = installation.rows("SELECT version, transition, state FROM break_events ORDER BY version")
    assert transitions == [(1, "opened", "UNMATCHED"), (2, "resolved", "MATCHED")]
    topics = installation.rows("SELECT topic, version FROM result_history ORDER BY version")
    assert topics[0] == (installation.topics.mismatch, 1)
    assert_history_holds(installation)


def test_a_confirmation_without_execution_waits_for_the_same_grace(installation: Installation) -> None:
    installation.start_ready()
    sent_at_s = time.time()
    installation.append("broker_confirmations", [leg("T1")])
    installation.until(lambda: newest_result(installation, "T1"), "the grace of T1 is over")
    assert time.time() >= sent_at_s + installation.grace_s
    assert newest_result(installation, "T1") == ("UNMATCHED", ["MISSING_EXECUTION"], [])


def test_an_unread_source_holds_graces_back(installation: Installation) -> None:
    """The journal is written as intake would write it if it could not read the snapshots."""
    topics, legs = installation.topics, installation.topics.legs
    installation.start_ready("matching,sink,web")
    now_ns = time.time_ns()
    later_ns = now_ns + 3600 * NS_PER_S
    fact = decode(Source.EXECUTIONS, leg("T1"), Origin(topics.executions, 0, 0, now_ns))
    assert isinstance(fact, Fact)
    partition = partition_for(b"T1", installation.partitions)
    installation.append(legs, [encode_journal(fact)], partition=partition, key=b"T1")
    installation.append(legs, [progress(installation, later_ns, topics.executions)], partition=partition)
    installation.append(legs, [progress(installation, later_ns, topics.broker_confirmations)], partition=partition)
    installation.until(lambda: oldest_waiting(installation) == "T1", "T1 waits")
    assert installation.rows("SELECT watermark FROM standings") == [(None,)]
    assert newest_result(installation, "T1") is None
    installation.append(legs, [progress(installation, now_ns, topics.pnl_snapshot)], partition=partition)
    grace_end_ns = now_ns + installation.grace_s * NS_PER_S
    installation.append(legs, [progress(installation, grace_end_ns - 1, topics.pnl_snapshot)], partition=partition)
    installation.append(legs, [progress(installation, grace_end_ns, topics.pnl_snapshot)], partition=partition)
    installation.until(lambda: newest_result(installation, "T1"), "the grace of T1 is over")
    assert newest_result(installation, "T1") == ("UNMATCHED", ["MISSING_CONFIRMATION"], [])


def test_changed_rules_apply_to_waiting_trades(installation: Installation) -> None:
    """A shortened grace expires at its new deadline; a snapshot that is no longer required is not waited for."""
    required = installation.directory / "rules.toml"
    required.write_text('name = "desk"\npnl_required = true\n', encoding="utf-8")
    rules, grace = "TRADERECON_RULES", "TRADERECON_GRACE_SECONDS"
    installation.environment |= {rules: str(required), grace: "36000"}
    worker = installation.start_ready()
    installation.append("executions", [leg("T1"), leg("T2"), leg("T3")])
    installation.append("broker_confirmations", [leg("T2")])
    installation.until(
        lambda: waiting_counts(installation) == {"execution": 0, "confirmation": 2, "pnl": 1}, "three wait"
    )
    assert worker.leave() == 0
    installation.environment |= {grace: "72000"}
    worker = installation.start_ready()
    installation.append("broker_confirmations", [leg("T3")])
    installation.until(
        lambda: waiting_counts(installation) == {"execution": 0, "confirmation": 1, "pnl": 2}, "they still wait"
    )
    assert worker.leave() == 0
    installation.environment[grace] = str(installation.grace_s)
    del installation.environment[rules]
    installation.start_ready()
    installation.until(lambda: newest_result(installation, "T1"), "the lowered grace of T1 is over")
    assert newest_result(installation, "T1") == ("UNMATCHED", ["MISSING_CONFIRMATION"], [])
    installation.until(
        lambda: newest_result(installation, "T2") and newest_result(installation, "T3"), "the pairs are decided"
    )
    assert installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") == 2
    installation.until(
        lambda: waiting_counts(installation) == {"execution": 0, "confirmation": 0, "pnl": 0}, "nothing waits"
    )
    assert_history_holds(installation)


def waiting_counts(installation: Installation) -> dict[str, int]:
    """How many trades wait for each kind of leg, over all partitions."""
    counts = {"execution": 0, "confirmation": 0, "pnl": 0}
    for (pending,) in installation.rows("SELECT pending FROM standings"):
        for kind, count in json.loads(pending).items():
            counts[kind] += count
    return counts


def progress(installation: Installation, log_time_ns: int, topic: str) -> bytes:
    """A progress record: all partitions of a topic are in the journal up to this log time."""
    partitions = list(range(installation.partitions))
    return encode_journal(Progress(log_time_ns, {topic: partitions}, {topic: len(partitions)}))


def oldest_waiting(installation: Installation) -> str | None:
    """The trade that has waited longest."""
    for (waiting,) in installation.rows("SELECT oldest FROM standings WHERE oldest <> '[]'"):
        return str(json.loads(waiting)[0]["trade_id"])
    return None
