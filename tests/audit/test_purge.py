"""A purge deletes old trades except held and open ones; chains, rows, proofs and rebuilds stay valid."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from legs import ours, theirs
from sink.outputs import LEGS, PARTITIONS, TOPICS, Outputs

from traderecon.audit.checkpoint_files import NAME, CheckpointSet, append, read
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.database import open_for_audit
from traderecon.audit.findings import Kind
from traderecon.audit.proof import make_proof
from traderecon.audit.purging import Purging, decide
from traderecon.audit.rebuild import rebuild
from traderecon.audit.verify import AuditReport, examine
from traderecon.client.connection import connect
from traderecon.records import Kind as LegKind
from traderecon.records import Leg
from traderecon.records.action import Hold, Release
from traderecon.sink import purge
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.errors import NotAccepted
from traderecon.transport.log import Log

OLD, YOUNG = 60, 20
NOW = "2026-01-01T00:00:00Z"
MATCHED, BROKEN = LEGS[:2], (LEGS[0], LEGS[2])
RESOLVED = LEGS[:4]
UNKNOWN: dict[str, Any] = {"ticker": None, "price": None, "quantity": None, "kind": LegKind.CANCEL, "version": 50}
BARE_CANCELS = (ours(**UNKNOWN), theirs(**UNKNOWN))
RIVAL_CANCELS = tuple(
    leg(kind=LegKind.CANCEL, version=50, ticker=ticker) for leg in (ours, theirs) for ticker in ("AAPL", "MSFT")
)


class Desk:
    """A log of outputs, a database filled from it, and the means to purge it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"sqlite:///{directory / 't.db'}"
        self.store = Store.open(self.url)
        self.store.prepare()
        with Log.open(directory / "log.db") as log:
            for name in (*TOPICS.outputs, TOPICS.checkpoints):
                log.create(name, PARTITIONS)

    def publish(self, outputs: Outputs) -> None:
        """To the log, as matching does, and into the database, as the sink does."""

        async def sent() -> None:
            async with connect("embedded://", self.directory) as client:
                for (topic, partition), records in outputs.partitions.items():
                    rows = [Outgoing(one.key, one.value, one.timestamp, ()) for one in records]
                    await client.append(topic, partition, rows)

        asyncio.run(sent())
        self.sink()

    def sink(self) -> None:
        """Write the new records to the database, and checkpoints."""
        offsets = self.store.offsets()
        with Log.open(self.directory / "log.db") as log:
            for topic in TOPICS.outputs:
                for partition in range(PARTITIONS):
                    records = log.read(topic, partition, offsets.get((topic, partition), 0), 100_000)
                    if records:
                        self.store.take(MicroBatch(topic, partition, records))
        self.write_checkpoints()

    def write_checkpoints(self) -> None:
        """Write checkpoints as the sink's worker does."""
        checkpointer = Checkpointer(self.store.engine, self.directory / NAME, lambda: NOW)
        append(
            self.directory / NAME,
            checkpointer.due([(topic, number) for topic in TOPICS.outputs for number in range(PARTITIONS)]),
        )

    def purge(self, before: str) -> purge.Plan:
        async def purged() -> purge.Plan:
            async with connect("embedded://", self.directory) as client:
                where = Purging(self.store.engine, client, TOPICS, self.directory / NAME, lambda: NOW)
                return await where.purge(before, "ann", "a test", lambda results: None)

        return asyncio.run(purged())

    def decide(self, decision: Hold | Release) -> None:
        async def decided() -> None:
            async with connect("embedded://", self.directory) as client:
                await decide(client, TOPICS, decision)

        asyncio.run(decided())

    def examined(self, checkpoints: CheckpointSet | None = None) -> AuditReport:
        known = read([self.directory / NAME]) if checkpoints is None else checkpoints
        with open_for_audit(self.url) as connection:
            return examine(connection, known)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.directory / "t.db")) as database:
            return database.execute(sql).fetchall()

    def trades(self) -> set[str]:
        return {str(row[0]) for row in self.rows("SELECT trade_id FROM results")}


