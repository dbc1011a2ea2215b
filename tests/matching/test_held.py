"""Held trades: a source that stops, in log time, through the real matching agent and its table."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from held_trades import BATCH, breaks, outage, run, states, steady, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from legs import ours, theirs
from silence_case import Arrival, Crash, Journal, Matching, Published, matching_on

from traderecon.matching import status_report
from traderecon.records import Hint, Kind, Reason, State
from traderecon.records.instants import NS_PER_S
from traderecon.records.journal import Progress, encode_journal
from traderecon.rules import FOUNDING
from traderecon.tables import activities
from traderecon.tables import held as held_rows

MISSING = (Reason.MISSING_CONFIRMATION,)


def sent_s(result: Published) -> float:
    """When a trade was executed, if one is every second."""
    return int(result.trade_id[1:].partition("-")[0])


def test_an_outage_is_one_incident_and_breaks_only_what_is_missing(tmp_path: Path) -> None:
    opened: list[set[str]] = []

    async def play() -> Matching:
        async with matching_on(tmp_path) as matching:
            for batch in journal.batches(BATCH):
                await matching.read([batch])
                if (incidents := set(matching.incidents())) and (not opened or opened[-1] != incidents):
                    opened.append(incidents)
            return matching

    arrivals = [*trades(2_400, missing=40, confirmed=outage(300, 900))]
    journal = Journal().write(arrivals, 1_500)
    matching = asyncio.run(play())
    planted = {f"T{number}" for number in range(0, 2_400, 40)}
    assert breaks(matching.published) == planted
    assert matching.states() == {"MATCHED": 2_340, "UNMATCHED": 60}
    assert opened == [{"broker_confirmations"}]
    assert not matching.incidents()
    held = [max((silent["held"] for silent in status.get("silent", ())), default=0) for status in matching.statuses]
    assert max(held) > 1_000
    assert held[-1] == 0
    [shown] = [each for status in matching.statuses for each in status.get("silent", ()) if each["held"] == max(held)]
    listed = [waiting for status in matching.statuses for waiting in status["oldest"] if "held_by" in waiting]
    assert {waiting["held_by"] for waiting in listed} == {"broker_confirmations"}
    assert {waiting["waiting_for"] for waiting in listed} == {"confirmation"}
    assert shown["source"] == "broker_confirmations"
    assert shown["stake"] == {"": str(max(held) * 19_050)}
    assert matching.metrics.registry.get_sample_value("traderecon_silent_sources") == 0


def test_what_takes_long_to_count_is_not_counted_again_because_log_time_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that reads a backlog sees hours of log time in a minute: it would do little else than count."""

    async def all_statuses(matching: Matching) -> None:
        counted.append(len(matching.statuses))

    counted: list[int] = []
    journal = Journal().write([*trades(400, confirmed=outage(60, 120))], 300)
    brief = run(tmp_path / "brief", journal, all_statuses)
    monkeypatch.setattr(status_report, "BRIEF_S", 0)
    monkeypatch.setattr(status_report, "STATUS_INTERVAL_S", 1_000)
    assert run(tmp_path / "long", journal, all_statuses) == brief
    assert counted[0] > 20
    assert counted[1] == 1


def test_a_source_that_never_returns_breaks_everything_at_the_limit(tmp_path: Path) -> None:
    arrivals = [*trades(1_000, confirmed=lambda due_s: due_s if due_s < 200 else None)]
    published = run(tmp_path, Journal().write(arrivals, 1_300), limit_s=600)
    unmatched = [result for result in published if result.state is State.UNMATCHED]
    assert len(unmatched) == len(breaks(published)) == 600
    assert {result.reasons for result in unmatched} == {MISSING}
    assert {result.hints for result in unmatched} == {(Hint.SOURCE_WAS_SILENT,)}
    assert min(result.at_s for result in unmatched) >= 800
    assert max(result.at_s for result in unmatched) <= 800 + BATCH


def test_after_the_limit_a_grace_ends_as_ever_until_the_source_speaks(tmp_path: Path) -> None:
    arrivals = [*trades(1_600, confirmed=outage(100, 700))]
    published = run(tmp_path, Journal().write(arrivals, 1_000), limit_s=300)
    assert set(states(published).values()) == {State.MATCHED}
    broken_at_s = {
        int(result.trade_id[1:]) * 0.5: result.at_s for result in published if result.state is State.UNMATCHED
    }
    assert min(broken_at_s.values()) >= 400
    later = {sent_s: at_s for sent_s, at_s in broken_at_s.items() if sent_s > 400}
    assert later
    assert all(at_s <= sent_s + 60 + BATCH for sent_s, at_s in later.items())


