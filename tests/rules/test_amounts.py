"""PASS, WITHIN_TOLERANCE, FAIL, and the other fields of a check."""

from decimal import Decimal

import pytest

from traderecon.records import Check, Outcome, Reason
from traderecon.rules import NOTHING, Absolute, Band, Bound
from traderecon.rules.amounts import compare

D = Decimal
CENT = Absolute(amount=D("0.005"))
STRICT_ONE = Absolute(amount=D("1.0"), bound=Bound.STRICT)


def test_equal_by_value_passes_with_a_difference_of_zero() -> None:
    check = compare("price", Reason.PRICE_MISMATCH, D("190.5"), D("190.50"), CENT, note="why")
    assert check == Check(
        "price", Reason.PRICE_MISMATCH, Outcome.PASS, D("190.5"), D("190.50"), D(0), D("0.005"), "why"
    )


def test_near_is_within_tolerance() -> None:
    check = compare("price", Reason.PRICE_MISMATCH, D("10.010"), D("10.015"), CENT)
    assert check == Check(
        "price", Reason.PRICE_MISMATCH, Outcome.WITHIN_TOLERANCE, D("10.010"), D("10.015"), D("0.005"), D("0.005"), ""
    )


def test_far_fails() -> None:
    check = compare("quantity", Reason.QUANTITY_MISMATCH, D("101"), D("100"), NOTHING)
    assert check == Check("quantity", Reason.QUANTITY_MISMATCH, Outcome.FAIL, D("101"), D("100"), D("1"), D("0"), "")


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [
        ("190.50", "190.505", "WITHIN_TOLERANCE"),
        ("190.50", "190.495", "WITHIN_TOLERANCE"),
        ("190.50", "190.504999999999999999", "WITHIN_TOLERANCE"),
        ("190.50", "190.505000000000000001", "FAIL"),
        ("190.50", "190.494999999999999999", "FAIL"),
        ("123456789012.340", "123456789012.345", "WITHIN_TOLERANCE"),
        ("-37.635", "-37.63", "WITHIN_TOLERANCE"),
        ("-37.63", "37.63", "FAIL"),
        ("-0.0025", "0.0025", "WITHIN_TOLERANCE"),
    ],
)
def test_an_inclusive_bound(ours: str, theirs: str, outcome: str) -> None:
    assert compare("price", Reason.PRICE_MISMATCH, D(ours), D(theirs), CENT).outcome == outcome
    assert compare("price", Reason.PRICE_MISMATCH, D(theirs), D(ours), CENT).outcome == outcome


@pytest.mark.parametrize(
    ("theirs", "outcome"),
    [
        ("435", "PASS"),
        ("434.000000000000000001", "WITHIN_TOLERANCE"),
        ("434", "FAIL"),
        ("436", "FAIL"),
        ("435.999999999999999999", "WITHIN_TOLERANCE"),
        ("433.999999999999999999", "FAIL"),
    ],
)
def test_a_strict_bound(theirs: str, outcome: str) -> None:
    assert compare("pnl", Reason.PNL_INCONSISTENT, D(435), D(theirs), STRICT_ONE).outcome == outcome


def test_equal_passes_even_where_a_strict_bound_allows_nothing() -> None:
    nothing = Absolute(amount=D(0), bound=Bound.STRICT)
    assert compare("price", Reason.PRICE_MISMATCH, D(1), D("1.0"), nothing).outcome is Outcome.PASS


def test_a_band_judges_by_the_side_where_the_confirmation_lies() -> None:
    band = Band(below=D("0"), above=D("0.01"))
    above = compare("price", Reason.PRICE_MISMATCH, D("190.50"), D("190.51"), band)
    below = compare("price", Reason.PRICE_MISMATCH, D("190.50"), D("190.49"), band)
    assert (above.outcome, above.tolerance) == (Outcome.WITHIN_TOLERANCE, D("0.01"))
    assert (below.outcome, below.tolerance) == (Outcome.FAIL, D("0"))


def test_differences_are_exact_over_all_digits() -> None:
    check = compare("price", Reason.PRICE_MISMATCH, D("9" * 18), D("1E-18"), CENT)
    assert check.difference == D("999999999999999998.999999999999999999")
