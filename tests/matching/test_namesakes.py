"""Trades that share a trade_id, through the real matching agent and its table, against the definition.

The definition: a record with a partial key belongs to the one trade with its trade_id, or is ambiguous at each of
several, whatever came first (``scenario.with_partial_keys``).
"""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from legs import booked, ours, theirs
from msgspec.structs import replace
from scenario import with_partial_keys
from silence_case import Arrival, Crash, Journal, Matching, Published, matching_on, move_results

from traderecon.matching.lifecycle import judge_trade
from traderecon.records import ALL_VERSIONS, Fact, Kind, Leg, Origin, Reason, State
from traderecon.records.instants import FOREVER_NS
from traderecon.records.match_keys import full_id, partial_id
from traderecon.rules.file import parse_rules
from traderecon.transport import MicroBatch

RULES = parse_rules('name = "brokers"\nmatch_key = ["broker", "trade_id"]\ngrace_seconds = 20')
SPREAD_S = 60
END_S = 120
DAY_S = 86_400


def of(leg: Leg, sent_id: str, broker: str | None) -> Leg:
    """The leg as intake decodes it."""
    trade_id = partial_id(sent_id) if broker is None else full_id(sent_id, {"broker": broker})
    return replace(leg, trade_id=trade_id, sent_id=sent_id)


def legs_of(sent_id: str, random: Random) -> Iterator[Leg]:
    """What arrives for one trade_id: up to three brokers' trades, snapshots and cancels that name a broker or not."""
    for broker in random.sample(["A", "B", "C"], random.randint(0, 3)):
        price = random.choice(["190.50", "191.50"])
        yield of(ours(broker=broker), sent_id, broker)
        yield of(theirs(broker=broker, price=price), sent_id, broker)
        if random.random() < 0.3:
            yield of(booked(), sent_id, broker)
        if random.random() < 0.2:
            yield of(theirs(broker=broker, price="190.50", version=2, kind=Kind.AMEND), sent_id, broker)
    if random.random() < 0.5:
        yield of(booked(), sent_id, None)
    if random.random() < 0.5:
        cancel = {"kind": Kind.CANCEL, "version": random.choice([1, ALL_VERSIONS])}
        yield of(ours(**cancel) if random.random() < 0.5 else theirs(**cancel), sent_id, None)
    if random.random() < 0.2:
        yield of(booked(version=2), sent_id, None)


def expected(legs: Sequence[Leg]) -> dict[str, tuple[State, tuple[str, ...]]]:
    """State and reasons of each trade when every grace is over; none of a snapshot alone."""
    facts: dict[str, tuple[Fact, ...]] = {}
    for offset, leg in enumerate(legs):
        facts[leg.trade_id] = (*facts.get(leg.trade_id, ()), Fact(leg, Origin(leg.source, 0, offset)))
    verdicts = {
        trade_id: judge_trade(known, FOREVER_NS, RULES).verdict for trade_id, known in with_partial_keys(facts).items()
    }
    return {
        trade_id: (verdict.state, verdict.reasons)
        for trade_id, verdict in verdicts.items()
        if verdict.state is not State.PENDING
    }


def found(matching: Matching) -> dict[str, tuple[State, tuple[str, ...]]]:
    return {trade_id: (result.state, result.reasons) for trade_id, result in matching.newest().items()}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_every_order_ends_as_the_definition_says(seed: int, size: int) -> None:
    random = Random(seed)
    legs = [leg for number in range(8) for leg in legs_of(f"T{number}", random)]
    legs += random.sample(legs, len(legs) // 4)  # some come twice
    arrivals = [Arrival(random.uniform(1, SPREAD_S), leg) for leg in legs]

    async def play(directory: Path) -> Matching:
        async with matching_on(directory, RULES) as matching:
            await matching.read(Journal().write(arrivals, END_S).batches(size))
            return matching

    with tempfile.TemporaryDirectory() as directory:
        matching = asyncio.run(play(Path(directory)))
    assert found(matching) == expected(legs)
    results = {result._replace(at_s=0) for result in matching.published}
    assert len({(result.trade_id, result.version) for result in results}) == len(results), "one result of each version"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.05, 0.99), size=st.integers(20, 300))
