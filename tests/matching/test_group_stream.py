"""Groups through the real matching agent and its table: a silent source, and groups with too many records."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from legs import booked, ours, theirs
from msgspec.structs import replace
from silence_case import TOPICS, Arrival, Crash, Journal, Matching, matching_on

from traderecon.intake.values import MAX_TEXT
from traderecon.records import Leg, State
from traderecon.records.bounds import FACTS_PER_GROUP, GROUP_BYTES
from traderecon.rules.file import parse_rules
from traderecon.topics import RESULT_BYTES

RULES = parse_rules('name = "orders"\ngroup_by = "order_id"\ngrace_seconds = 20')


def run(directory: Path, arrivals: Sequence[Arrival], until_s: int) -> Matching:
    async def play() -> Matching:
        async with matching_on(directory, RULES, limit_s=300, floor_s=5) as matching:
            await matching.read(Journal().write(arrivals, until_s).batches(11))
            return matching

    return asyncio.run(play())


def order(number: int, at_s: float, half: int, confirmed_s: float) -> list[Arrival]:
    """Half of an order: a fill and its confirmation."""
    group, member = f"O{number}", f"{number}-{half}"
    return [
        Arrival(at_s, ours(trade_id=group, member_id=member, quantity="50")),
        Arrival(confirmed_s, theirs(trade_id=group, member_id=member, quantity="50")),
    ]


def test_a_group_that_matched_before_an_outage_is_held_through_it(tmp_path: Path) -> None:
    """The second half of each order is confirmed after the outage: that is no break in between."""
    first = [leg for number in range(60) for leg in order(number, number, 1, number + 0.2)]
    second = [leg for number in range(60) for leg in order(number, 60 + number, 2, 180 + number / 2)]
    matching = run(tmp_path, [*first, *second], 300)
    assert {result.state for result in matching.published} == {State.MATCHED}
    assert {result.trade_id: result.version for result in matching.published} == {f"O{n}": 4 for n in range(60)}


def test_records_beyond_the_limit_of_a_group_are_rejected_and_the_other_side_is_not(tmp_path: Path) -> None:
    count = FACTS_PER_GROUP + 2
    fills: list[Leg] = [ours(trade_id="O1", member_id=f"F{number}", quantity="1") for number in range(count)]
    legs = [*fills, fills[0], theirs(trade_id="O1", member_id="B1", quantity=str(FACTS_PER_GROUP))]
    matching = run(tmp_path, [Arrival(1 + number / 1_000, leg) for number, leg in enumerate(legs)], 60)
    assert matching.states() == {"MATCHED": 1}
    rejected = matching.metrics.registry.get_sample_value(
        "traderecon_messages_rejected_total", {"topic": TOPICS.legs, "reason": "TOO_MANY_FACTS"}
    )
    assert rejected == count - FACTS_PER_GROUP


def test_the_result_of_the_largest_group_fits_into_a_record(tmp_path: Path) -> None:
    """Every text as long as intake takes it, in characters of four bytes."""
    widest = dict.fromkeys(("ticker", "account", "broker", "counterparty", "order_id"), "\U0001f600" * MAX_TEXT)
    fills = [ours(trade_id="O1", member_id=f"F{number}", **widest) for number in range(400)]
    matching = run(tmp_path, [Arrival(1 + number / 100, leg) for number, leg in enumerate(fills)], 60)
    (result,) = matching.published
    assert (result.state, 100 < result.version < 400) == (State.UNMATCHED, True)
    assert GROUP_BYTES < matching.largest < RESULT_BYTES


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_a_write_that_is_cut_off_loses_and_breaks_no_group(tmp_path: Path, share: float) -> None:
    """Orders in two halves, snapshots alone among them: the same in the end, whatever rows of the write are missing."""
    halves = [leg for half in (1, 2) for number in range(80) for leg in order(number, half, half, half + 0.5)]
    alone = [Arrival(3, replace(booked(), trade_id=f"P{number}", member_id="1")) for number in range(20)]
    batches = [*Journal().write([*halves, *alone], 90).batches(400)]

    async def play(directory: Path, write: int) -> tuple[Matching, list[str]]:
        broken: list[str] = []
        for crash_in in [write, 0] if write else [0]:
            async with matching_on(directory, RULES, limit_s=300, floor_s=5) as matching:
                matching.crash_at = (crash_in, share)
                with suppress(Crash):
                    await matching.read(batches)
                broken += [result.trade_id for result in matching.published if result.state is not State.MATCHED]
        return matching, broken

    plain, _ = asyncio.run(play(tmp_path / "plain", 0))
    largest = max(plain.changelog_writes, key=plain.changelog_writes.__getitem__)
    cut, broken = asyncio.run(play(tmp_path / "cut", largest))
    assert broken == []
    assert cut.statuses[-1]["orphans"] == plain.statuses[-1]["orphans"] == 20
    assert cut.statuses[-1]["pending"] == plain.statuses[-1]["pending"]
