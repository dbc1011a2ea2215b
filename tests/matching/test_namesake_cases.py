"""Single cases of trades that share a trade_id, through the real matching agent and its table."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from faust.types import TP
from legs import booked, ours, theirs
from matching.test_namesakes import DAY_S, RULES, of
from msgspec.structs import replace
from silence_case import TOPICS, Arrival, Crash, Journal, Published, matching_on

from traderecon.matching import agent as matching_agent
from traderecon.records import ALL_VERSIONS, Kind, Leg, Result, State
from traderecon.records.result_message import decode_result, encode_result
from traderecon.rules import Rules
from traderecon.rules.file import parse_rules

PLAIN = parse_rules('name = "plain"\ngrace_seconds = 20')
LAST_WINS = parse_rules('name = "k"\nmatch_key = ["broker", "trade_id"]\nconflict_policy = "last_wins"')
A, B = "T1|broker=A", "T1|broker=B"


def pair(broker: str, **sent: object) -> list[Leg]:
    """Both sides of the trade of a broker."""
    legs: list[Leg] = [ours(broker=broker), theirs(broker=broker)]
    return [replace(of(leg, "T1", broker), **sent) for leg in legs]


def cancels(version: int = ALL_VERSIONS, price: str = "190.50") -> list[Leg]:
    """Cancels of both sides that name no broker."""
    kind = {"kind": Kind.CANCEL, "version": version, "price": price}
    return [of(theirs(**kind), "T1", None), of(ours(**kind), "T1", None)]


def timed(legs: Sequence[Leg], at_s: float) -> list[Arrival]:
    return [Arrival(at_s + number / 10, leg) for number, leg in enumerate(legs)]


def run(directory: Path, *journals: Journal, rules: Sequence[Rules] = (RULES,), size: int = 9) -> dict[str, Published]:
    """The newest result of each trade; before each further part of the journal the worker starts again."""

    async def play() -> list[Published]:
        published: list[Published] = []
        for number, journal in enumerate(journals):
            async with matching_on(directory, rules[min(number, len(rules) - 1)]) as matching:
                await matching.read(journal.batches(size))
                published += matching.published
        return published

    newest = sorted(asyncio.run(play()), key=lambda result: result.version)
    return {result.trade_id: result for result in newest}


def following(journal: Journal, arrivals: Sequence[Arrival], until_s: int, since_s: int) -> Journal:
    """The next part of the journal."""
    further = Journal()
    further.end = journal.end
    return further.write(arrivals, until_s, since_s)


def verdicts(results: dict[str, Published]) -> dict[str, tuple[State, tuple[str, ...]]]:
    return {trade_id: (result.state, result.reasons) for trade_id, result in results.items()}


@pytest.mark.parametrize("price", [str(price) for price in range(100, 120)])
def test_after_a_restart_the_result_is_of_the_trade_and_not_of_what_it_shares(tmp_path: Path, price: str) -> None:
    """Whichever of two facts of one offset is loaded first: the harness refuses what the sink would refuse."""
    snapshot, (execution, confirmation) = of(booked(price), "T1", None), pair("A")
    first = Journal().write([Arrival(1, snapshot), Arrival(2, execution)], 10)
    found = run(tmp_path, first, following(first, [Arrival(11, confirmation)], 20, 10))
    assert [*found] == [A]


MANY = [leg for number in range(25) for leg in cancels(1, str(100 + number))[:1]]


@pytest.mark.parametrize("legs", [[*pair("A"), *MANY, *pair("B")], [*MANY, *pair("B"), *pair("A")]])
def test_many_partial_cancels_push_out_no_leg_of_a_trade(tmp_path: Path, legs: list[Leg]) -> None:
    found = run(tmp_path, Journal().write(timed(legs, 1), 90))
    assert verdicts(found) == {
        A: (State.MISMATCHED, ("KEY_AMBIGUOUS",)),
        B: (State.MISMATCHED, ("KEY_AMBIGUOUS",)),
    }


def test_one_trade_alone_is_cancelled_by_any_number_of_them(tmp_path: Path) -> None:
    legs = [
        pair("A")[0],
        *[replace(leg, kind=Kind.CANCEL) for leg in (of(ours(price=str(p)), "T1", None) for p in range(100, 125))],
    ]
    found = run(tmp_path, Journal().write(timed(legs, 1), 90))
    assert verdicts(found) == {A: (State.CANCELLED, ())}


@pytest.mark.parametrize("pause_s", [5, 50])
def test_a_partial_key_belongs_to_a_trade_from_before_the_match_key(tmp_path: Path, pause_s: int) -> None:
    """Whether it was decided by then or not."""
    first = Journal().write(timed([ours(), theirs()], 1), pause_s)
    further = following(first, timed(cancels(), pause_s), pause_s + 60, pause_s)
    found = run(tmp_path, first, further, rules=(PLAIN, RULES))
    assert verdicts(found) == {"T1": (State.CANCELLED, ())}


def test_such_a_trade_and_one_with_a_key_share_what_names_neither(tmp_path: Path) -> None:
    first = Journal().write(timed([ours(), theirs()], 1), 10)
    further = following(first, timed([*pair("A"), *cancels()], 11), 90, 10)
    found = run(tmp_path, first, further, rules=(PLAIN, RULES))
    ambiguous = (State.MISMATCHED, ("KEY_AMBIGUOUS",))
    assert verdicts(found) == {"T1": ambiguous, A: ambiguous}


def quiet(journal: Journal, day: int, until: int) -> Journal:
    """Days on which nothing arrives."""
    for each in range(day, until, 5):
        journal.write([], each * DAY_S + 2, each * DAY_S)
    return journal


def on(day: int, legs: Sequence[Leg]) -> list[Arrival]:
    """Legs of that day, by their own time too."""
    at_ns = Journal().ns(day * DAY_S)
    dated = [leg if leg.source == "pnl_snapshot" else replace(leg, timestamp_ns=at_ns) for leg in legs]
    return timed(dated, day * DAY_S + 1)


def test_late_partial_cancels_are_of_the_closed_trade_and_not_of_the_next(tmp_path: Path) -> None:
    journal = quiet(Journal().write(timed(pair("A"), 1), 90), 1, 40)
    journal.write(on(40, cancels()), 40 * DAY_S + 90, 40 * DAY_S)
    journal.write(on(41, pair("B")), 41 * DAY_S + 90, 41 * DAY_S)
    found = run(tmp_path, journal)
    assert verdicts(found) == {A: (State.UNMATCHED, ("ORPHAN_LATE",)), B: (State.MATCHED, ())}


def test_a_late_leg_with_its_full_key_is_of_its_closed_trade_alone(tmp_path: Path) -> None:
    journal = quiet(Journal().write(timed(pair("A"), 1), 90), 1, 40)
    late = [of(theirs(version=2, kind=Kind.AMEND, broker="A"), "T1", "A"), *pair("B")]
    journal.write(on(40, late), 40 * DAY_S + 90, 40 * DAY_S)
    found = run(tmp_path, journal)
    assert verdicts(found) == {A: (State.UNMATCHED, ("ORPHAN_LATE",)), B: (State.MATCHED, ())}


def test_a_late_record_for_several_closed_trades_is_accounted_for_once(tmp_path: Path) -> None:
    legs = [*pair("A"), *pair("B")]
    journal = quiet(Journal().write(timed(legs, 1), 90), 1, 40)
    journal.write(on(40, [of(booked(), "T1", None), *cancels(), *cancels()]), 40 * DAY_S + 90, 40 * DAY_S)

    async def play() -> tuple[list[str], list[int]]:
        async with matching_on(tmp_path, RULES) as matching:
            await matching.read(journal.batches(50))
            runs = [run for account in matching.accounts for run in account.runs]
            late = {(it.trade_id, it.version) for it in matching.published if it.reasons == ("ORPHAN_LATE",)}
            return [trade_id for trade_id, _ in sorted(late)], [it[1] for it in runs]

    late, counts = asyncio.run(play())
    assert late == [A, A, B, B]
    assert sum(counts) == journal.end
    assert min(counts) > 0


def test_a_snapshot_that_is_forgotten_takes_no_cancel_along(tmp_path: Path) -> None:
    """It never had a trade: what lies under the trade_id is for the trade to come."""
    journal = quiet(Journal().write(timed([of(booked(), "T1", "B")], 1), 90), 1, 34)
    journal.write(on(34, cancels()), 34 * DAY_S + 90, 34 * DAY_S)
    journal.write([], 36 * DAY_S + 90, 36 * DAY_S)
    journal.write(on(37, pair("A")), 37 * DAY_S + 90, 37 * DAY_S)
    assert verdicts(run(tmp_path, journal)) == {A: (State.CANCELLED, ())}


def test_a_repeated_record_stays_ambiguous_when_the_other_trade_is_closed(tmp_path: Path) -> None:
    journal = Journal().write(timed([*pair("A"), *pair("B"), *cancels()], 1), 90)
    journal = quiet(journal, 1, 30)
    again = pair("B", version=2, kind=Kind.AMEND)
    journal.write(on(30, again), 30 * DAY_S + 90, 30 * DAY_S)
    before = dict(run(tmp_path / "before", quiet(journal, 31, 40)))
    journal.write(timed(cancels(), 40 * DAY_S + 1), 40 * DAY_S + 90, 40 * DAY_S)
    after = run(tmp_path / "after", journal)
    assert after[B].version == before[B].version


def test_after_a_crash_and_a_change_of_rules_both_trades_are_ambiguous(tmp_path: Path) -> None:
    """The result of the second trade was published before the crash, that of the first one was not."""
    execution, confirmation = pair("A")
    legs = [execution, replace(confirmation, ticker="MSFT"), of(booked(), "T1", None), *pair("B")]
    journal = Journal().write(timed(legs, 1), 60)
    other = parse_rules('name = "other"\nmatch_key = ["broker", "trade_id"]\ngrace_seconds = 21')
    for write in range(1, 12):

        async def play(write: int = write) -> dict[str, tuple[int, tuple[str, ...]]]:
            newest: dict[str, tuple[int, tuple[str, ...]]] = {}
            for rules, crash_at in ((RULES, (write, 0.0)), (other, None)):
                async with matching_on(tmp_path / str(write), rules) as matching:
                    matching.crash_at = crash_at
                    with suppress(Crash):
                        await matching.read(journal.batches(4))
            async with matching_on(tmp_path / str(write), other) as matching:
                for name in (TOPICS.reconciled, TOPICS.mismatch):
                    span = range(matching.app.transport.log.end(name, 0))
                    async for _, records in matching.app.transport.read({TP(name, 0): span} if span else {}):
                        for result in [decode_result(record.value or b"") for record in records]:
                            found = newest.get(result.trade_id, (0, ()))
                            newest[result.trade_id] = max(found, (result.version, result.hints))
            return newest

        found = {trade_id: hints for trade_id, (_, hints) in asyncio.run(play()).items()}
        assert found == {A: ("KEY_AMBIGUOUS",), B: ("KEY_AMBIGUOUS",)}, write


def test_a_record_that_fails_at_one_of_its_trades_changes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error at B, three times: a dead letter, and A is as it was before the record."""

    def wrong(result: Result) -> bytes:
        if result.trade_id == B and result.verdict.state is State.MISMATCHED:
            raise ZeroDivisionError("a bug")
        return encode_result(result)

    monkeypatch.setattr(matching_agent, "encode_result", wrong)
    journal = Journal().write(timed([*pair("A"), *pair("B"), cancels()[0]], 1), 60)

    async def play() -> tuple[list[Published], int]:
        published: list[Published] = []
        for attempt in range(3):
            async with matching_on(tmp_path, RULES) as matching:
                with suppress(ZeroDivisionError) if attempt < 2 else nullcontext():
                    await matching.read(journal.batches(100))
                published += matching.published
        async with matching_on(tmp_path, RULES) as matching:
            return published, matching.app.transport.log.end(TOPICS.dead_letters, 0)

    published, letters = asyncio.run(play())
    assert {it.trade_id: (it.state, it.version) for it in published} == {A: (State.MATCHED, 2), B: (State.MATCHED, 2)}
    assert letters == 1


