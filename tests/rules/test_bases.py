"""The bases of the pnl check. Source: DOMAIN.md 4.2."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import booked, ours, theirs

from traderecon.records import Outcome, Reason
from traderecon.rules import Absolute, Basis, CommissionSign, Incomplete, Multiplier, OperandSource, Pnl
from traderecon.rules.bases import Operands, expected, operand_names

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
    assert formulas.keys() == set(Basis)
    operands = Operands(price, quantity, "SELL" if sells else "1", cost, open_price, mark)
    for basis, formula in formulas.items():
        amount = expected(basis, operands)
        assert isinstance(amount, D)
        assert Fraction(amount) == formula


@pytest.mark.parametrize("basis", Basis)
def test_a_basis_names_the_operand_that_is_absent_and_needs_no_other(basis: Basis) -> None:
    whole = Operands(D(1), D(1), "BUY", D(1), D(1), D(1))
    for name in ("side", "commission", "open_price", "mark_price"):
        found = expected(basis, whole._replace(**{name: None}))
        if name in operand_names(basis):
            assert found == f"{name} is absent"
        else:
            assert isinstance(found, D)


def test_a_side_that_is_neither_a_purchase_nor_a_sale() -> None:
    found = expected(Basis.CASH_FLOW, Operands(D(1), D(1), "CROSS", D(1), None, None))
    assert found == "side 'CROSS' is neither a purchase nor a sale"


def test_price_and_quantity_may_be_the_brokers() -> None:
    by_broker = rule(price_source=OperandSource.CONFIRMATION)
    assert by_broker.check(ours(), theirs(price="200"), booked("19999.5")).outcome is Outcome.PASS
    both = rule(price_source=OperandSource.CONFIRMATION, quantity_source=OperandSource.CONFIRMATION)
    assert both.check(ours(), theirs(price="2", quantity="3"), booked("5.5")).outcome is Outcome.PASS


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
    cancelled = ours(quantity=None, contract_multiplier=D(50))
    check = rule(multiplier_field=Multiplier.CONTRACT_MULTIPLIER).check(cancelled, theirs(), booked())
    assert (check.outcome, check.note) == (Outcome.NOT_CHECKED, "price or quantity is absent")


def test_what_a_side_lacks_makes_no_snapshot_incomplete() -> None:
    check = rule(basis=Basis.CASH_FLOW, incomplete=Incomplete.BREAK).check(ours(), theirs(), booked())
    assert (check.outcome, check.note) == (Outcome.NOT_CHECKED, "side is absent")
