"""Pnl snapshots whose trade does not arrive: named and counted, through the real matching agent and its table."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legs import booked, ours, theirs
from msgspec.structs import replace
from silence_case import Arrival, Journal, matching_on

GRACE_S = 60


def last_status(directory: Path, arrivals: Sequence[Arrival], until_s: int) -> dict[str, Any]:
    """What matching says of its partition in the end."""

    async def play() -> dict[str, Any]:
        async with matching_on(directory) as matching:
            await matching.read(Journal().write(arrivals, until_s).batches(7))
            status = matching.statuses[-1]
            gauge = matching.metrics.registry.get_sample_value("traderecon_orphan_snapshots")
            assert gauge == status.get("orphans", 0)
            return status

    return asyncio.run(play())


def snapshot(trade_id: str, version: int = 1) -> Any:
    return replace(booked(), trade_id=trade_id, version=version)


def test_a_snapshot_whose_trade_does_not_come_is_named_a_grace_after_it(tmp_path: Path) -> None:
    arrivals = [Arrival(1, snapshot("P1")), Arrival(2, snapshot("P1", 2)), Arrival(3, snapshot("P2"))]
    status = last_status(tmp_path, arrivals, 3 * GRACE_S)
    assert status["orphans"] == 2
    named = {"waiting_for": "trade", "hint": "ORPHAN_PNL"}
    assert status["oldest"] == [{"trade_id": "P1", **named}, {"trade_id": "P2", **named}]
    assert set(status["pending"].values()) == {0}, "it waits for nothing that has an end"


def test_a_leg_of_its_trade_ends_it(tmp_path: Path) -> None:
    arrivals = [
        Arrival(1, snapshot("P1")),
        Arrival(90, ours(trade_id="P1")),
        Arrival(91, theirs(trade_id="P1")),
        Arrival(92, snapshot("P1", 2)),
        Arrival(93, theirs(trade_id="T2")),
        Arrival(94, snapshot("T2")),
    ]
    status = last_status(tmp_path, arrivals, 4 * GRACE_S)
    assert "orphans" not in status
    assert status["oldest"] == []


def test_within_its_grace_a_snapshot_is_not_named(tmp_path: Path) -> None:
    status = last_status(tmp_path, [Arrival(100, booked())], 120)
    assert "orphans" not in status
