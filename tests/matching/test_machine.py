"""The lifecycle against the oracle in any course of events: legs in any order, repeats, cancels, time, crashes.

    journal (facts and times)  ->  steps of the lifecycle  ->  the newest result of every trade
                               ->  what the oracle says of the rows that came

A crash takes back what was done since the last commit; what is published stays. Source: DOMAIN.md 6.3, P1, P2, P6, P8,
P9, P11.
"""

import json
from typing import Any

import oracle
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tables.facts import StoredFact
from traderecon.intake import decode
from traderecon.matching.lifecycle import expire, join
from traderecon.matching.results import to_last_published
from traderecon.records import Fact, LastPublished, Origin, Result, Source, identity
from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING

GRACE_S = FOUNDING.grace_ns // NS_PER_S
START_S = 1_753_524_083
SIDES = (Source.EXECUTIONS, Source.CONFIRMATIONS)
IN_TEST, IN_NIGHT = 500, 10_000

Entry = tuple[int, dict[str, str] | None, Source | None]
"""An entry of the journal: the log's time in seconds; a row and its source, or None: time alone."""

trade_ids = st.sampled_from(["T1", "T1", "T1", "T2"])
terms = st.fixed_dictionaries(
    {
        "price": st.sampled_from(["190.50", "190.505", "191"]),
        "quantity": st.sampled_from(["100", "100.0", "101"]),
        "version": st.sampled_from(["1", "1", "2", "3", "4"]),
    },
    optional={"broker": st.sampled_from(["BRKA", "BRKB"]), "account": st.sampled_from(["A", "B"])},
)


class Trade:
    """A trade as the tables have it."""

    def __init__(self) -> None:
        self.rows: list[StoredFact] = []
        self.last: LastPublished | None = None
        self.due_ns: int | None = None


class Worker:
    """Applies the journal, entry by entry; ``published``: every result, in order."""

    def __init__(self) -> None:
        self.trades: dict[str, Trade] = {}
        self.applied = 0
        self.now_ns = 0
        self.published: list[Result] = []

    def apply(self, journal: list[Entry]) -> None:
        """Go on to the end of the journal."""
        for offset, (at_s, row, source) in enumerate(journal[self.applied :], start=self.applied):
            if row is None or source is None:
                self.now_ns = at_s * NS_PER_S
                self._end_graces()
            else:
                self._add(offset, row, source, at_s)
        self.applied = len(journal)

    def _add(self, offset: int, row: dict[str, str], source: Source, at_s: int) -> None:
        fact = decode(source, json.dumps(row).encode(), Origin(source.value, 0, offset, at_s * NS_PER_S))
        assert isinstance(fact, Fact)
        trade = self.trades.setdefault(row["trade_id"], Trade())
        stored = StoredFact(identity(fact.leg), fact, offset)
        step = join(trade.rows, trade.last, stored, self.now_ns, FOUNDING)
        if step.judgement is not None:
            trade.rows.append(stored)
            self._publish(trade, step.result(FOUNDING.stamp()), step.upto)
            trade.due_ns = step.due_ns

    def _end_graces(self) -> None:
        for trade in self.trades.values():
            if trade.due_ns is not None and trade.due_ns <= self.now_ns:
                step = expire(trade.rows, trade.last, self.now_ns, FOUNDING)
                self._publish(trade, step.result(FOUNDING.stamp()), step.upto)
                trade.due_ns = step.due_ns

    def _publish(self, trade: Trade, result: Result | None, upto: int) -> None:
        if result is not None:
            self.published.append(result)
            trade.last = to_last_published(result, upto)

    def saved(self) -> "Worker":
        """A copy, as the changelog holds it."""
        copy = Worker()
        copy.applied, copy.now_ns, copy.published = self.applied, self.now_ns, [*self.published]
        for trade_id, trade in self.trades.items():
            other = copy.trades.setdefault(trade_id, Trade())
            other.rows, other.last, other.due_ns = [*trade.rows], trade.last, trade.due_ns
        return copy


