"""How many verdicts a second one core gives, under the founding rules: facts in, verdict out, in this process.

    PYTHONPATH=tests python -m benchmarks.core [--trades 20000] [--rounds 7]

The yardstick is the comparison everybody writes first, on the same trades in the same run: floats in a dict, the same
five checks, a list of reasons, no evidence. The ratio says what exactness, operands and hints cost; it holds on any
machine, the rate does not.
"""

import argparse
import gc
from collections.abc import Callable
from statistics import median
from time import process_time_ns
from typing import Any

from traderecon.intake import Rows
from traderecon.matching import add, judge_facts, result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Execution, Fact, Origin, PnlSnapshot, Source
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING
from traderecon.simulator import PROFILES, feed, header

SEED = 7


def trades(count: int) -> list[tuple[Fact, ...]]:
    """The facts of that many simulated trades of the typical profile."""
    profile = PROFILES["typical"]
    decoders = {source: Rows(source, header(source, profile)) for source in Source}
    facts: dict[str, tuple[Fact, ...]] = {}
    for offset, message in enumerate(feed(SEED, count, profile)):
        fact = decoders[message.source].decode(message.row, Origin(message.source, 0, offset))
        assert isinstance(fact, Fact)
        facts[fact.leg.trade_id], _ = add(facts.get(fact.leg.trade_id, ()), fact)
    return list(facts.values())


def as_floats(facts: tuple[Fact, ...]) -> dict[str, dict[str, Any]]:
    """What the yardstick gets: a dict per source."""
    sides: dict[str, dict[str, Any]] = {}
    for fact in facts:
        leg = fact.leg
        if isinstance(leg, PnlSnapshot):
            sides["pnl"] = {"pnl_impact": float(leg.pnl_impact or 0), "commission": float(leg.commission or 0)}
        else:
            name = "execution" if isinstance(leg, Execution) else "confirmation"
            terms = {"ticker": leg.ticker, "quantity": float(leg.quantity or 0), "price": float(leg.price or 0)}
            sides[name] = {**terms, "at": (leg.timestamp_ns or 0) / 1e9}
    return sides


def naive(sides: dict[str, dict[str, Any]]) -> list[str]:
    """The founding checks as they are first written."""
    reasons = []
    execution, confirmation, pnl = sides.get("execution"), sides.get("confirmation"), sides.get("pnl")
    if execution is None or confirmation is None:
        return ["UNMATCHED"]
    if execution["ticker"] != confirmation["ticker"]:
        reasons.append("TICKER_MISMATCH")
    if execution["quantity"] != confirmation["quantity"]:
        reasons.append("QUANTITY_MISMATCH")
    if abs(execution["price"] - confirmation["price"]) > 0.005:
        reasons.append("PRICE_MISMATCH")
    if abs(execution["at"] - confirmation["at"]) > 0.1:
        reasons.append("TIMESTAMP_DRIFT")
    if pnl is not None:
        expected = execution["price"] * execution["quantity"] - pnl["commission"]
        if abs(expected - pnl["pnl_impact"]) >= 1.0:
            reasons.append("PNL_INCONSISTENT")
    return reasons


def seconds(rounds: int, work: Callable[[Any], object], inputs: list[Any]) -> list[float]:
    """CPU seconds of each round of ``work`` over all inputs, after one round that is not counted."""
    taken = []
    for _ in range(rounds + 1):
        start = process_time_ns()
        for each in inputs:
            work(each)
        taken.append((process_time_ns() - start) / 1e9)
    return taken[1:]


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--trades", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=7)
    chosen = arguments.parse_args()
    facts = trades(chosen.trades)
    floats = [as_floats(each) for each in facts]
    stamp = FOUNDING.stamp()
    judged = [judge_trade(each, FOREVER_NS, FOUNDING) for each in facts]
    gc.collect()
    gc.freeze()
    rows = {
        "float yardstick": seconds(chosen.rounds, naive, list(floats)),
        "verdict": seconds(chosen.rounds, lambda each: judge_facts(each, FOREVER_NS, FOUNDING), list(facts)),
        "result with event_id": seconds(chosen.rounds, lambda each: result_of(each, stamp), list(judged)),
    }
    yardstick = median(rows["float yardstick"])
    print(f"{len(facts):,} trades, {sum(map(len, facts)):,} facts, {chosen.rounds} rounds, CPU time of one core")
    print(f"{'':22} {'a second: median':>17} {'best':>10} {'worst':>10}   cost against the yardstick")
    for name, taken in rows.items():
        rates = [f"{len(facts) / each:,.0f}" for each in (median(taken), min(taken), max(taken))]
        print(f"{name:22} {rates[0]:>17} {rates[1]:>10} {rates[2]:>10}   {median(taken) / yardstick:.2f}x")


if __name__ == "__main__":
    main()