def test_a_write_that_is_cut_off_changes_nothing(seed: int, share: float, size: int) -> None:
    random = Random(seed)
    legs = [leg for number in range(8) for leg in legs_of(f"T{number}", random)]
    arrivals = [Arrival(random.uniform(1, SPREAD_S), leg) for leg in legs]
    batches = [*Journal().write(arrivals, END_S).batches(size)]

    async def play(
        directory: Path, crash_at: tuple[int, float] | None
    ) -> tuple[Matching, set[Published], dict[str, Any]]:
        published: set[Published] = set()
        status: dict[str, Any] = {}
        for crash in [crash_at, None] if crash_at else [None]:
            async with matching_on(directory, RULES) as matching:
                matching.crash_at = crash
                with suppress(Crash):
                    await matching.read(batches)
                published |= {result._replace(at_s=0) for result in matching.published}
                status = (matching.statuses or [status])[-1]
        return matching, published, status

    with tempfile.TemporaryDirectory() as directory:
        plain, published, status = asyncio.run(play(Path(directory) / "plain", None))
        write = random.choice([*plain.changelog_writes])
        _, again, status_again = asyncio.run(play(Path(directory) / "cut", (write, share)))
    assert again == published, "every result of the run without a crash, and no other"
    assert (status_again.get("orphans"), status_again["pending"]) == (status.get("orphans"), status["pending"])


def run(directory: Path, arrivals: Sequence[Arrival], until_s: int, size: int = 7) -> Matching:
    async def play() -> Matching:
        async with matching_on(directory, RULES) as matching:
            await matching.read(Journal().write(arrivals, until_s).batches(size))
            return matching

    return asyncio.run(play())


def test_a_record_with_a_partial_key_alone_is_named_as_a_snapshot_alone_is(tmp_path: Path) -> None:
    cancel = of(theirs(kind=Kind.CANCEL), "T1", None)
    matching = run(tmp_path, [Arrival(1, cancel), Arrival(2, of(booked(), "T2", None))], END_S)
    assert matching.published == []
    assert matching.statuses[-1]["orphans"] == 2


def test_the_trade_of_a_record_with_a_partial_key_ends_that(tmp_path: Path) -> None:
    arrivals = [
        Arrival(1, of(booked(), "T1", None)),
        Arrival(70, of(ours(broker="A"), "T1", "A")),
        Arrival(71, of(theirs(broker="A"), "T1", "A")),
    ]
    matching = run(tmp_path, arrivals, 2 * END_S)
    assert found(matching) == {"T1|broker=A": (State.MATCHED, ())}
    assert "orphans" not in matching.statuses[-1]


def test_an_id_that_is_used_again_after_its_retention_begins_anew(tmp_path: Path) -> None:
    """The snapshot of the first use is not that of the second."""
    first = [
        Arrival(1, of(ours(broker="A"), "1", "A")),
        Arrival(2, of(theirs(broker="A"), "1", "A")),
        Arrival(3, of(booked(), "1", None)),
    ]
    journal = Journal().write(first, 100)
    for day in range(1, 81, 10):
        journal.write([], day * DAY_S + 2, day * DAY_S)
    today = 90 * DAY_S
    legs = [of(ours(broker="B"), "1", "B"), of(theirs(broker="B"), "1", "B")]
    journal.write([Arrival(today + 1, leg) for leg in legs], today + 90, today)

    async def play() -> Matching:
        async with matching_on(tmp_path, RULES) as matching:
            await matching.read(journal.batches(50))
            assert matching.keys(b"f1\x00") == []
            assert [key.partition(b"\x00")[2] for key in matching.keys(b"n")] == [b"1|broker=B"]
            return matching

    matching = asyncio.run(play())
    assert found(matching) == {"1|broker=A": (State.MATCHED, ()), "1|broker=B": (State.MATCHED, ())}
    assert all("KEY_AMBIGUOUS" not in result.hints for result in matching.published)


