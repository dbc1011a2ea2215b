"""The end of a retention, through the real matching agent and its table: closed, kept open, forgotten."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from legs import booked, ours, theirs
from msgspec.structs import replace
from silence_case import Arrival, Journal, matching_on

from traderecon.records.instants import NS_PER_DAY
from traderecon.rules import FOUNDING

DAY_S = 86_400


def rows_after(directory: Path, arrivals: Sequence[Arrival], days: int, grace_days: int = 0) -> dict[str, int]:
    """How many rows of each kind there are in the end: facts, closed rows, timers, namesakes."""
    rules = replace(FOUNDING, grace_ns=grace_days * NS_PER_DAY or FOUNDING.grace_ns)
    journal = Journal()
    for day in range(days):
        of_day = [arrival for arrival in arrivals if int(arrival.at_s) // DAY_S == day]
        journal.write(of_day, day * DAY_S + 20, day * DAY_S)

    async def play() -> dict[str, int]:
        async with matching_on(directory, rules) as matching:
            await matching.read(journal.batches(50))
            return {kind: len(matching.keys(kind.encode())) for kind in "fBcn"}

    return asyncio.run(play())


PAIR = [Arrival(1, ours()), Arrival(2, theirs())]


def test_a_decided_trade_is_closed_and_then_forgotten(tmp_path: Path) -> None:
    assert rows_after(tmp_path / "30", PAIR, 30) == {"f": 2, "B": 0, "c": 1, "n": 0}
    assert rows_after(tmp_path / "40", PAIR, 40) == {"f": 0, "B": 1, "c": 1, "n": 0}
    assert rows_after(tmp_path / "80", PAIR, 80) == {"f": 0, "B": 0, "c": 0, "n": 0}


def test_a_leg_in_between_begins_its_retention_anew(tmp_path: Path) -> None:
    arrivals = [*PAIR, Arrival(20 * DAY_S + 1, booked())]
    assert rows_after(tmp_path, arrivals, 40) == {"f": 3, "B": 0, "c": 1, "n": 0}


def test_a_trade_that_still_waits_is_not_closed(tmp_path: Path) -> None:
    assert rows_after(tmp_path, PAIR[:1], 60, grace_days=50) == {"f": 1, "B": 0, "c": 1, "n": 0}


def test_a_snapshot_alone_is_forgotten(tmp_path: Path) -> None:
    assert rows_after(tmp_path, [Arrival(1, booked())], 40) == {"f": 0, "B": 0, "c": 0, "n": 0}


def test_what_lies_under_a_trade_id_stays_while_a_trade_with_it_is_open(tmp_path: Path) -> None:
    """A snapshot without the full key, for the trades to come; a leg of the open one arrives on day 20."""
    key = {"trade_id": "T1|broker=A", "sent_id": "T1", "broker": "A"}
    shared = replace(booked(), sent_id="T1")
    late = Arrival(20 * DAY_S + 1, replace(theirs(version=2), **key))
    arrivals = [Arrival(1, ours(**key)), Arrival(2, theirs(**key)), Arrival(3, shared), late]
    assert rows_after(tmp_path / "50", arrivals, 50) == {"f": 5, "B": 0, "c": 2, "n": 1}
    assert rows_after(tmp_path / "60", arrivals, 60) == {"f": 0, "B": 1, "c": 2, "n": 1}
    assert rows_after(tmp_path / "120", arrivals, 120) == {"f": 0, "B": 0, "c": 0, "n": 0}
