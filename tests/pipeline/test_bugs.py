"""An internal error on one record: the worker stops twice without acknowledging it; then it becomes a dead letter."""

import json
import sys
from typing import NamedTuple

import pytest
from broker.waiting import until
from groups import group_of
from pipeline_case import Installation, Running
from pipeline_truth import assert_history_holds
from tiers import nightly_but

from traderecon.exit_codes import Exit
from traderecon.transport.log import Log
from traderecon.transport.retry_counts import LIMIT

SEEDED_BUG = """
import sys
from importlib import import_module
from traderecon.cli import main

module, name = {module!r}, {name!r}
right = getattr(import_module(module), name)

def wrong(*args, **options):
    if b"T13" in repr(args).encode():
        raise ZeroDivisionError("a bug")
    return right(*args, **options)

setattr(import_module(module), name, wrong)
main()
"""
BUG_IN_ENCODING = """
from traderecon.cli import main
from traderecon.matching import agent

right = agent.encode_result

def wrong(result):
    if result.trade_id == "T13" and result.verdict.state == "MATCHED":
        raise ZeroDivisionError("a bug")
    return right(result)

agent.encode_result = wrong
main()
"""
NEIGHBOURS = [f"N{number}" for number in range(20)]


class Bug(NamedTuple):
    """The function that fails on trade T13, and the topic of the failing record."""

    role: str
    module: str
    name: str
    topic: str

    @property
    def program(self) -> list[str]:
        """The command with the bug installed."""
        return [sys.executable, "-c", SEEDED_BUG.format(module=self.module, name=self.name)]


BUGS = [
    Bug("intake", "traderecon.intake.agent", "decode", "executions"),
    Bug("intake", "traderecon.intake.agent", "encode_journal", "executions"),
    Bug("matching", "traderecon.matching.agent", "join", "legs"),
]


def leg(trade_id: str) -> bytes:
    terms = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
    return json.dumps({"trade_id": trade_id, **terms}).encode()


@pytest.mark.matrix("K14")
@pytest.mark.parametrize("bug", nightly_but(BUGS[0], BUGS), ids=[bug.name for bug in BUGS])
def test_a_record_that_causes_an_internal_error_stops_the_worker_twice_then_becomes_a_dead_letter(
    installation: Installation, bug: Bug
) -> None:
    trades = [*NEIGHBOURS[:10], "T13", *NEIGHBOURS[10:]]
    installation.append("executions", [leg(trade_id) for trade_id in trades])
    installation.append("broker_confirmations", [leg(trade_id) for trade_id in NEIGHBOURS])
    if bug.role == "matching":  # uncommitted input would be forwarded again, as a second record in the journal
        forward(installation, len(trades) + len(NEIGHBOURS))
    for _ in range(LIMIT - 1):
        worker = installation.start(program=bug.program)
        assert worker.ended() == Exit.SOFTWARE
        assert "ZeroDivisionError" in worker.log
        assert f"{bug.topic}[" in worker.log
        assert "The batch is not acknowledged." in worker.log
        assert committed(installation, bug) <= offset_of_bug(installation, bug)
    worker = installation.start(program=bug.program)
    until(worker.ready, "the worker is ready")
    installation.until_decided()
    dead_letters = installation.rows("SELECT code, source_topic, text FROM dead_letters")
    assert {row[:2] for row in dead_letters} == {("HANDLER_ERROR", bug.topic)}
    assert all("ZeroDivisionError: a bug" in text for *_, text in dead_letters)
    states = installation.rows("SELECT trade_id, state FROM results ORDER BY trade_id")
    assert states == [(trade_id, "MATCHED") for trade_id in sorted(NEIGHBOURS)]
    assert_history_holds(installation)
    assert_keeps_running(worker)


def test_a_leg_that_fails_in_encoding_leaves_its_trade_unchanged(installation: Installation) -> None:
    """The second leg becomes a dead letter; the first keeps waiting, and becomes a break after its grace."""
    trades = [*NEIGHBOURS, "T13"]
    for topic in ("executions", "broker_confirmations"):
        installation.append(topic, [leg(trade_id) for trade_id in trades])
    forward(installation, 2 * len(trades))
    for _ in range(LIMIT - 1):
        assert installation.start(program=[sys.executable, "-c", BUG_IN_ENCODING]).ended() == Exit.SOFTWARE
    worker = installation.start(program=[sys.executable, "-c", BUG_IN_ENCODING])
    until(worker.ready, "the worker is ready")
    installation.until_decided()
    assert installation.rows("SELECT code, source_topic FROM dead_letters") == [("HANDLER_ERROR", "legs")]
    states = dict(installation.rows("SELECT trade_id, state FROM results"))
    assert states == {**dict.fromkeys(NEIGHBOURS, "MATCHED"), "T13": "UNMATCHED"}
    assert installation.rows("SELECT trade_id, status FROM breaks") == [("T13", "OPEN")]
    assert_history_holds(installation)
    assert_keeps_running(worker)


def forward(installation: Installation, legs: int) -> None:
    """Have intake alone fill the journal, and commit."""
    intake = installation.start_ready("intake")
    installation.until(
        lambda: sum(installation.ends(installation.topics.legs).values()) >= legs, "all legs are in the journal"
    )
    assert intake.leave() == 0


def committed(installation: Installation, bug: Bug) -> int:
    """The committed offset of the role's group in the partition of T13."""
    with Log.open(installation.data_dir / "log.db") as log:
        tp = bug.topic, find_bug_record(log, bug)[0]
        group = group_of("", bug.role, installation.data_dir / "traderecon.db")
        return log.committed(group, [tp]).get(tp, 0)


def offset_of_bug(installation: Installation, bug: Bug) -> int:
    with Log.open(installation.data_dir / "log.db") as log:
        return find_bug_record(log, bug)[1]


def find_bug_record(log: Log, bug: Bug) -> tuple[int, int]:
    """Partition and offset of T13."""
    for partition in range(log.partitions(bug.topic)):
        for record in log.read(bug.topic, partition, 0, 1000):
            if b"T13" in (record.value or b""):
                return partition, record.offset
    raise AssertionError(f"T13 is not in {bug.topic}")


def assert_keeps_running(worker: Running) -> None:
    assert worker.alive()
    assert worker.leave() == 0
