"""A crash in the middle of a write, then a replay: no trade may wait for ever. The real agent and its table."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from legs import ours, theirs
from silence_case import Arrival, Crash, Journal, Published, matching_on

from traderecon.records import Reason
from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING

SHORT = msgspec.structs.replace(FOUNDING, grace_ns=30 * NS_PER_S)
TRADES = 300
UNMATCHED = [Arrival(number / 100, ours(trade_id=f"T{number}")) for number in range(TRADES)]
PAIRS = [
    arrival
    for number in range(TRADES)
    for arrival in (
        Arrival(number / 100, ours(trade_id=f"P{number}")),
        Arrival(number / 100 + 20, theirs(trade_id=f"P{number}")),
    )
]


def published(directory: Path, arrivals: Sequence[Arrival], share: float, size: int) -> list[Published]:
    """What is published, with a crash in the first large write of the changelog after this share of its rows."""
    batches = [*Journal().write(arrivals, 80).batches(size)]

    async def play() -> list[Published]:
        found: list[Published] = []
        async with matching_on(directory / "plain", SHORT, limit_s=0) as matching:
            await matching.read(batches)
            large = next(write for write, rows in matching.changelog_writes.items() if rows > TRADES)
        for write in (large, 0):
            async with matching_on(directory / "cut", SHORT, limit_s=0) as matching:
                matching.crash_at = (write, share)
                with suppress(Crash):
                    await matching.read(batches)
                found += matching.published
        return found

    return asyncio.run(play())


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("size", [TRADES + 3, 2 * TRADES])
def test_the_first_write_is_cut_off_and_every_trade_is_decided(tmp_path: Path, share: float, size: int) -> None:
    """The facts of it that are there came without the note of which rules made the deadlines."""
    found = published(tmp_path, UNMATCHED, share, size)
    assert {result.trade_id for result in found} == {f"T{number}" for number in range(TRADES)}
    assert {result.reasons for result in found} == {(Reason.MISSING_CONFIRMATION,)}


@pytest.mark.parametrize("missing", [1, 4, 7, 10])
def test_a_fact_that_is_stored_keeps_the_time_at_which_it_was_received(tmp_path: Path, missing: int) -> None:
    """A confirmation after the grace is late, whichever rows of the write that stored it are missing."""
    arrivals = [Arrival(1, ours()), Arrival(1.2, ours(trade_id="T2")), Arrival(45, theirs())]
    batches = [*Journal().write(arrivals, 80).batches(500)]

    async def play(crash_at: tuple[int, float] | None, directory: Path) -> tuple[list[Published], dict[int, int]]:
        found: list[Published] = []
        for crash in [crash_at, None]:
            async with matching_on(directory, SHORT, limit_s=0) as matching:
                matching.crash_at = crash
                with suppress(Crash):
                    await matching.read(batches)
                found += matching.published
                writes = matching.changelog_writes
        return found, writes

    plain, writes = asyncio.run(play(None, tmp_path / "plain"))
    last, rows = max(writes.items(), key=lambda write: write[1])
    cut, _ = asyncio.run(play((last, rows - missing), tmp_path / "cut"))
    assert {result._replace(at_s=0) for result in cut} == {result._replace(at_s=0) for result in plain}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("size", [TRADES + 3, 3 * TRADES])
def test_pairs_of_a_write_that_is_cut_off_match(tmp_path: Path, share: float, size: int) -> None:
    found = published(tmp_path, PAIRS, share, size)
    assert {result.trade_id for result in found} == {f"P{number}" for number in range(TRADES)}
    assert {result.reasons for result in found} == {()}
