"""Retention of trades: an old trade is closed, and later forgotten; a leg that arrives after that is a break.

The journal is written here as intake would write it, so that days pass in moments.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pipeline.test_graces import TERMS, newest_result, progress
from pipeline_case import Installation
from torture.stores import rows_of

from traderecon.intake import decode
from traderecon.records import Fact, Origin, Source
from traderecon.records.instants import NS_PER_S, iso
from traderecon.records.journal import encode_journal

DAY_NS = 86_400 * NS_PER_S
START_NS = 1_753_524_083 * NS_PER_S
"""When day 0 begins: 2025-07-26T10:01:23Z."""
RETENTION_DAYS = 2
ORPHAN: tuple[str, list[str], list[str]] = ("UNMATCHED", ["ORPHAN_LATE"], [])
SOURCES = {"executions": Source.EXECUTIONS, "broker_confirmations": Source.CONFIRMATIONS, "pnl_snapshot": Source.PNL}


@pytest.fixture
def feeder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator["JournalFeeder"]:
    """One partition and two days of retention, unless the test's mark says otherwise."""
    marker = request.node.get_closest_marker("installation")
    feeder = JournalFeeder(
        tmp_path, **{"retention_days": RETENTION_DAYS, "topic_partitions": 1, **(marker.kwargs if marker else {})}
    )
    feeder.create_topics()
    yield feeder
    feeder.close()


class JournalFeeder(Installation):
    """An installation without intake; a day is 86,400 s of the journal's time after ``START_NS``."""

    sent = 0

    def leg(self, day: float, topic: str, trade_id: str, **changes: object) -> None:
        """Append a leg received on ``day``, with that timestamp unless ``changes`` has another."""
        at_ns = START_NS + int(day * DAY_NS)
        own_time = {"timestamp": iso(at_ns)} if topic != "pnl_snapshot" else {}
        terms = TERMS if topic != "pnl_snapshot" else {"pnl_impact": "1", "commission": "1"}
        value = json.dumps({"trade_id": trade_id, **terms, **own_time, **changes}).encode()
        fact = decode(SOURCES[topic], value, Origin(topic, 0, self.sent, at_ns))
        assert isinstance(fact, Fact), fact
        self.sent += 1
        self.append(self.topics.legs, [encode_journal(fact)], key=trade_id.encode())

    def trades(self, day: float, trade_ids: Iterable[str]) -> None:
        for trade_id in trade_ids:
            for topic in ("executions", "broker_confirmations"):
                self.leg(day, topic, trade_id)

    def pass_time(self, day: float) -> None:
        """Advance the watermark to ``day``."""
        at_ns = START_NS + int(day * DAY_NS)
        for topic in self.topics.inputs:
            self.append(self.topics.legs, [progress(self, at_ns, topic)])

    def until_newest_result(self, trade_id: str, expected: object) -> None:
        self.until(lambda: newest_result(self, trade_id) == expected, f"{trade_id} is {expected}")

    def version(self, trade_id: str) -> int:
        return int(self.one("SELECT version FROM results WHERE trade_id = ?", trade_id) or 0)


MATCHED: tuple[str, list[str], list[str]] = ("MATCHED", [], [])