async def lose_changelog(
    directory: Path, before: Iterable[MicroBatch], after: Iterable[MicroBatch]
) -> tuple[list[Published], list[Published]]:
    """What is published before the changelog is lost, and after the results were read back."""
    async with matching_on(directory / "old", RULES) as old, matching_on(directory / "new", RULES) as new:
        await old.read(before)
        await move_results(old, new)
        await new.read(after)
        return old.published, new.published


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), done=st.floats(0, 1))
def test_after_the_loss_of_its_changelog_every_trade_ends_as_it_would_have(seed: int, done: float) -> None:
    random = Random(seed)
    legs = [leg for number in range(8) for leg in legs_of(f"T{number}", random)]
    arrivals = [Arrival(random.uniform(1, SPREAD_S), leg) for leg in legs]
    batches = [*Journal().write(arrivals, END_S).batches(20)]
    with tempfile.TemporaryDirectory() as directory:
        before, after = asyncio.run(lose_changelog(Path(directory), batches[: int(done * len(batches))], batches))
    results = {result._replace(at_s=0) for result in (*before, *after)}
    assert len({(result.trade_id, result.version) for result in results}) == len(results), "one result of each version"
    last = {result.trade_id: result for result in sorted(results, key=lambda result: result.version)}
    assert {trade_id: (result.state, result.reasons) for trade_id, result in last.items()} == expected(legs)


def test_what_lies_under_the_trade_id_comes_back_from_the_results(tmp_path: Path) -> None:
    """Changelog and journal are lost. The snapshot that one trade had is then ambiguous at both."""
    first = [of(ours(broker="A"), "1", "A"), of(theirs(broker="A"), "1", "A"), of(booked("1"), "1", None)]
    second = [of(ours(broker="B"), "1", "B"), of(theirs(broker="B"), "1", "B")]
    journal = Journal().write([Arrival(1, leg) for leg in first], 60)
    before = [*journal.batches(10)]
    journal.drop()
    journal.write([Arrival(61, leg) for leg in second], 90, 60)
    decided, after = asyncio.run(lose_changelog(tmp_path, before, journal.batches(10)))
    assert decided[-1].reasons == ("PNL_INCONSISTENT",)
    last = {result.trade_id: (result.state, result.hints) for result in after}
    assert last == {
        "1|broker=A": (State.MATCHED, ("KEY_AMBIGUOUS",)),
        "1|broker=B": (State.MATCHED, ("KEY_AMBIGUOUS",)),
    }


def test_sending_the_other_trade_again_with_a_higher_version_ends_its_break(tmp_path: Path) -> None:
    """A cancel that names no broker is of A, so the sender cancels A with its full key, and sends B again."""
    legs = [
        *[of(leg(broker=broker), "1", broker) for broker in "AB" for leg in (ours, theirs)],
        of(ours(kind=Kind.CANCEL, version=1), "1", None),
        *[of(leg(broker="A", kind=Kind.CANCEL, version=2), "1", "A") for leg in (ours, theirs)],
        of(ours(broker="B", version=2), "1", "B"),
    ]
    matching = run(tmp_path, [Arrival(number, leg) for number, leg in enumerate(legs, start=1)], 60)
    states = {it.version: (it.state, it.reasons) for it in matching.published if it.trade_id == "1|broker=B"}
    assert [states[3], states[4]] == [(State.MISMATCHED, (Reason.KEY_AMBIGUOUS,)), (State.MATCHED, ())]
    assert found(matching)["1|broker=A"] == (State.CANCELLED, ())


def test_a_snapshot_alone_gets_no_cancel(tmp_path: Path) -> None:
    """It claims no trade, so a cancel that names none waits for the one that does."""
    arrivals = [
        Arrival(1, of(ours(kind=Kind.CANCEL), "1", None)),
        Arrival(2, of(booked(), "1", "B")),
        Arrival(50, of(ours(broker="A"), "1", "A")),
        Arrival(51, of(theirs(broker="A"), "1", "A")),
    ]
    last = found(run(tmp_path, arrivals, END_S))
    assert last == {"1|broker=A": (State.MISMATCHED, (Reason.CANCELLED_ONE_SIDE,))}
