"""A bug of ours, on one record: the worker stops and acknowledges nothing of it; the third time it is put aside."""

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

BUG = """
import sys
from importlib import import_module
from traderecon.cli import main

module, name = {module!r}, {name!r}
right = getattr(import_module(module), name)

def wrong(*given, **named):
    if b"T13" in repr(given).encode():
        raise ZeroDivisionError("a bug")
    return right(*given, **named)

setattr(import_module(module), name, wrong)
main()
"""
HALFWAY = """
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
    """What of whom goes wrong on trade T13, and in which topic that strikes."""

    role: str
    module: str
    name: str
    topic: str

    @property
    def program(self) -> list[str]:
        """The command with the bug in it."""
        return [sys.executable, "-c", BUG.format(module=self.module, name=self.name)]


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
def test_a_record_our_code_fails_on_stops_the_worker_twice_and_is_then_a_dead_letter(
    installation: Installation, bug: Bug
) -> None:
    trades = [*NEIGHBOURS[:10], "T13", *NEIGHBOURS[10:]]
    installation.append("executions", [leg(trade_id) for trade_id in trades])
    installation.append("broker_confirmations", [leg(trade_id) for trade_id in NEIGHBOURS])
    if bug.role == "matching":  # what intake had not committed it forwards again: one record would be two
        forward(installation, len(trades) + len(NEIGHBOURS))
    for _ in range(LIMIT - 1):
        worker = installation.start(program=bug.program)
        assert worker.ended() == Exit.SOFTWARE
        assert "ZeroDivisionError" in worker.log
        assert f"{bug.topic}[" in worker.log
        assert "The batch is not acknowledged." in worker.log
        assert committed(installation, bug) <= place_of_bug(installation, bug)
    worker = installation.start(program=bug.program)
    until(worker.ready, "the worker is ready")
    installation.until_decided()
    letters = installation.rows("SELECT code, source_topic, text FROM dead_letters")
    assert {letter[:2] for letter in letters} == {("HANDLER_ERROR", bug.topic)}
    assert all("ZeroDivisionError: a bug" in text for *_, text in letters)
    states = installation.rows("SELECT trade_id, state FROM results ORDER BY trade_id")
    assert states == [(trade_id, "MATCHED") for trade_id in sorted(NEIGHBOURS)]
    assert_history_holds(installation)
    assert_stays(worker)


def test_a_leg_our_code_fails_on_halfway_leaves_its_trade_as_it_was(installation: Installation) -> None:
    """The leg that would have made the pair is put aside; the one that waits is still waited for, and told."""
    trades = [*NEIGHBOURS, "T13"]
    for topic in ("executions", "broker_confirmations"):
        installation.append(topic, [leg(trade_id) for trade_id in trades])
    forward(installation, 2 * len(trades))
    for _ in range(LIMIT - 1):
        assert installation.start(program=[sys.executable, "-c", HALFWAY]).ended() == Exit.SOFTWARE
    worker = installation.start(program=[sys.executable, "-c", HALFWAY])
    until(worker.ready, "the worker is ready")
    installation.until_decided()
    assert installation.rows("SELECT code, source_topic FROM dead_letters") == [("HANDLER_ERROR", "legs")]
    states = dict(installation.rows("SELECT trade_id, state FROM results"))
    assert states == {**dict.fromkeys(NEIGHBOURS, "MATCHED"), "T13": "UNMATCHED"}
    assert installation.rows("SELECT trade_id, status FROM breaks") == [("T13", "OPEN")]
    assert_history_holds(installation)
    assert_stays(worker)


def forward(installation: Installation, legs: int) -> None:
    """Have intake alone fill the journal, and commit."""
    intake = installation.start_ready("intake")
    installation.until(
        lambda: sum(installation.ends(installation.topics.legs).values()) >= legs, "all is in the journal"
    )
    assert intake.leave() == 0


def committed(installation: Installation, bug: Bug) -> int:
    """What the role's group has committed of the partition in which T13 lies."""
    with Log.open(installation.data_dir / "log.db") as log:
        place = bug.topic, where(log, bug)[0]
        group = group_of("", bug.role, installation.data_dir / "traderecon.db")
        return log.committed(group, [place]).get(place, 0)


def place_of_bug(installation: Installation, bug: Bug) -> int:
    with Log.open(installation.data_dir / "log.db") as log:
        return where(log, bug)[1]


def where(log: Log, bug: Bug) -> tuple[int, int]:
    """Partition and offset of T13."""
    for partition in range(log.partitions(bug.topic)):
        for record in log.read(bug.topic, partition, 0, 1000):
            if b"T13" in (record.value or b""):
                return partition, record.offset
    raise AssertionError(f"T13 is not in {bug.topic}")


def assert_stays(worker: Running) -> None:
    assert worker.alive()
    assert worker.leave() == 0