def test_a_trade_begins_in_the_batch_in_which_one_with_its_trade_id_is_closed(tmp_path: Path) -> None:
    first = Journal().write(timed([ours(), theirs()], 1), 90)
    days = quiet(following(first, [], 92, 91), 1, 36)
    last = following(
        days, [*on(36, pair("A")), *[Arrival(36 * DAY_S + 3, leg) for leg in cancels()]], 36 * DAY_S + 90, 36 * DAY_S
    )
    found = run(tmp_path, first, days, last, rules=(PLAIN, RULES), size=10_000)
    assert verdicts(found)[A] == (State.CANCELLED, ())


def test_a_snapshot_with_its_key_is_no_trade_that_a_cancel_may_be_of(tmp_path: Path) -> None:
    """A mistyped broker in a snapshot makes nothing ambiguous, and its trade, if it comes, is one of two."""
    legs = [of(booked(), "T1", "A"), *cancels()[:1]]
    found = run(tmp_path, Journal().write([*timed(legs, 1), *timed(pair("B"), 60)], 120))
    assert verdicts(found) == {B: (State.MISMATCHED, ("CANCELLED_ONE_SIDE",))}
    further = [*timed(legs, 1), *timed(pair("B"), 60), *timed(pair("A"), 70)]
    found = run(tmp_path / "further", Journal().write(further, 120))
    ambiguous = (State.MISMATCHED, ("KEY_AMBIGUOUS",))
    assert verdicts(found) == {A: ambiguous, B: ambiguous}


