"""Control totals: what both sides say they traded, and where the difference lies."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from assessed import judged
from hypothesis import given
from hypothesis import strategies as st
from legs import booked, ours, theirs

from traderecon.matching.totals import Account, Totals, add_trade, merge
from traderecon.records import (
    Confirmation,
    Execution,
    Kind,
    Leg,
    Source,
)
from traderecon.rules import FOUNDING, Price, Rules

D = Decimal
OURS, THEIRS = Source.EXECUTIONS, Source.CONFIRMATIONS
MS = 1_000_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "BRKA", "BRKB"]),
            st.sampled_from([None, "USD", "usd", "EUR"]),
            st.sampled_from(["190.50", "190.504", "191", None, "none"]),
            st.sampled_from(["100", "101"]),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_control_totals_tie_to_the_last_digit(trades: list[tuple[str, Any, Any, str, bool]], split: int) -> None:
    """Per broker and currency, from the legs themselves; two parts merge to the same totals."""
    rules = msgspec.structs.replace(
        FOUNDING, checks=FOUNDING.checks, attributes=tuple(r for r in FOUNDING.attributes if r.name != "broker")
    )
    parts: list[dict[Account, Totals]] = [{}, {}]
    said: dict[Account, list[Fraction]] = {}
    for index, (broker, currency, price, quantity, contradicts) in enumerate(trades):
        legs: list[Execution | Confirmation] = [ours(broker=broker or None, currency=currency)]
        if price != "none":
            legs.append(theirs(price=price or "190.50", quantity=quantity, broker="BRKB", currency="USD"))
        if contradicts:
            legs.append(ours(broker=broker or None, currency=currency, price="1"))
        sides, verdict, assessment = judged(*legs, rules=rules)
        add_trade(parts[index >= split], sides, verdict, assessment)
        for leg in {leg.source: leg for leg in legs}.values():
            account = Account(leg.broker or "", (leg.currency or "").upper())
            sums = said.setdefault(account, [Fraction(0), Fraction(0)])
            if not (contradicts and leg.source is OURS):
                assert leg.price is not None
                assert leg.quantity is not None
                sums[leg.source is THEIRS] += Fraction(leg.price) * Fraction(leg.quantity)
    totals = parts[0]
    merge(totals, parts[1])
    found = {account: [Fraction(of.executions), Fraction(of.confirmations)] for account, of in totals.items()}
    # A stake may be in a currency that only the other side names.
    assert {account: of for account, of in found.items() if account in said or any(of)} == said
    for of in totals.values():
        difference = Fraction(of.executions) - Fraction(of.confirmations)
        assert difference == Fraction(of.breaks) + Fraction(of.tolerated) + Fraction(of.not_compared)
    assert sum(of.unknown for of in totals.values()) == sum(trade[4] for trade in trades)


def test_where_the_difference_of_a_trade_lies() -> None:
    def totals(*legs: Leg, rules: Rules = FOUNDING) -> Totals:
        found: dict[Account, Totals] = {}
        add_trade(found, *judged(*legs, rules=rules))
        return found.get(Account("", ""), Totals())

    no_price = msgspec.structs.replace(
        FOUNDING, checks=tuple(rule for rule in FOUNDING.checks if not isinstance(rule, Price))
    )
    assert totals(ours(), theirs(price="191")).breaks == -50
    assert totals(ours(), theirs(price="190.504")).tolerated == D("-0.4")
    assert totals(ours(), theirs(price="191"), rules=no_price).not_compared == -50
    assert totals(ours(kind=Kind.CANCEL), theirs()).breaks == -19050
    assert totals(ours(kind=Kind.CANCEL), theirs(kind=Kind.CANCEL)) == Totals()
    assert totals(ours(), theirs(price="191")).at_stake == 50
    assert totals(booked()) == Totals()


def test_a_break_counts_in_the_currency_of_its_stake() -> None:
    def stakes(*legs: Leg) -> dict[Account, D]:
        found: dict[Account, Totals] = {}
        add_trade(found, *judged(*legs))
        return {account: of.at_stake for account, of in found.items() if of.at_stake}

    assert stakes(ours(broker="B"), theirs(price="191", currency="EUR", broker="B")) == {Account("B", "EUR"): D(50)}
    assert stakes(theirs(kind=Kind.CANCEL, currency="usd")) == {Account("", "USD"): D(19050)}
    cancelled = ours(kind=Kind.CANCEL, currency="JPY", broker="A"), theirs(currency="EUR", broker="B")
    assert stakes(*cancelled) == {Account("B", "EUR"): D(19050)}


def test_parts_add_up_to_the_last_digit_and_unknown_legs_stay_a_count() -> None:
    account = Account("B", "USD")
    totals = {account: Totals(executions=D("1E30"), unknown=1)}
    merge(totals, {account: Totals(executions=D("0.001"), unknown=2)})
    assert totals == {account: Totals(executions=D("1000000000000000000000000000000.001"), unknown=3)}
    assert isinstance(totals[account].unknown, int)