def test_only_the_trades_of_a_silent_broker_are_held(tmp_path: Path) -> None:
    arrivals: list[Arrival] = []
    for broker in range(10):
        silent = outage(200, 500) if broker == 3 else steady
        for at_s, leg in trades(700, every_s=1, missing=50, confirmed=silent):
            arrivals.append(
                Arrival(at_s, msgspec.structs.replace(leg, trade_id=f"{leg.trade_id}-B{broker}", broker=f"B{broker}"))
            )
    held: set[str] = set()

    async def look(matching: Matching) -> None:
        for status in matching.statuses:
            held.update(each["source"] for each in status.get("silent", ()))

    published = run(tmp_path, Journal().write(arrivals, 900), look)
    assert held == {"broker_confirmations/B3"}
    assert len(breaks(published)) == 10 * 14
    on_time = [result for result in published if result.state is State.UNMATCHED and not result.trade_id.endswith("B3")]
    assert {result.trade_id: result.at_s for result in on_time if result.at_s > sent_s(result) + 60 + BATCH} == {}
    assert Hint.SOURCE_WAS_SILENT not in {hint for result in published for hint in result.hints}


def test_a_break_that_the_legs_prove_is_not_held(tmp_path: Path) -> None:
    """A mismatch, a contradiction, a confirmation without an execution: the confirmations' silence explains none."""
    arrivals = [
        *trades(1_000, confirmed=lambda due_s: due_s if due_s < 200 else None),
        Arrival(190, theirs(trade_id="alleged")),
        Arrival(195, ours(trade_id="worse", price="1")),
        Arrival(196, theirs(trade_id="worse")),
        Arrival(195, ours(trade_id="contradicting")),
        Arrival(250, ours(trade_id="contradicting", price="1")),
    ]
    newest = {result.trade_id: result for result in run(tmp_path, Journal().write(arrivals, 400))}
    assert newest["alleged"].reasons == (Reason.MISSING_EXECUTION,)
    assert newest["worse"].reasons == (Reason.PRICE_MISMATCH,)
    assert newest["contradicting"].reasons == (Reason.DUPLICATE_CONFLICT, Reason.MISSING_CONFIRMATION)
    assert breaks([*newest.values()]) == {"alleged", "worse", "contradicting"}


def test_a_held_trade_that_changes_is_held_further(tmp_path: Path) -> None:
    amended = msgspec.structs.replace(ours(trade_id="T420", price="200"), version=2, kind=Kind.AMEND)
    arrivals = [
        *trades(1_000, missing=440, confirmed=outage(200, 400)),
        Arrival(320, amended),
        Arrival(330, msgspec.structs.replace(amended, trade_id="T440")),
        Arrival(340, msgspec.structs.replace(ours(trade_id="T460"), version=2, kind=Kind.CANCEL)),
    ]
    published = run(tmp_path, Journal().write(arrivals, 700))
    of = {name: [result for result in published if result.trade_id == name] for name in ("T420", "T440", "T460")}
    assert [(result.state, result.reasons) for result in of["T420"]] == [(State.MISMATCHED, (Reason.PRICE_MISMATCH,))]
    assert [(result.state, result.reasons) for result in of["T440"]] == [(State.UNMATCHED, MISSING)]
    assert of["T440"][0].at_s > 460
    assert of["T460"][-1].reasons == (Reason.CANCELLED_ONE_SIDE,)
    assert breaks(published) == {"T0", "T420", "T440", "T460", "T880"}


def test_after_a_reset_of_time_each_source_counts_as_heard_then(tmp_path: Path) -> None:
    """An hour ahead, then set back during an outage: what was held is held on, and the backlog resolves it."""
    ahead_s = 3_600
    before = [*trades(400, confirmed=lambda due_s: due_s if due_s < 100 else None)]
    journal = Journal().write([arrival._replace(at_s=arrival.at_s + ahead_s) for arrival in before], 4_000, ahead_s)
    journal.reset(300, epoch=1)
    late = [Arrival(400, theirs(trade_id=f"T{number}")) for number in range(200, 400)]
    goes_on = [*trades(400, first=600, confirmed=lambda due_s: due_s if due_s > 400 else 401)]
    journal.write([*late, *goes_on], 700, 300, epoch=1)
    journal.append(None, encode_journal(Progress(journal.ns(9_000), {}, {}, 0, spoken={"executions": 1, "new": 1})))
    published = run(tmp_path, journal)
    assert breaks(published) == set()
    assert len(states(published)) == 800


