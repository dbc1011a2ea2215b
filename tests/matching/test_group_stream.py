"""Groups through the real matching agent and its table: a silent source, and groups with too many records."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from legs import ours, theirs
from silence_case import TOPICS, Arrival, Journal, Matching, matching_on

from traderecon.matching import batch_output
from traderecon.records import Leg, State
from traderecon.rules.file import parse_rules

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


def test_records_beyond_the_limit_of_a_group_are_rejected_and_the_other_side_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_output, "FACTS_PER_GROUP", 5)
    fills: list[Leg] = [ours(trade_id="O1", member_id=f"F{number}", quantity="20") for number in range(8)]
    legs = [*fills, fills[0], theirs(trade_id="O1", member_id="B1")]
    matching = run(tmp_path, [Arrival(1 + number / 10, leg) for number, leg in enumerate(legs)], 60)
    assert matching.states() == {"MATCHED": 1}
    rejected = matching.metrics.registry.get_sample_value(
        "traderecon_messages_rejected_total", {"topic": TOPICS.legs, "reason": "TOO_MANY_FACTS"}
    )
    assert rejected == 3


def test_a_group_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_output, "GROUP_BYTES", 40_000)
    fills = [ours(trade_id="O1", member_id=f"F{number}", account="A" * 400) for number in range(200)]
    matching = run(tmp_path, [Arrival(1 + number / 10, leg) for number, leg in enumerate(fills)], 60)
    (result,) = matching.published
    assert (result.state, result.version) == (State.UNMATCHED, 100)
