"""The bases of the pnl check. Source: DOMAIN.md 4.2."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import booked, ours, theirs
from msgspec.structs import replace

from traderecon.records import Outcome, Reason, Source
from traderecon.rules import Absolute, Basis, CommissionSign, Incomplete, Multiplier, OperandSource, Pnl
from traderecon.rules.bases import FORMULAS, Operands, expected, field_of
from traderecon.rules.expressions import parse

D = Decimal
amounts = st.decimals(-(10**6), 10**6, places=4, allow_nan=False)


def rule(**other: Any) -> Pnl:
    return Pnl(tolerance=Absolute(amount=D("0.01")), **other)


@given(st.tuples(amounts, amounts, amounts, amounts, amounts), st.booleans())
def test_every_basis_is_the_formula_of_its_row(operand_values: tuple[D, D, D, D, D], sells: bool) -> None:
    price, quantity, cost, open_price, mark = operand_values
    p, q, c, o, m = map(Fraction, operand_values)
    formulas = {
        Basis.NET_CONSIDERATION: p * q - c,
        Basis.NET_CONSIDERATION_SIDED: p * q - c if sells else p * q + c,
        Basis.CASH_FLOW: p * q - c if sells else -(p * q + c),
        Basis.GROSS: p * q,
        Basis.REALIZED: (p - o) * q * (1 if sells else -1) - c,
        Basis.MARK_TO_MARKET: (m - p) * q * (-1 if sells else 1) - c,
    }
    assert formulas.keys() == FORMULAS.keys() == {*Basis} - {Basis.EXPRESSION}
    operands = Operands(price, quantity, "SELL" if sells else "1", cost, open_price, mark)
    for basis, formula in formulas.items():
        amount = expected(parse(FORMULAS[basis]), operands)
        assert isinstance(amount, D)
        assert Fraction(amount) == formula


@pytest.mark.parametrize("basis", FORMULAS)
def test_a_basis_names_the_operand_that_is_absent_and_needs_no_other(basis: Basis) -> None:
    whole = Operands(D(1), D(1), "BUY", D(1), D(1), D(1))
    expression = parse(FORMULAS[basis])
    for name in Operands._fields:
        found = expected(expression, whole._replace(**{name: None}))
        if name in map(field_of, expression.names):
            assert found == f"{name} is absent"
        else:
            assert isinstance(found, D)


def test_a_side_that_is_neither_a_purchase_nor_a_sale() -> None:
    found = expected(parse(FORMULAS[Basis.CASH_FLOW]), Operands(D(1), D(1), "CROSS", D(1), None, None))
    assert found == "side 'CROSS' is neither a purchase nor a sale"


def test_price_and_quantity_may_be_the_brokers() -> None:
    by_broker = rule(price_source=OperandSource.CONFIRMATION)
    assert by_broker.check(ours(), theirs(price="200"), booked("19999.5")).outcome is Outcome.PASS
    both = rule(price_source=OperandSource.CONFIRMATION, quantity_source=OperandSource.CONFIRMATION)
    assert both.check(ours(), theirs(price="2", quantity="3"), booked("5.5")).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("price", "impact", "outcome", "difference", "shown"),
    [
        ("190.50", "19049.50", Outcome.PASS, "0", ""),
        ("190.51", "19049.50", Outcome.FAIL, "1.00", "confirmation"),
        ("190.51", "19050.50", Outcome.FAIL, "1.00", "execution"),
        ("190.51", "19050.20", Outcome.FAIL, "0.70", "execution"),
        ("190.51", "19049.70", Outcome.FAIL, "0.80", "confirmation"),
        ("190.5001", "19049.50", Outcome.WITHIN_TOLERANCE, "0.01", "confirmation"),
        (None, "19049.50", Outcome.NOT_CHECKED, None, "confirmation"),
        (None, "1", Outcome.FAIL, "19048.50", "execution"),
    ],
)
def test_both_sides_amounts_must_lead_to_the_snapshot_and_the_worse_of_them_is_shown(
    price: str | None, impact: str, outcome: Outcome, difference: str | None, shown: str
) -> None:
    both = rule(price_source=OperandSource.BOTH, quantity_source=OperandSource.BOTH)
    confirmation = replace(theirs(), price=None if price is None else D(price))
    check = both.check(ours(), confirmation, booked(impact))
    assert (check.outcome, check.difference) == (outcome, None if difference is None else D(difference))
    assert check.note.partition(", by the ")[2] == shown


def test_both_prices_with_one_sides_quantity() -> None:
    mixed = rule(price_source=OperandSource.BOTH, quantity_source=OperandSource.CONFIRMATION)
    pairs = mixed.leg_pairs(ours(), theirs())
    assert [(price.source, quantity.source) for price, quantity in pairs] == [
        (Source.EXECUTIONS, Source.CONFIRMATIONS),
        (Source.CONFIRMATIONS, Source.CONFIRMATIONS),
    ]
    assert mixed.operands >= {(Source.EXECUTIONS, "price"), (Source.CONFIRMATIONS, "price")}
    assert (Source.EXECUTIONS, "quantity") not in mixed.operands


def test_an_expression_is_a_basis() -> None:
    by_hand = rule(basis=Basis.EXPRESSION, expression="sign * price * quantity / 100 - commission - 1.25")
    check = by_hand.check(ours(side="BUY"), theirs(), booked("-192.25"))
    assert (check.outcome, check.execution, check.note) == (
        Outcome.PASS,
        D("-192.2500"),
        "expression: sign * price * quantity / 100 - commission - 1.25",
    )
    assert (Source.EXECUTIONS, "side") in by_hand.operands
    assert by_hand.check(ours(), theirs(), booked("-192.25")).note == "side is absent"


def test_an_expression_reads_what_it_names_and_nothing_else() -> None:
    flat = rule(basis=Basis.EXPRESSION, expression="mark_price", multiplier_field=Multiplier.CONTRACT_MULTIPLIER)
    assert flat.operands == {
        (Source.EXECUTIONS, "currency"),
        *((Source.PNL, field) for field in ("pnl_impact", "currency", "mark_price")),
    }
    snapshot = replace(booked("7", commission=None), mark_price=D(7))
    assert flat.check(ours(price=None, quantity=None), theirs(), snapshot).outcome is Outcome.PASS
    incomplete = replace(flat, incomplete=Incomplete.BREAK).check(ours(), theirs(), booked("7"))
    assert (incomplete.outcome, incomplete.note) == (Outcome.FAIL, "mark_price is absent")


def test_a_multiplier_multiplies_the_quantity() -> None:
    contracts = rule(multiplier_field=Multiplier.CONTRACT_MULTIPLIER)
    check = contracts.check(ours(contract_multiplier=D(50)), theirs(), booked("952499.50"))
    assert (check.outcome, check.execution) == (Outcome.PASS, D("952499.50"))


def test_a_multiplier_that_was_not_sent_proves_nothing() -> None:
    check = rule(multiplier_field=Multiplier.CONTRACT_MULTIPLIER).check(ours(), theirs(), booked())
    assert (check.outcome, check.note) == (Outcome.NOT_CHECKED, "contract_multiplier is absent")


def test_a_commission_may_be_negative_where_it_was_paid() -> None:
    ledger = rule(commission_sign=CommissionSign.CASH_FLOW)
    assert ledger.check(ours(), theirs(), booked(commission="-0.50")).outcome is Outcome.PASS
    assert rule().check(ours(), theirs(), booked(commission="-0.50")).outcome is Outcome.FAIL


@pytest.mark.parametrize("snapshot", [booked(None), booked(commission=None)])
def test_an_incomplete_snapshot_is_a_break_where_the_rules_say_so(snapshot: Any) -> None:
    check = rule(incomplete=Incomplete.BREAK).check(ours(), theirs(), snapshot)
    assert (check.outcome, check.reason) == (Outcome.FAIL, Reason.FIELD_MISSING)
    assert rule().check(ours(), theirs(), snapshot).outcome is Outcome.NOT_CHECKED


def test_no_snapshot_is_never_incomplete() -> None:
    assert rule(incomplete=Incomplete.BREAK).check(ours(), theirs(), None).outcome is Outcome.NOT_CHECKED


def test_another_currency_is_never_incomplete() -> None:
    check = rule(incomplete=Incomplete.BREAK).check(ours(currency="USD"), theirs(), booked(currency="JPY"))
    assert check.outcome is Outcome.NOT_CHECKED


def test_a_multiplier_without_a_quantity_proves_nothing() -> None:
    cancelled = replace(ours(contract_multiplier=D(50)), quantity=None)
    check = rule(multiplier_field=Multiplier.CONTRACT_MULTIPLIER).check(cancelled, theirs(), booked())
    assert (check.outcome, check.note) == (Outcome.NOT_CHECKED, "quantity is absent")


def test_what_a_side_lacks_makes_no_snapshot_incomplete() -> None:
    check = rule(basis=Basis.CASH_FLOW, incomplete=Incomplete.BREAK).check(ours(), theirs(), booked())
    assert (check.outcome, check.note) == (Outcome.NOT_CHECKED, "side is absent")