def test_a_higher_version_outdates_a_cancel_that_may_be_of_another_trade(tmp_path: Path) -> None:
    legs = [*pair("A"), *pair("B"), *cancels(1)]
    again = timed(pair("B", version=2, kind=Kind.AMEND), 40)
    found = run(tmp_path, Journal().write([*timed(legs, 1), *again], 120))
    assert verdicts(found) == {A: (State.MISMATCHED, ("KEY_AMBIGUOUS",)), B: (State.MATCHED, ())}


def test_of_shared_snapshots_the_last_wins_where_the_rules_say_so(tmp_path: Path) -> None:
    snapshots = [of(booked("1"), "T1", None), of(booked(), "T1", None)]
    arrivals = [Arrival(1, snapshots[0]), Arrival(50, snapshots[1]), *timed(pair("A"), 60)]
    found = run(tmp_path, Journal().write(arrivals, 150), rules=(LAST_WINS,))
    assert verdicts(found) == {A: (State.MATCHED, ())}


def test_many_trades_of_one_trade_id_take_no_longer_than_others(tmp_path: Path) -> None:
    """A record with its full key reads its own trade alone: 3,000 of them are read in seconds."""
    legs = [leg for number in range(3_000) for leg in pair(f"B{number}")]
    found = run(
        tmp_path, Journal().write([Arrival(1 + number / 1_000, leg) for number, leg in enumerate(legs)], 60), size=500
    )
    assert {result.state for result in found.values()} == {State.MATCHED}
    assert len(found) == 3_000
