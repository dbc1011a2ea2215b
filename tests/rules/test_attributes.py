"""The checks on attributes, and every field of their result."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from legs import ours, theirs

from traderecon.records import Check, Outcome, Reason
from traderecon.rules import Absolute, Attribute, AttributeName, Commission

PASS, FAIL, WITHIN, NOT_CHECKED = Outcome.PASS, Outcome.FAIL, Outcome.WITHIN_TOLERANCE, Outcome.NOT_CHECKED
DAY, NEXT_DAY = date(2025, 7, 25), date(2025, 7, 26)
REASON = Reason.COMMISSION_MISMATCH


@pytest.mark.parametrize(
    ("name", "here", "there", "outcome"),
    [
        ("account", "A", "A", PASS),
        ("account", "A", "a", FAIL),
        ("side", "BUY", "b", PASS),
        ("side", "BUY", "SELL", FAIL),
        ("currency", "usd", "USD", PASS),
        ("currency", "GBp", "GBP", FAIL),
        ("trade_date", DAY, DAY, PASS),
        ("settlement_date", DAY, NEXT_DAY, FAIL),
    ],
)
def test_an_attribute_is_compared_in_its_standard_spelling_and_shown_as_it_was_sent(
    name: str, here: Any, there: Any, outcome: Outcome
) -> None:
    check = Attribute(AttributeName(name)).check(ours(**{name: here}), theirs(**{name: there}), None)
    assert check == Check(name, Reason(f"{name.upper()}_MISMATCH"), outcome, here, there)


@pytest.mark.parametrize(("here", "there"), [("A", None), (None, "B"), (None, None)])
@pytest.mark.parametrize(("must_be_present", "outcome"), [(False, NOT_CHECKED), (True, FAIL)])
def test_an_attribute_that_a_side_lacks_proves_nothing_unless_it_must_be_present(
    here: str | None, there: str | None, must_be_present: bool, outcome: Outcome
) -> None:
    rule = Attribute(AttributeName.BROKER, must_be_present=must_be_present)
    check = rule.check(ours(broker=here), theirs(broker=there), None)
    assert check == Check("broker", Reason.BROKER_MISMATCH, outcome, here, there, note="broker is absent")


@pytest.mark.parametrize(("here", "there"), [("1", None), (None, "2"), (None, None)])
@pytest.mark.parametrize(("must_be_present", "outcome"), [(False, NOT_CHECKED), (True, FAIL)])
def test_a_commission_that_a_side_lacks_is_not_zero(
    here: str | None, there: str | None, must_be_present: bool, outcome: Outcome
) -> None:
    sent = [None if text is None else Decimal(text) for text in (here, there)]
    rule = Commission(must_be_present=must_be_present)
    check = rule.check(ours(commission=sent[0]), theirs(commission=sent[1]), None)
    assert check == Check("commission", REASON, outcome, sent[0], sent[1], note="commission is absent")


@pytest.mark.parametrize(("tolerance", "outcome"), [("0", FAIL), ("0.24", FAIL), ("0.25", WITHIN), ("0.3", WITHIN)])
def test_commissions_agree_within_their_tolerance(tolerance: str, outcome: Outcome) -> None:
    here, there, limit = Decimal("1.5"), Decimal("1.25"), Decimal(tolerance)
    check = Commission(tolerance=Absolute(amount=limit)).check(ours(commission=here), theirs(commission=there), None)
    assert check == Check("commission", REASON, outcome, here, there, Decimal("0.25"), limit)