@pytest.mark.matrix("S14")
def test_a_leg_after_the_retention_is_a_break_with_the_next_version(feeder: JournalFeeder) -> None:
    worker = feeder.start_ready("matching,sink")
    feeder.trades(0, ["T1", "USED-AGAIN"])
    feeder.leg(0, "pnl_snapshot", "P1")
    feeder.pass_time(0.1)
    feeder.until_newest_result("T1", MATCHED)
    first = feeder.version("T1")
    feeder.pass_time(RETENTION_DAYS + 0.2)
    feeder.leg(RETENTION_DAYS + 0.3, "broker_confirmations", "T1", version=2)
    feeder.until_newest_result("T1", ORPHAN)
    assert feeder.version("T1") == first + 1
    assert feeder.rows("SELECT status FROM breaks WHERE trade_id = 'T1'") == [("OPEN",)]
    # A duplicate and a snapshot change nothing; another leg is the next version.
    feeder.leg(
        RETENTION_DAYS + 0.4, "broker_confirmations", "T1", version=2, timestamp=iso(START_NS + int(2.3 * DAY_NS))
    )
    feeder.leg(RETENTION_DAYS + 0.4, "pnl_snapshot", "T1")
    feeder.leg(RETENTION_DAYS + 0.4, "executions", "T1", version=2)
    feeder.until(lambda: feeder.version("T1") == first + 2, "the second late leg is a version")
    closed = 'traderecon_duplicates_total{kind="closed",topic="pnl_snapshot"}'
    feeder.until(lambda: worker.metric(closed) == 1, "the snapshot is counted")
    # After a crash the trade is still closed, and nothing is published twice.
    worker.kill()
    feeder.start_ready("matching,sink")
    feeder.leg(RETENTION_DAYS + 0.5, "executions", "T1", version=3)
    feeder.until(lambda: feeder.version("T1") == first + 3, "the third late leg is a version")
    versions = [row[0] for row in feeder.rows("SELECT version FROM result_history WHERE trade_id = 'T1' ORDER BY id")]
    assert versions == [*range(first, first + 4)]
    # Long after it was closed, the trade is forgotten: then a leg is late by its own timestamp.
    feeder.pass_time(2 * RETENTION_DAYS + 1)
    feeder.leg(6, "executions", "T1", timestamp=iso(START_NS))
    feeder.leg(6, "executions", "NEVER-SEEN", timestamp=iso(START_NS - DAY_NS))
    feeder.trades(6, ["T2"])
    feeder.until_newest_result("T2", MATCHED)
    feeder.until_newest_result("NEVER-SEEN", ORPHAN)
    assert newest_result(feeder, "T1") == ORPHAN
    assert feeder.version("T1") == first + 4
    assert feeder.version("NEVER-SEEN") > first
    assert feeder.rows("SELECT 1 FROM results WHERE trade_id = 'P1'") == []
    # An id reused for another trade, by its timestamp: the database still has the first one.
    feeder.leg(6, "executions", "USED-AGAIN")
    feeder.pass_time(6.1)
    feeder.until_newest_result("USED-AGAIN", ("UNMATCHED", ["MISSING_CONFIRMATION"], []))
    assert feeder.rows("SELECT status FROM breaks WHERE trade_id = 'USED-AGAIN'") == [("OPEN",)]


@pytest.mark.matrix("S14")
@pytest.mark.installation(retention_days=1, grace_seconds=4 * 86_400)
def test_waiting_trades_are_not_closed(feeder: JournalFeeder) -> None:
    feeder.start_ready("matching,sink")
    feeder.leg(0, "executions", "T1")
    feeder.trades(0, ["T0"])
    feeder.pass_time(3)
    feeder.leg(3, "broker_confirmations", "T1", timestamp=iso(START_NS))
    feeder.until(lambda: newest_result(feeder, "T1") is not None, "T1 is decided")
    assert (newest_result(feeder, "T1") or ("",))[0] == "MATCHED"


@pytest.mark.matrix("S14")
@pytest.mark.installation(retention_days=1, grace_seconds=4 * 86_400)
def test_a_decided_trade_that_waits_again_is_not_closed(feeder: JournalFeeder) -> None:
    """It was cancelled on both sides, and one side stands again: it waits for the other."""
    feeder.start_ready("matching,sink")
    feeder.trades(0, ["T1"])
    for topic in ("executions", "broker_confirmations"):
        feeder.leg(0, topic, "T1", kind="cancel", version=2)
    feeder.leg(0, "executions", "T1", version=3, timestamp=iso(START_NS))
    feeder.pass_time(3)
    feeder.leg(3, "broker_confirmations", "T1", version=3, timestamp=iso(START_NS))
    feeder.until(lambda: (newest_result(feeder, "T1") or ("",))[0] == "MATCHED", "T1 matches again")


@pytest.mark.matrix("S14")
def test_ten_days_with_two_of_retention_leave_as_many_rows_as_five(feeder: JournalFeeder) -> None:
    counts = []
    for days in (range(6), range(6, 12)):
        worker = feeder.start_ready("matching,sink")
        for day in days:
            feeder.trades(day, [f"D{day}-{number}" for number in range(15)])
            feeder.leg(day, "pnl_snapshot", f"P{day}")
            feeder.pass_time(day + 0.9)
        feeder.pass_time(days[-1] + 0.95)  # a partition reports its status when time advances
        last_trade = f"D{days[-1]}-14"
        feeder.until_newest_result(last_trade, MATCHED)
        end_ns = START_NS + int((days[-1] + 0.9) * DAY_NS)
        feeder.until(lambda end=end_ns: feeder.watermark_s() >= end // NS_PER_S, "time has passed")  # type: ignore[misc]
        assert worker.leave() == 0
        (store,) = feeder.data_dir.glob("worker-*/matching/**/trades-0.db")
        counts.append(len(rows_of(store)))
    assert counts[0] == counts[1]
    assert counts[0] < 4 * 15 * 6  # two facts, a result and a timer of each trade