class Machine(RuleBasedStateMachine):
    """The journal, a worker that follows it, and every result that ever left it."""

    @initialize()
    def begin(self) -> None:
        """Nothing has happened."""
        self.journal: list[Entry] = []
        self.now_s = START_S
        self.worker, self.committed = Worker(), Worker()
        self.seen: dict[tuple[str, int], str] = {}

    def _follow(self, entry: Entry) -> None:
        self.journal.append(entry)
        self.worker.apply(self.journal)

    @rule(trade_id=trade_ids, source=st.sampled_from(SIDES), sent=terms, later_s=st.integers(0, 30))
    def deliver(self, trade_id: str, source: Source, sent: dict[str, str], later_s: int) -> None:
        """A leg comes, perhaps of an old version, or against an earlier one."""
        self.now_s += later_s
        row = {"trade_id": trade_id, "ticker": "AAPL", "timestamp": "2025-07-26T10:01:23Z", **sent}
        self._follow((self.now_s, row, source))

    @rule(trade_id=trade_ids, source=st.sampled_from(SIDES), version=st.sampled_from(["1", "2", "3", None]))
    def cancel(self, trade_id: str, source: Source, version: str | None) -> None:
        """A side takes the trade back."""
        row = {"trade_id": trade_id, "kind": "cancel", **({} if version is None else {"version": version})}
        self._follow((self.now_s, row, source))

    @rule(
        trade_id=trade_ids, impact=st.sampled_from(["19049.50", "19099.5", "95"]), version=st.sampled_from(["1", "2"])
    )
    def book(self, trade_id: str, impact: str, version: str) -> None:
        """Accounting sends a snapshot."""
        row = {"trade_id": trade_id, "pnl_impact": impact, "commission": "0.5", "version": version}
        self._follow((self.now_s, row, Source.PNL))

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A record is sent again: the newest results stay as they are."""
        sent = [(row, source) for _, row, source in self.journal if row is not None]
        if sent:
            before = self._newest()
            row, source = data.draw(st.sampled_from(sent))
            self._follow((self.now_s, row, source))
            assert self._newest() == before

    @rule(seconds=st.integers(1, 2 * GRACE_S))
    def advance(self, seconds: int) -> None:
        """The watermark moves; a feed that is silent looks like this, too."""
        self.now_s += seconds
        self._follow((self.now_s, None, None))

    @rule()
    def commit(self) -> None:
        """What was done so far is durable."""
        self.committed = self.worker.saved()

    @rule()
    def crash(self) -> None:
        """The worker goes on from what is durable, and gets to where it was."""
        before = self._newest()
        self.worker = self.committed.saved()
        self.worker.apply(self.journal)
        assert self._newest() == before

    @rule()
    def replay(self) -> None:
        """A worker that knows nothing gives the same results from the whole journal."""
        other = Worker()
        other.apply(self.journal)
        ids = [(result.trade_id, result.version, result.event_id) for result in other.published]
        assert ids == [(result.trade_id, result.version, result.event_id) for result in self.worker.published]

    @invariant()
    def results_are_what_the_oracle_says(self) -> None:
        """The newest result of every trade, unless it waits: state, reasons and outcomes."""
        for trade_id, trade in self.worker.trades.items():
            result = self._newest().get(trade_id)
            rows = {source: self._rows(trade_id, source) for source in Source}
            ours, theirs, booked = ([row for _, row in rows[source]] for source in Source)
            found = oracle.find(ours, theirs, booked, oracle.FOUNDING)
            waits = found.state == "PENDING" or self._waits(rows[SIDES[0]], rows[SIDES[1]])
            assert (trade.due_ns is not None) == (waits and bool(rows[SIDES[0]] or rows[SIDES[1]]))
            if not waits:
                assert result is not None
                verdict = result.verdict
                assert (verdict.state, [*verdict.reasons]) == (found.state, found.reasons)
                assert {check.name: check.outcome for check in verdict.checks} == found.outcomes
                assert (result.assessment is not None) == verdict.state.is_break

    @invariant()
    def a_version_has_one_result(self) -> None:
        """Whatever was taken back and done again, versions rise and mean one thing."""
        versions: dict[str, int] = {}
        for result in self.worker.published:
            assert result.version > versions.get(result.trade_id, 0)
            versions[result.trade_id] = result.version
            key = (result.trade_id, result.version)
            assert self.seen.setdefault(key, result.event_id) == result.event_id

    def _newest(self) -> dict[str, Result]:
        return {result.trade_id: result for result in self.worker.published}

    def _rows(self, trade_id: str, source: Source) -> list[tuple[int, dict[str, str]]]:
        """What came for one side, each row at its first time."""
        first: dict[str, tuple[int, dict[str, str]]] = {}
        for at_s, row, of in self.journal:
            if row is not None and of is source and row["trade_id"] == trade_id:
                first.setdefault(json.dumps(_by_value(row), sort_keys=True), (at_s, row))
        return [*first.values()]

    def _waits(self, ours: list[tuple[int, dict[str, str]]], theirs: list[tuple[int, dict[str, str]]]) -> bool:
        """Whether a grace is still running, by the rows alone."""
        sides = [_standing(rows) for rows in (ours, theirs)]
        starts: list[int] = []
        for (alive, since_s, again), (other_alive, _, _) in (sides, sides[::-1]):
            if alive is not None and other_alive is None:
                starts.append(since_s)  # alone
            elif alive and other_alive is False and again:
                starts.append(since_s)  # stands again, while the other is still cancelled
        watermark_s = self.worker.now_ns // NS_PER_S
        return bool(starts) and watermark_s < starts[0] + GRACE_S


def _by_value(row: dict[str, str]) -> dict[str, Any]:
    """A row as its content counts: 100 and 100.0 are one value."""
    return {name: float(text) if name in {"price", "quantity", "pnl_impact"} else text for name, text in row.items()}


def _standing(rows: list[tuple[int, dict[str, str]]]) -> tuple[bool | None, int, bool]:
    """Whether a side stands (None: it sent nothing), since when, and whether it stands again after a cancel."""
    if not rows:
        return None, 0, False

    def rank(row: dict[str, str]) -> tuple[int, int]:
        cancels = row.get("kind") == "cancel"
        return int(row.get("version", "1" if not cancels else str(10**30))), 2 if cancels else 0

    highest = max(rank(row) for _, row in rows)
    cancels = [rank(row) for _, row in rows if row.get("kind") == "cancel"]
    alive = highest not in cancels
    above = [at_s for at_s, row in rows if not cancels or rank(row) > max(cancels)]
    return alive, min(above if alive else [at_s for at_s, _ in rows]), alive and bool(cancels)


def test_every_course_of_events_ends_as_the_oracle_says() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=IN_TEST, stateful_step_count=25, deadline=None))


@pytest.mark.nightly
def test_ten_thousand_courses_of_events_end_as_the_oracle_says() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=IN_NIGHT, stateful_step_count=40, deadline=None))
