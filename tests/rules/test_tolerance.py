"""Limits, exactly, on both sides."""

from decimal import Decimal

import pytest

from traderecon.rules import NOTHING, Absolute, Band, Base, Bound, Capped, Relative, Tolerance

D = Decimal


@pytest.mark.parametrize(
    ("tolerance", "ours", "theirs", "limit"),
    [
        (Absolute(amount=D("0.005")), "1", "-100", "0.005"),
        (Relative(share=D("0.02"), base=Base.EXECUTION), "98", "100", "1.96"),
        (Relative(share=D("0.02"), base=Base.CONFIRMATION), "98", "100", "2.00"),
        (Relative(share=D("0.02"), base=Base.LARGER), "98", "100", "2.00"),
        (Relative(share=D("0.02"), base=Base.LARGER), "100", "98", "2.00"),
        (Relative(share=D("0.02"), base=Base.EXECUTION), "-98", "100", "1.96"),
        (Relative(share=D("0.02"), base=Base.CONFIRMATION), "98", "-100", "2.00"),
        (Relative(share=D("0.02"), base=Base.LARGER), "-100", "98", "2.00"),
        (Relative(share=D("0.0001"), base=Base.EXECUTION), "190.5", "190.51905", "0.01905"),
        (Relative(share=D("1E-18"), base=Base.LARGER), "123456789012345678", "0", "0.123456789012345678"),
        (Capped(share=D("0.02"), base=Base.CONFIRMATION, at_most=D("1.5")), "1", "-50", "1"),
        (Capped(share=D("0.02"), base=Base.CONFIRMATION, at_most=D("1.5")), "1", "75", "1.5"),
        (Capped(share=D("0.02"), base=Base.LARGER, at_most=D("1.5")), "-100", "98", "1.5"),
        (Band(below=D("0"), above=D("0.01")), "190.5", "190.51", "0.01"),
        (Band(below=D("0"), above=D("0.01")), "190.5", "190.49", "0"),
        (Band(below=D("0.02"), above=D("0.01")), "190.5", "190.5", "0.02"),
        (Band(below=D("0.02"), above=D("0.01")), "-190.5", "-190.49", "0.01"),
        (NOTHING, "5", "6", "0"),
    ],
)
def test_the_limit_is_exact(tolerance: Tolerance, ours: str, theirs: str, limit: str) -> None:
    assert tolerance.limit(D(ours), D(theirs)) == D(limit)


def test_bounds_are_inclusive_by_default() -> None:
    assert Absolute(amount=D(1)).bound is Bound.INCLUSIVE
    assert NOTHING.bound is Bound.INCLUSIVE


def test_names_in_a_rules_file() -> None:
    assert [str(bound) for bound in Bound] == ["inclusive", "strict"]
    assert [str(base) for base in Base] == ["execution", "confirmation", "larger"]
