"""The feed: every row of a simulated day, in the order in which it is sent.

Rows wait on a timing wheel with one bucket per slot of delay; each position of virtual time empties one bucket. Memory
is bounded by the longest delay, however many trades there are, and rows due together are sent in trade order.
"""

from collections.abc import Iterator

import msgspec

from traderecon.records import Source
from traderecon.simulator.hostile import add_hostile_fault
from traderecon.simulator.profiles import Profile
from traderecon.simulator.rows import row_of
from traderecon.simulator.statements import Trade
from traderecon.simulator.trades import START_MS, plain_trade


class Message(msgspec.Struct, frozen=True, gc=False):
    """One row, and when it is sent: ``position`` counts slots of ``SLOT_MS`` since the first execution.

    Trade i is executed at position i: at R trades per second, position p is sent at p / R seconds.
    """

    source: Source
    row: str
    position: int


def trade_of(seed: int, index: int, profile: Profile, start_ms: int = START_MS) -> Trade:
    """Trade ``index`` with its planted faults: a function of these four arguments alone."""
    trade = plain_trade(seed, index, profile, start_ms)
    return add_hostile_fault(trade, seed, index, profile) if profile.versioned else trade


def feed(
    seed: int, trades: int, profile: Profile, first: int = 0, *, since: int = 0, start_ms: int = START_MS
) -> Iterator[Message]:
    """The messages of trades ``since`` to ``trades`` - 1: executions in order, the others delayed by the profile.

    ``first``: only messages at this position or later; trades without any are not generated, so a day resumes at once.
    ``start_ms``: when trade 0 is executed.
    """
    size = profile.reach_slots + 1
    wheel: list[list[Message]] = [[] for _ in range(size)]
    for position in range(max(since, first - profile.reach_slots), trades + profile.reach_slots):
        if position < trades:
            trade = trade_of(seed, position, profile, start_ms)
            for statement in trade.statements:
                due = position + statement.delay_slots
                if due >= first:
                    row = row_of(trade.trade_id, statement, profile)
                    wheel[due % size].append(Message(statement.source, row, due))
        bucket = wheel[position % size]
        yield from bucket
        bucket.clear()
