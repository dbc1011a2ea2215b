"""The checks on ticker, quantity and price: which fields they read, and every field of their result."""

from decimal import Decimal
from typing import Any

import pytest
from legs import booked, ours, theirs
from msgspec.structs import replace

from traderecon.records import Check, Outcome, Reason, Source
from traderecon.rules import Absolute, Price, Quantity, Ticker, Timestamp

D = Decimal
CENT = Absolute(amount=D("0.005"))


def both(field: str) -> frozenset[tuple[Source, str]]:
    return frozenset({(Source.EXECUTIONS, field), (Source.CONFIRMATIONS, field)})


class TestTicker:
    def test_the_same_text_passes(self) -> None:
        check = Ticker().check(ours(), theirs(), booked())
        assert check == Check("ticker", Reason.TICKER_MISMATCH, Outcome.PASS, "AAPL", "AAPL", None, None, "")

    @pytest.mark.parametrize("ticker", ["MSFT", "aapl", "AAPL.", "\uff21\uff21\uff30\uff2c", "\u0410APL"])
    def test_any_other_text_fails(self, ticker: str) -> None:
        check = Ticker().check(ours(), theirs(ticker=ticker), None)
        assert check == Check("ticker", Reason.TICKER_MISMATCH, Outcome.FAIL, "AAPL", ticker, None, None, "")

    def test_the_operands_it_reads(self) -> None:
        assert Ticker().operands == both("ticker")


class TestQuantity:
    def test_equal_by_value(self) -> None:
        check = Quantity().check(ours(), theirs(quantity="1E2"), None)
        assert check == Check("quantity", Reason.QUANTITY_MISMATCH, Outcome.PASS, D(100), D("1E2"), D(0), D(0), "")

    def test_the_smallest_difference_fails(self) -> None:
        check = Quantity().check(ours(), theirs(quantity="99.999999999999999999"), None)
        assert check == Check(
            "quantity", Reason.QUANTITY_MISMATCH, Outcome.FAIL, D(100), D("99.999999999999999999"), D("1E-18"), D(0), ""
        )

    def test_a_tolerance_if_there_is_one(self) -> None:
        check = Quantity(tolerance=Absolute(amount=D(1))).check(ours(), theirs(quantity="101"), None)
        assert check == Check(
            "quantity", Reason.QUANTITY_MISMATCH, Outcome.WITHIN_TOLERANCE, D(100), D(101), D(1), D(1), ""
        )

    def test_the_operands_it_reads(self) -> None:
        assert Quantity().operands == both("quantity")


class TestPrice:
    def test_within_tolerance(self) -> None:
        check = Price(tolerance=CENT).check(ours(), theirs(price="190.505"), None)
        assert check == Check(
            "price",
            Reason.PRICE_MISMATCH,
            Outcome.WITHIN_TOLERANCE,
            D("190.50"),
            D("190.505"),
            D("0.005"),
            D("0.005"),
            "",
        )

    def test_outside(self) -> None:
        check = Price(tolerance=CENT).check(ours(price="190.506"), theirs(), None)
        assert check == Check(
            "price", Reason.PRICE_MISMATCH, Outcome.FAIL, D("190.506"), D("190.50"), D("0.006"), D("0.005"), ""
        )

    def test_the_operands_it_reads(self) -> None:
        assert Price(tolerance=CENT).operands == both("price")


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Ticker(), "ticker"),
        (Quantity(), "quantity"),
        (Price(tolerance=CENT), "price"),
        (Timestamp(tolerance_ns=1), "timestamp_ns"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_term_that_is_absent_is_not_proven(rule: Ticker | Quantity | Price | Timestamp, field: str) -> None:
    lacking: dict[str, Any] = {field: None}
    for legs in ((replace(ours(), **lacking), theirs()), (ours(), replace(theirs(), **lacking))):
        check = rule.check(*legs, None)
        operands = tuple(getattr(leg, field) for leg in legs)
        assert (check.outcome, check.execution, check.confirmation) == (Outcome.FAIL, *operands)
        assert (check.difference, check.note) == (None, f"{rule.name} is absent")
