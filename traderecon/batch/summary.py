"""Summary: the counts of a run over files, and its most important breaks.

Each part has its own summary; they merge in any order to the same result.
"""

from collections import Counter
from decimal import Decimal
from heapq import nsmallest
from typing import Self

import msgspec

from traderecon.matching import Sides, distinct_values
from traderecon.matching.clocks import Clocks, Drift
from traderecon.matching.clocks import merge as merge_drifts
from traderecon.matching.totals import AllTotals
from traderecon.matching.totals import add_trade as add_to_totals
from traderecon.matching.totals import merge as merge_totals
from traderecon.present.trade_row import join_values
from traderecon.records import Assessment, Hint, Outcome, Reason, RejectCode, Source, State, Verdict
from traderecon.records.instants import NS_PER_S
from traderecon.records.numbers import EXACT, ZERO
from traderecon.records.results import BREAK_STATES

BREAKS_SHOWN = 500
"""A summary keeps this many breaks, most severe and largest first; the output has all of them."""

REJECTS_SHOWN = 100
ORPHANS_SHOWN = 100
"""Snapshots without a trade that a summary names; it counts all of them."""

NS_PER_MINUTE = 60 * NS_PER_S


class Break(msgspec.Struct, frozen=True):
    """A trade that needs a person: its verdict, its effective legs, and what it is about."""

    trade_id: str
    verdict: Verdict
    sides: Sides
    assessment: Assessment

    def urgency(self) -> tuple[int, bool, Decimal, str]:
        """A sort key: most severe first, then by money at stake (an unknown amount first), then by trade_id."""
        return (*self.assessment.urgency, self.trade_id)


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A line of the rejects file: its position, why it was rejected, and what to send instead."""

    file: str
    line: int
    code: RejectCode
    text: str


class Summary(msgspec.Struct):
    """Counts over all judged trades.

    ``rows``: data lines per source; ``lines``: per index of the file; ``duplicates``: lines that repeat a fact
    exactly; ``skipped``: lines of trades that were reconciled before; ``outranked``: lines dropped because a side
    keeps only its highest facts; ``minutes``, ``break_minutes``: trades and breaks per minute of event time (UTC,
    since 1970); ``pnl_alone``: trades with only a pnl snapshot, which get no verdict; ``orphans``:
    the first of those trades, by id; ``drifts``: how the times of each broker drift; ``totals``: control totals
    per broker and currency.
    """

    rows: Counter[Source] = msgspec.field(default_factory=Counter)
    lines: Counter[int] = msgspec.field(default_factory=Counter)
    duplicates: Counter[Source] = msgspec.field(default_factory=Counter)
    outranked: Counter[Source] = msgspec.field(default_factory=Counter)
    skipped: Counter[Source] = msgspec.field(default_factory=Counter)
    rejected: Counter[RejectCode] = msgspec.field(default_factory=Counter)
    states: Counter[State] = msgspec.field(default_factory=Counter)
    reasons: Counter[Reason] = msgspec.field(default_factory=Counter)
    hints: Counter[Hint] = msgspec.field(default_factory=Counter)
    checks: Counter[tuple[str, Outcome]] = msgspec.field(default_factory=Counter)
    minutes: Counter[int] = msgspec.field(default_factory=Counter)
    break_minutes: Counter[int] = msgspec.field(default_factory=Counter)
    break_tickers: Counter[str] = msgspec.field(default_factory=Counter)
    pnl_alone: int = 0
    orphans: list[str] = msgspec.field(default_factory=list)
    totals: AllTotals = msgspec.field(default_factory=dict)
    drifts: dict[str, Drift] = msgspec.field(default_factory=dict)
    breaks: list[Break] = msgspec.field(default_factory=list)
    rejects: list[Reject] = msgspec.field(default_factory=list)

    def add_trade(self, trade_id: str, sides: Sides, verdict: Verdict, assessment: Assessment | None) -> None:
        """Count one trade's verdict."""
        state = verdict.state
        self.states[state] += 1
        for hint in verdict.hints:
            self.hints[hint] += 1
        for check in verdict.checks:
            self.checks[check.name, check.outcome] += 1
        event_time_ns = sides.event_time_ns
        if event_time_ns is not None:
            minute = event_time_ns // NS_PER_MINUTE
            self.minutes[minute] += 1
            if state.is_break:
                self.break_minutes[minute] += 1
        add_to_totals(self.totals, sides, verdict, assessment)
        if assessment is not None:
            self._add_break(trade_id, sides, verdict, assessment)

    def _add_break(self, trade_id: str, sides: Sides, verdict: Verdict, assessment: Assessment) -> None:
        for reason in verdict.reasons:
            self.reasons[reason] += 1
        if tickers := _first_values(sides, "ticker"):
            self.break_tickers[join_values(tickers)] += 1
        self.breaks.append(Break(trade_id, verdict, sides, assessment))
        if len(self.breaks) >= 8 * BREAKS_SHOWN:
            self._trim()

    def add_orphan(self, trade_id: str) -> None:
        """Count a trade of which only a pnl snapshot came: no break, but somebody booked it."""
        self.pnl_alone += 1
        self.orphans.append(trade_id)
        if len(self.orphans) >= 8 * ORPHANS_SHOWN:
            self.orphans = sorted(self.orphans)[:ORPHANS_SHOWN]

    def reject(self, reject: Reject) -> None:
        """Count one rejected line; the first ones are kept, in the order of the files."""
        self.rejected[reject.code] += 1
        if len(self.rejects) < REJECTS_SHOWN:
            self.rejects.append(reject)

    def merge(self, other: Self) -> None:
        """Add the summary of another part."""
        for field in self.__struct_fields__:
            counts = getattr(self, field)
            if isinstance(counts, Counter):
                counts.update(getattr(other, field))
        self.pnl_alone += other.pnl_alone
        self.orphans = sorted(self.orphans + other.orphans)[:ORPHANS_SHOWN]
        merge_totals(self.totals, other.totals)
        merge_drifts(self.drifts, other.drifts.items())
        self.breaks += other.breaks
        self.rejects = (self.rejects + other.rejects)[:REJECTS_SHOWN]
        self._trim()

    def _trim(self) -> None:
        self.breaks = nsmallest(BREAKS_SHOWN, self.breaks, key=Break.urgency)

    @property
    def at_stake(self) -> dict[str, Decimal]:
        """The money at stake in the breaks, per currency; "" for amounts without one."""
        stakes: dict[str, Decimal] = {}
        for account, totals in sorted(self.totals.items()):
            if totals.at_stake:
                stakes[account.currency] = EXACT.add(stakes.get(account.currency, ZERO), totals.at_stake)
        return stakes

    def drifting(self) -> list[str]:
        """What is to be said of brokers whose times drift one way."""
        clocks = Clocks()
        clocks.drifts = self.drifts
        return [*clocks.drifting().values()]

    @property
    def trades(self) -> int:
        """Number of trades with a verdict; each is a row of the output."""
        return self.states.total()

    @property
    def break_count(self) -> int:
        """Number of breaks."""
        return sum(self.states[state] for state in BREAK_STATES)


def _first_values(sides: Sides, field: str) -> list[str]:
    """The values of a field in the execution, else in the confirmation."""
    return distinct_values(sides.effective(Source.EXECUTIONS), field) or distinct_values(
        sides.effective(Source.CONFIRMATIONS), field
    )
