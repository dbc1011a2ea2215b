"""Retention of trades: at its end a trade is closed, later forgotten; a leg that comes after that needs a person.

The journal is written here as intake would write it, so that days pass in moments.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pipeline.test_graces import TERMS, progress, said
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
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator["Desk"]:
    """One partition, two days of retention, or what the test's mark says."""
    marker = request.node.get_closest_marker("installation")
    desk = Desk(
        tmp_path, **{"retention_days": RETENTION_DAYS, "topic_partitions": 1, **(marker.kwargs if marker else {})}
    )
    desk.create_topics()
    yield desk
    desk.close()


class Desk(Installation):
    """An installation without intake; a day is 86,400 s of the journal's time after ``START_NS``."""

    sent = 0

    def leg(self, day: float, topic: str, trade_id: str, **more: object) -> None:
        """A leg that came on a day, and gives itself that time unless told otherwise."""
        at_ns = START_NS + int(day * DAY_NS)
        said_by = {"timestamp": iso(at_ns)} if topic != "pnl_snapshot" else {}
        terms = TERMS if topic != "pnl_snapshot" else {"pnl_impact": "1", "commission": "1"}
        value = json.dumps({"trade_id": trade_id, **terms, **said_by, **more}).encode()
        fact = decode(SOURCES[topic], value, Origin(topic, 0, self.sent, at_ns))
        assert isinstance(fact, Fact), fact
        self.sent += 1
        self.append(self.topics.legs, [encode_journal(fact)], key=trade_id.encode())

    def trades(self, day: float, trade_ids: Iterable[str]) -> None:
        for trade_id in trade_ids:
            for topic in ("executions", "broker_confirmations"):
                self.leg(day, topic, trade_id)

    def pass_time(self, day: float) -> None:
        """Time gets as far as that."""
        at_ns = START_NS + int(day * DAY_NS)
        for topic in self.topics.inputs:
            self.append(self.topics.legs, [progress(self, at_ns, topic)])

    def until_said(self, trade_id: str, what: object) -> None:
        self.until(lambda: said(self, trade_id) == what, f"{trade_id} is {what}")

    def version(self, trade_id: str) -> int:
        return int(self.one("SELECT version FROM results WHERE trade_id = ?", trade_id) or 0)


MATCHED: tuple[str, list[str], list[str]] = ("MATCHED", [], [])


@pytest.mark.matrix("S14")
def test_a_leg_after_the_retention_is_a_break_with_the_next_version(desk: Desk) -> None:
    worker = desk.start_ready("matching,sink")
    desk.trades(0, ["T1", "USED-AGAIN"])
    desk.leg(0, "pnl_snapshot", "P1")
    desk.pass_time(0.1)
    desk.until_said("T1", MATCHED)
    first = desk.version("T1")
    desk.pass_time(RETENTION_DAYS + 0.2)
    desk.leg(RETENTION_DAYS + 0.3, "broker_confirmations", "T1", version=2)
    desk.until_said("T1", ORPHAN)
    assert desk.version("T1") == first + 1
    assert desk.rows("SELECT status FROM breaks WHERE trade_id = 'T1'") == [("OPEN",)]
    # The same leg again, and a snapshot, change nothing; another leg is the next version.
    desk.leg(RETENTION_DAYS + 0.4, "broker_confirmations", "T1", version=2, timestamp=iso(START_NS + int(2.3 * DAY_NS)))
    desk.leg(RETENTION_DAYS + 0.4, "pnl_snapshot", "T1")
    desk.leg(RETENTION_DAYS + 0.4, "executions", "T1", version=2)
    desk.until(lambda: desk.version("T1") == first + 2, "the second late leg is a version")
    closed = 'traderecon_duplicates_total{kind="closed",topic="pnl_snapshot"}'
    desk.until(lambda: worker.metric(closed) == 1, "the snapshot is counted")
    # Killed and started again, it is closed all the same, and nothing is doubled.
    worker.kill()
    desk.start_ready("matching,sink")
    desk.leg(RETENTION_DAYS + 0.5, "executions", "T1", version=3)
    desk.until(lambda: desk.version("T1") == first + 3, "the third late leg is a version")
    versions = [row[0] for row in desk.rows("SELECT version FROM result_history WHERE trade_id = 'T1' ORDER BY id")]
    assert versions == [*range(first, first + 4)]
    # Long after it was closed it is forgotten: then a leg is too late by the time it gives itself.
    desk.pass_time(2 * RETENTION_DAYS + 1)
    desk.leg(6, "executions", "T1", timestamp=iso(START_NS))
    desk.leg(6, "executions", "NEVER-SEEN", timestamp=iso(START_NS - DAY_NS))
    desk.trades(6, ["T2"])
    desk.until_said("T2", MATCHED)
    desk.until_said("NEVER-SEEN", ORPHAN)
    assert said(desk, "T1") == ORPHAN
    assert desk.version("T1") == first + 4
    assert desk.version("NEVER-SEEN") > first
    assert desk.rows("SELECT 1 FROM results WHERE trade_id = 'P1'") == []
    # An id that is used again, by its own time for another trade: the database has the first one still.
    desk.leg(6, "executions", "USED-AGAIN")
    desk.pass_time(6.1)
    desk.until_said("USED-AGAIN", ("UNMATCHED", ["MISSING_CONFIRMATION"], []))
    assert desk.rows("SELECT status FROM breaks WHERE trade_id = 'USED-AGAIN'") == [("OPEN",)]


@pytest.mark.matrix("S14")
@pytest.mark.installation(retention_days=1, grace_seconds=4 * 86_400)
def test_waiting_trades_are_not_closed(desk: Desk) -> None:
    desk.start_ready("matching,sink")
    desk.leg(0, "executions", "T1")
    desk.trades(0, ["T0"])
    desk.pass_time(3)
    desk.leg(3, "broker_confirmations", "T1", timestamp=iso(START_NS))
    desk.until(lambda: said(desk, "T1") is not None, "T1 is decided")
    assert (said(desk, "T1") or ("",))[0] == "MATCHED"


@pytest.mark.matrix("S14")
def test_ten_days_with_two_of_retention_leave_as_many_rows_as_five(desk: Desk) -> None:
    counts = []
    for days in (range(6), range(6, 12)):
        worker = desk.start_ready("matching,sink")
        for day in days:
            desk.trades(day, [f"D{day}-{number}" for number in range(15)])
            desk.leg(day, "pnl_snapshot", f"P{day}")
            desk.pass_time(day + 0.9)
        desk.pass_time(days[-1] + 0.95)  # a partition says where it stands when time has moved on
        last = f"D{days[-1]}-14"
        desk.until_said(last, MATCHED)
        end_ns = START_NS + int((days[-1] + 0.9) * DAY_NS)
        desk.until(lambda end=end_ns: desk.watermark_s() >= end // NS_PER_S, "time has passed")  # type: ignore[misc]
        assert worker.leave() == 0
        (store,) = desk.data_dir.glob("worker-*/matching/**/trades-0.db")
        counts.append(len(rows_of(store)))
    assert counts[0] == counts[1]
    assert counts[0] < 4 * 15 * 6  # two facts, a result and a look of each trade
