"""pnl_impact against the net consideration of the execution. Source: DOMAIN.md 4 and 5.2, PnL."""

from decimal import Decimal

import pytest
from legs import booked, ours, theirs
from msgspec.structs import replace

from traderecon.records import Check, Outcome, PnlSnapshot, Reason, Source
from traderecon.rules import (
    Absolute,
    Basis,
    Bound,
    Incomplete,
    OperandSource,
    Pnl,
    Side,
    currencies_differ,
    net_consideration,
)

D = Decimal
OURS, THEIRS, PNL = Source.EXECUTIONS, Source.CONFIRMATIONS, Source.PNL
RULE = Pnl(tolerance=Absolute(amount=D("1.0"), bound=Bound.STRICT))


def not_checked(note: str) -> Check:
    return Check("pnl", Reason.PNL_INCONSISTENT, Outcome.NOT_CHECKED, None, None, None, None, note)


def test_the_formula_is_price_times_quantity_less_commission() -> None:
    assert net_consideration(D("190.50"), D(100), D("0.5")) == D("19049.50")
    assert net_consideration(D("190.50"), D(100), D("-0.20")) == D("19050.20")
    assert net_consideration(D("-37.63"), D(10), D(0)) == D("-376.30")
    most = D("9" * 18 + "." + "9" * 18)
    assert str(net_consideration(most, most, D("1E-18"))) == "9" * 35 + "7." + "9" * 18 + "0" * 17 + "1"


def test_the_formula_has_its_name_in_the_note() -> None:
    assert RULE.basis is Basis.NET_CONSIDERATION
    assert RULE.check(ours(), theirs(), booked()) == Check(
        "pnl", Reason.PNL_INCONSISTENT, Outcome.PASS, D("19049.5"), D("19049.50"), D(0), D("1.0"), "net_consideration"
    )


def test_a_failure_has_the_expected_amount() -> None:
    assert RULE.check(ours(), theirs(), booked("95.00")) == Check(
        "pnl",
        Reason.PNL_INCONSISTENT,
        Outcome.FAIL,
        D("19049.5"),
        D("95.00"),
        D("18954.50"),
        D("1.0"),
        "net_consideration",
    )


@pytest.mark.parametrize(
    ("price", "quantity", "commission", "impact", "outcome"),
    [
        ("190.50", "100", "0.5", "19050.49", "WITHIN_TOLERANCE"),
        ("190.50", "100", "0.5", "19050.50", "FAIL"),
        ("190.50", "100", "0.5", "19048.50", "FAIL"),
        ("190.50", "100", "0.5", "19048.500000000000000001", "WITHIN_TOLERANCE"),
        ("4.35", "100", "0", "434.00", "FAIL"),
        ("4.35", "100", "0", "436.00", "FAIL"),
        ("1.15", "100", "0", "114", "FAIL"),
        ("1500.20", "50", "2.00", "75000.00", "FAIL"),
        ("190.50", "100", "-0.20", "19050.20", "PASS"),
    ],
)
def test_the_strict_bound(price: str, quantity: str, commission: str, impact: str, outcome: str) -> None:
    check = RULE.check(ours(price=price, quantity=quantity), theirs(), booked(impact, commission))
    assert check.outcome == outcome


def test_only_the_execution_counts() -> None:
    snapshot = booked("60019", "1")
    execution, confirmation = ours(price="300.10", quantity="200"), theirs(price="300.05", quantity="200")
    assert RULE.check(execution, confirmation, snapshot).outcome is Outcome.PASS
    assert RULE.judge(confirmation, confirmation, booked("60009", "1")).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("snapshot", "note"),
    [
        (None, "no pnl snapshot"),
        (booked(None), "pnl_impact is absent"),
        (booked(commission=None), "commission is absent"),
        (booked(None, None), "pnl_impact is absent"),
    ],
)
def test_a_missing_operand_proves_nothing(snapshot: PnlSnapshot | None, note: str) -> None:
    assert RULE.check(ours(), theirs(), snapshot) == not_checked(note)


def test_across_currencies_nothing_is_checked() -> None:
    check = RULE.check(ours(currency="USD"), theirs(), booked(currency="JPY"))
    assert check == not_checked("JPY against USD, no rate")


