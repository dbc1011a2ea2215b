"""Summary: what a run over files found, in counts, and the breaks that matter most.

One part of the trades is summed up by itself; parts merge in any order to the same summary.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from heapq import nsmallest
from typing import Self

import msgspec

from traderecon.matching import Sides
from traderecon.records import STANDINGS, Hint, Outcome, Reason, RejectCode, Severity, Source, State, Verdict
from traderecon.records.instants import NS_PER_S
from traderecon.records.numbers import EXACT, ZERO

BREAKS_SHOWN = 500
"""A summary keeps this many breaks, the most severe and largest; all of them are in the output."""

REJECTS_SHOWN = 100

_URGENCY = {severity: rank for rank, severity in enumerate(Severity)}
_BREAK_STATES = frozenset({State.MISMATCHED, State.UNMATCHED})


class Break(msgspec.Struct, frozen=True):
    """A trade that needs a person: its verdict, the legs that stand, and what it is worth (price * quantity)."""

    trade_id: str
    verdict: Verdict
    sides: Sides
    severity: Severity
    notional: Decimal

    def urgency(self) -> tuple[int, Decimal, str]:
        """Sorts the most severe and largest first, then by trade_id."""
        return _URGENCY[self.severity], -self.notional, self.trade_id


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A line of the rejects file: where it lies, why it is no leg, and what to send instead."""

    file: str
    line: int
    code: RejectCode
    text: str


class Summary(msgspec.Struct):
    """Counts over all trades judged.

    ``rows`` are data lines read per source, ``duplicates`` those that repeated a fact word for word, ``minutes`` the
    trades and breaks per minute of event time (UTC, minutes since 1970), ``pnl_alone`` the trades of which only a
    snapshot is known: no verdict, no row.
    """

    rows: Counter[Source] = msgspec.field(default_factory=Counter)
    duplicates: Counter[Source] = msgspec.field(default_factory=Counter)
    rejected: Counter[RejectCode] = msgspec.field(default_factory=Counter)
    states: Counter[State] = msgspec.field(default_factory=Counter)
    reasons: Counter[Reason] = msgspec.field(default_factory=Counter)
    hints: Counter[Hint] = msgspec.field(default_factory=Counter)
    checks: Counter[tuple[str, Outcome]] = msgspec.field(default_factory=Counter)
    minutes: Counter[int] = msgspec.field(default_factory=Counter)
    break_minutes: Counter[int] = msgspec.field(default_factory=Counter)
    break_tickers: Counter[str] = msgspec.field(default_factory=Counter)
    pnl_alone: int = 0
    notional_at_risk: Decimal = ZERO
    breaks: list[Break] = msgspec.field(default_factory=list)
    rejects: list[Reject] = msgspec.field(default_factory=list)