def day(outputs: Outputs, prefix: str, count: int) -> Outputs:
    """Trades of one day: matched, broken and resolved, and one that stays open."""
    for number in range(count):
        outputs.publish_trade(f"{prefix}-{number}", RESOLVED if number % 3 == 0 else MATCHED)
    outputs.publish_trade(f"{prefix}-open", BROKEN)
    return outputs


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A database with an old day and a recent one."""
    monkeypatch.setattr(purge, "TRADES_AT_ONCE", 7)
    monkeypatch.setattr(purge, "ROWS_AT_ONCE", 25)
    desk = Desk(tmp_path)
    desk.publish(day(Outputs(), "OLD", OLD))
    young = Outputs(seed=7)
    young._clock_ms += 3_600_000
    desk.publish(day(young, "YOUNG", YOUNG))
    yield desk
    desk.store.close()


def between(desk: Desk) -> str:
    return max(str(row[0]) for row in desk.rows("SELECT decided_at FROM results WHERE trade_id LIKE 'OLD%'")) + "0"


@pytest.mark.matrix("S14")
def test_old_trades_go_the_open_ones_stay_and_everything_verifies(desk: Desk) -> None:
    before = desk.trades()
    size = desk.rows("SELECT count(*), sum(length(result)) FROM result_history")[0]
    plan = desk.purge(between(desk))
    assert plan.trades == OLD
    assert plan.open == 1
    assert desk.trades() == {one for one in before if one.startswith("YOUNG")} | {"OLD-open"}
    now = desk.rows("SELECT count(*), sum(length(result)) FROM result_history")[0]
    assert int(str(now[1])) < int(str(size[1])) / 2
    assert int(str(now[0])) < int(str(size[0])) / 2, "rows are removed, not only their texts"
    examined = desk.examined()
    assert examined.intact, examined.findings
    assert examined.purged >= plan.results
    desk.sink()
    assert desk.purge(between(desk)).trades == 0
    assert desk.examined().intact


@pytest.mark.matrix("S14")
def test_workers_continue_after_a_purge(desk: Desk) -> None:
    desk.purge(between(desk))
    later = Outputs(seed=5)
    later._clock_ms += 7_200_000
    later.publish_trade("OLD-1", LEGS[:3])  # a trade that was purged, with results of a higher version too
    day(later, "LATER", 9)
    desk.publish(later)
    assert "OLD-1" in desk.trades()
    examined = desk.examined()
    assert examined.intact, examined.findings
    with open_for_audit(desk.url) as connection:
        assert make_proof(connection, "LATER-1", read([desk.directory / NAME]), {}, NOW) is not None


@pytest.mark.matrix("S14")
def test_a_hold_keeps_a_trade_until_it_is_released(desk: Desk) -> None:
    held = Hold("h1", "ann", NOW, "litigation", trade_id="OLD-5")
    desk.decide(held)
    with pytest.raises(NotAccepted, match="perhaps a legal hold"):
        desk.purge(between(desk))
    desk.sink()
    assert desk.purge(between(desk)).held == 1
    assert "OLD-5" in desk.trades()
    assert desk.examined().intact
    desk.decide(Release("h1", "ann", NOW, "settled"))
    desk.sink()
    assert desk.purge(between(desk)).trades == 1
    assert "OLD-5" not in desk.trades()
    desk.decide(Hold("h2", "ann", NOW, "litigation", ticker="AAPL"))
    desk.sink()
    assert desk.purge(NOW).trades == 0
    examined = desk.examined()
    assert examined.intact, examined.findings


@pytest.mark.matrix("S14")
@pytest.mark.parametrize(
    "legs",
    [
        pytest.param((ours(), theirs(), *BARE_CANCELS), id="cancelled without a ticker"),
        pytest.param((ours(), theirs(ticker="MSFT"), *BARE_CANCELS), id="named by one side, once"),
        pytest.param((ours(), theirs(), *RIVAL_CANCELS), id="cancelled under two tickers"),
        pytest.param((theirs(), *(ours(ticker="MSFT", version=one) for one in range(2, 40)), *BARE_CANCELS), id="many"),
        pytest.param((ours(), *(ours(ticker="MSFT", version=one) for one in range(2, 40)), *BARE_CANCELS), id="gone"),
    ],
)
def test_a_hold_on_a_ticker_keeps_every_trade_of_which_a_leg_ever_named_it(
    tmp_path: Path, legs: tuple[Leg, ...]
) -> None:
    desk = Desk(tmp_path)
    outputs = Outputs()
    outputs.publish_trade("HELD", legs)
    outputs.publish_trade("FREE", [ours(ticker="MSFT"), theirs(ticker="MSFT")])
    desk.publish(outputs)
    assert desk.rows("SELECT ticker FROM results WHERE trade_id = 'HELD'") != [("AAPL",)]
    desk.decide(Hold("h1", "ann", NOW, "litigation", ticker="AAPL"))
    desk.sink()
    plan = desk.purge(NOW)
    assert (plan.trades, plan.results, plan.open, plan.held) == (1, 2, 0, 1)
    assert desk.trades() == {"HELD"}
    desk.decide(Release("h1", "ann", NOW, "settled"))
    desk.sink()
    assert desk.purge(NOW).trades == 1
    assert desk.trades() == set()
    desk.store.close()


def test_a_trade_whose_result_a_newer_version_wrote_is_not_purged_while_a_ticker_is_on_hold(tmp_path: Path) -> None:
    """Whether the hold covers it cannot be known."""
    desk = Desk(tmp_path)
    outputs = Outputs()
    outputs.publish_trade("NEWER", MATCHED)
    outputs.publish_trade("FREE", [ours(ticker="MSFT"), theirs(ticker="MSFT")])
    desk.publish(outputs)
    newer = "UPDATE result_history SET result = json_set(result, '$.format', 9) WHERE trade_id = 'NEWER'"
    with desk.store.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(newer)
    desk.decide(Hold("h1", "ann", NOW, "litigation", ticker="TSLA"))
    desk.sink()
    plan = desk.purge(NOW)
    assert (plan.trades, plan.held) == (1, 1)
    assert desk.trades() == {"NEWER"}
    desk.store.close()


@pytest.mark.matrix("S14")
def test_rows_deleted_by_hand_are_found(desk: Desk) -> None:
    desk.purge(between(desk))
    known = read([desk.directory / NAME])
    examined = desk.examined(CheckpointSet())
    assert not examined.intact
    assert {one.kind for one in examined.findings} == {Kind.CHECKPOINT}
    assert "chain_starts" in {one.table for one in examined.findings}
    with closing(sqlite3.connect(desk.directory / "t.db")) as database:
        database.execute("UPDATE chain_starts SET head = '" + "0" * 64 + "'")
        database.commit()
    assert not desk.examined(known).intact


@pytest.mark.matrix("S14")
def test_a_rebuild_begins_where_the_purge_ended(desk: Desk) -> None:
    desk.purge(between(desk))
    starts = desk.rows("SELECT topic, partition, next_offset FROM chain_starts")
    assert len(starts) > PARTITIONS
    with Log.open(desk.directory / "log.db") as log:
        for topic, partition, next_offset in starts:
            log.trim(str(topic), int(str(partition)), int(str(next_offset)))

    async def rebuilt() -> bool:
        async with connect("embedded://", desk.directory) as client:
            made = await rebuild(client, TOPICS, desk.url, desk.directory / "new.db")
            return made.same

    assert asyncio.run(rebuilt())
    with open_for_audit(f"sqlite:///{desk.directory / 'new.db'}") as connection:
        examined = examine(connection, read([desk.directory / NAME]))
    assert examined.intact, examined.findings