def test_sources_are_known_by_name_up_to_a_bound(tmp_path: Path) -> None:
    async def check(matching: Matching) -> None:
        assert len(matching.keys(activities.PREFIX)) == activities.MAX_SOURCES

    names = {f"executions/{number}": 1 for number in range(activities.MAX_SOURCES + 5)}
    journal = Journal()
    journal.append(None, encode_journal(Progress(journal.ns(1), {}, {}, 0, spoken=names)))
    run(tmp_path, journal, check)


GRACE_S, LIMIT_S, FLOOR_S = 20, 60, 5
SHORT = msgspec.structs.replace(FOUNDING, grace_ns=GRACE_S * NS_PER_S)
END_S = 150
FINE = 20


class Schedule(NamedTuple):
    """Pauses of each feed (begin, length, in seconds), and one trade of how many has one side alone."""

    pauses: dict[str, list[tuple[int, int]]]
    lone: int

    def arrivals(self) -> Iterator[Arrival]:
        """A trade each second, of two brokers in turn. After a pause a feed sends what it has not, faster."""
        for number in range(END_S):
            broker = FEEDS[2 + number % 2]
            sides = (ours, theirs) if number % self.lone else ((ours,), (theirs,))[number // self.lone % 2]
            for leg in sides:
                arrives_s = number + (0.3 if leg is theirs else 0.0)
                for name in ("executions",) if leg is ours else ("broker_confirmations", broker):
                    for begin_s, length_s in self.pauses[name]:
                        if begin_s <= arrives_s < begin_s + length_s:
                            arrives_s = begin_s + length_s + (arrives_s - begin_s) / 10
                yield Arrival(arrives_s, leg(trade_id=f"T{number}", broker=broker))


FEEDS = ("executions", "broker_confirmations", "B0", "B1")
PAUSES = st.lists(st.tuples(st.integers(0, END_S), st.integers(1, 120)), max_size=2)
SCHEDULES = st.builds(Schedule, st.fixed_dictionaries(dict.fromkeys(FEEDS, PAUSES)), st.integers(3, 40))


@settings(max_examples=10, deadline=None)
@given(
    SCHEDULES,
    st.lists(st.tuples(st.integers(1, 120), st.integers(0, 60)), max_size=3),
    st.sampled_from((11, 60, 400)),
)
def test_every_trade_is_decided_in_time_and_the_same_way_after_crashes(
    tmp_path_factory: pytest.TempPathFactory, schedule: Schedule, crashes: list[tuple[int, int]], size: int
) -> None:
    """However batches are cut and wherever the worker dies, each trade is published the same; none is held for ever."""
    arrivals = [*schedule.arrivals()]
    journal = Journal().write(arrivals, END_S + 300)

    async def play(
        directory: Path, crashes: list[tuple[int, int]], size: int
    ) -> tuple[list[Published], dict[str, Any]]:
        published: list[Published] = []
        statuses: list[dict[str, Any]] = []
        for crash_at in (*crashes, None):
            async with matching_on(directory, SHORT, limit_s=LIMIT_S, floor_s=FLOOR_S) as matching:
                matching.crash_at = crash_at
                with suppress(Crash):
                    await matching.read(journal.batches(size))
                published += matching.published
                statuses += matching.statuses
        return published, statuses[-1]

    published, status = asyncio.run(play(tmp_path_factory.mktemp("crashed"), crashes, size))
    assert status.get("silent") is None
    assert set(status["pending"].values()) == {0}
    plain, _ = asyncio.run(play(tmp_path_factory.mktemp("plain"), [], FINE))
    assert {result._replace(at_s=0) for result in published} == {result._replace(at_s=0) for result in plain}
    received: dict[str, list[float]] = defaultdict(list)
    for at_s, leg in arrivals:
        received[leg.trade_id].append(at_s)
    assert {name: state is State.MATCHED for name, state in states(plain).items()} == {
        name: len(times) == 2 for name, times in received.items()
    }
    first: dict[str, Published] = {}
    for result in plain:
        first.setdefault(result.trade_id, result)
    late = {name: result.at_s - min(received[name]) for name, result in first.items()}
    assert max(late.values()) <= GRACE_S + LIMIT_S + GRACE_S + FINE


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_changelog_write_that_is_cut_off_breaks_no_trade(tmp_path: Path, share: float) -> None:
    """What a source is heard of is written first: a held trade that is gone would otherwise be heard by nobody."""
    rules = msgspec.structs.replace(FOUNDING, grace_ns=20 * NS_PER_S)
    arrivals = [*trades(150, every_s=1, confirmed=outage(40, 90, pace=0.8))]
    batches = [*Journal().write(arrivals, 260).batches(200)]

    async def play(directory: Path, crashes: Sequence[int]) -> tuple[list[Published], list[int]]:
        """What was published, with a crash in each of these writes; which writes of the last run are large."""
        published: list[Published] = []
        for write in (*crashes, 0):
            async with matching_on(directory, rules, limit_s=120, floor_s=5) as matching:
                matching.crash_at = (write, share)
                with suppress(Crash):
                    await matching.read(batches)
                published += matching.published
        return published, [write for write, rows in matching.changelog_writes.items() if rows > BATCH]

    plain, large = asyncio.run(play(tmp_path / "plain", []))
    assert (breaks(plain), len(large) > 1) == (set(), True)
    for write in large:
        published, _ = asyncio.run(play(tmp_path / str(write), [write]))
        assert breaks(published) == set(), write
        assert states(published) == states(plain)


def test_a_source_that_comes_and_goes_holds_no_trade_beyond_its_latest_time(tmp_path: Path) -> None:
    """Each silence is shorter than the limit, and the trade is in no burst."""
    rules = msgspec.structs.replace(FOUNDING, grace_ns=20 * NS_PER_S)

    def in_bursts(due_s: float) -> float:
        return due_s if not 100 <= due_s < 260 else 140 + (due_s - 100) // 40 * 40 + due_s % 40 / 40

    arrivals = [
        arrival
        for arrival in trades(300, every_s=1, confirmed=in_bursts)
        if (arrival.leg.trade_id, arrival.leg.source) != ("T105", "broker_confirmations")
    ]
    published = run(tmp_path, Journal().write(arrivals, 400), rules=rules, limit_s=60, floor_s=5)
    assert breaks(published) == {"T105"}
    (result,) = [result for result in published if result.trade_id == "T105"]
    assert 105 + 20 + 60 + 20 <= result.at_s <= 105 + 20 + 60 + 20 + BATCH


def test_a_trade_that_was_decided_is_not_held(tmp_path: Path) -> None:
    """It was cancelled on both sides before the outage, and our side stands again during it."""
    outage_s = outage(100, 400)
    again = [
        Arrival(50, ours(trade_id="R1")),
        Arrival(51, theirs(trade_id="R1")),
        Arrival(52, ours(trade_id="R1", kind=Kind.CANCEL, version=2)),
        Arrival(53, theirs(trade_id="R1", kind=Kind.CANCEL, version=2)),
        Arrival(150, ours(trade_id="R1", version=3)),
    ]
    published = run(tmp_path, Journal().write([*trades(800, confirmed=outage_s), *again], 600))
    newest = [result for result in published if result.trade_id == "R1"][-1]
    assert newest.reasons == (Reason.CANCELLED_ONE_SIDE,)
    assert newest.at_s <= 150 + 60 + BATCH
    assert breaks(published) - {"R1"} == set()


def test_the_incident_opens_with_the_silence_not_with_the_first_held_trade(tmp_path: Path) -> None:
    """A confirmation every half second: 30 s without one is a silence, and the grace is twice that."""
    opened: list[tuple[int, int]] = []

    async def play() -> None:
        async with matching_on(tmp_path) as matching:
            for batch in journal.batches(5):
                await matching.read([batch])
                if matching.incidents() and not opened:
                    opened.append((matching.at_s, len(matching.keys(held_rows.PREFIX))))

    journal = Journal().write([*trades(800, confirmed=outage(300, 360))], 450)
    asyncio.run(play())
    ((at_s, holding),) = opened
    assert 330 <= at_s <= 336
    assert holding == 0


def test_nobody_waits_for_the_executions_after_the_last_of_a_day(tmp_path: Path) -> None:
    """Confirmations go on for a while: that is no silence of anybody."""
    opened: list[dict[str, str]] = []

    async def play() -> None:
        async with matching_on(tmp_path) as matching:
            for batch in journal.batches(50):
                await matching.read([batch])
                opened.append(matching.incidents())

    journal = Journal().write([*trades(800, confirmed=lambda due_s: due_s + 45)], 600)
    asyncio.run(play())
    assert not any(opened)