@pytest.mark.parametrize(
    ("trade", "snapshot", "differs"),
    [("USD", "USD", False), ("USD", "JPY", True), (None, "JPY", False), ("USD", None, False), (None, None, False)],
)
def test_currencies_differ_only_if_both_are_named(trade: str | None, snapshot: str | None, differs: bool) -> None:
    execution, pnl = ours(currency=trade), booked(currency=snapshot)
    assert currencies_differ(execution, pnl) is differs
    assert (RULE.check(execution, theirs(), pnl).outcome is Outcome.NOT_CHECKED) is differs


def test_the_operands_it_reads() -> None:
    assert RULE.operands == {
        (Source.EXECUTIONS, "price"),
        (Source.EXECUTIONS, "quantity"),
        (Source.EXECUTIONS, "currency"),
        (Source.PNL, "pnl_impact"),
        (Source.PNL, "commission"),
        (Source.PNL, "currency"),
    }


def test_a_sided_basis_reads_the_side_of_the_leg_whose_price_it_computes_with() -> None:
    rule = replace(RULE, basis=Basis.REALIZED, price_source=OperandSource.CONFIRMATION)
    assert rule.operands == {
        *((THEIRS, field) for field in ("price", "currency", "side")),
        (OURS, "quantity"),
        *((PNL, field) for field in ("pnl_impact", "commission", "currency", "open_price")),
    }


@pytest.mark.parametrize(
    ("trade", "snapshot", "contested", "read"),
    [
        (None, booked(currency="USD"), {(OURS, "currency")}, {(OURS, "currency")}),
        ("USD", booked(), {(PNL, "currency")}, {(PNL, "currency")}),
        (None, booked(), {(OURS, "currency"), (PNL, "currency")}, {(OURS, "currency"), (PNL, "currency")}),
        (None, booked(), {(OURS, "currency")}, set()),  # the snapshot has none to compare with
        (None, booked(), {(PNL, "currency")}, set()),
        (None, None, {(OURS, "currency"), (OURS, "price")}, {(OURS, "price")}),
        ("USD", booked(currency="USD"), {(OURS, "quantity"), (THEIRS, "price")}, {(OURS, "quantity")}),
    ],
)
def test_of_contested_currencies_it_reads_those_that_both_have(
    trade: str | None,
    snapshot: PnlSnapshot | None,
    contested: set[tuple[Source, str]],
    read: set[tuple[Source, str]],
) -> None:
    execution = ours(currency=trade)
    assert RULE.contested_operands(execution, execution, snapshot, frozenset(contested)) == read


def test_an_incomplete_snapshot_that_breaks_names_what_it_lacks() -> None:
    check = replace(RULE, incomplete=Incomplete.BREAK).check(ours(), theirs(), booked(commission=None))
    assert check == Check("pnl", Reason.FIELD_MISSING, Outcome.FAIL, note="commission is absent")


def test_a_quantity_that_was_not_sent_proves_nothing() -> None:
    check = RULE.check(replace(ours(), quantity=None), theirs(), booked())
    assert check == not_checked("quantity is absent")


@pytest.mark.parametrize("basis", [Basis.CASH_FLOW, Basis.NET_CONSIDERATION_SIDED])
def test_any_other_basis_has_its_name_in_the_note(basis: Basis) -> None:
    check = replace(RULE, basis=basis).check(ours(side="SELL"), theirs(), booked())
    assert (check.outcome, check.note) == (Outcome.PASS, basis.value)


@pytest.mark.parametrize(
    ("leg", "impact", "fits"),
    [
        (ours(side="BUY"), "-19050.50", True),
        (ours(side="BUY"), "19049.50", False),
        (ours(side="SELL"), "19049.50", True),
        (ours(), "-19050.50", True),  # a purchase, if no side was sent
        (ours(), "19049.50", True),  # or a sale
        (ours(), "95", False),
    ],
)
def test_a_snapshot_fits_a_sided_basis_by_the_side_that_was_sent(leg: Side, impact: str, fits: bool) -> None:
    assert replace(RULE, basis=Basis.CASH_FLOW).fits(leg, leg, booked(impact)) is fits
