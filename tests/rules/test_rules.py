"""The founding rules, and the stamp that identifies rules."""

import hashlib
import json
from decimal import Decimal

import msgspec
import pytest

from traderecon.records import RulesStamp, Severity
from traderecon.rules import (
    FOUNDING,
    NOTHING,
    Absolute,
    Attribute,
    AttributeName,
    Bound,
    Commission,
    Pnl,
    Precision,
    Price,
    Quantity,
    Rules,
    Ticker,
    Timestamp,
)
from traderecon.rules.content import content
from traderecon.rules.severity import SeverityRow

SAID = {
    "name": "founding",
    "grace_ns": 60_000_000_000,
    "pnl_required": False,
    "severity": [],
    "last_wins": False,
    "checks": [
        {"check": "ticker"},
        {"check": "quantity", "tolerance": {"kind": "absolute", "amount": "0", "bound": "inclusive"}},
        {"check": "price", "tolerance": {"kind": "absolute", "amount": "0.005", "bound": "inclusive"}},
        {"check": "timestamp", "tolerance_ns": 100_000_000, "bound": "inclusive", "precision": "exact"},
        {
            "check": "pnl",
            "tolerance": {"kind": "absolute", "amount": "1", "bound": "strict"},
            "basis": "net_consideration",
            "price_source": "execution",
            "quantity_source": "execution",
            "incomplete": "not_checked",
            "commission_sign": "cost_positive",
            "multiplier_field": None,
        },
    ],
    "attributes": [
        *(
            {"check": "attribute", "attribute": name, "must_be_present": False}
            for name in ("side", "currency", "account", "counterparty", "broker")
        ),
        {
            "check": "commission",
            "tolerance": {"kind": "absolute", "amount": "0", "bound": "inclusive"},
            "must_be_present": False,
        },
        *(
            {"check": "attribute", "attribute": name, "must_be_present": False}
            for name in ("trade_date", "settlement_date")
        ),
    ],
}


def test_the_founding_rules_are_what_the_founding_text_asks_for() -> None:
    asked_for = Rules(
        name="founding",
        checks=(
            Ticker(),
            Quantity(tolerance=NOTHING),
            Price(tolerance=Absolute(amount=Decimal("0.005"), bound=Bound.INCLUSIVE)),
            Timestamp(tolerance_ns=100_000_000, bound=Bound.INCLUSIVE, precision=Precision.EXACT),
            Pnl(tolerance=Absolute(amount=Decimal("1"), bound=Bound.STRICT)),
        ),
        attributes=(
            Attribute(AttributeName.SIDE),
            Attribute(AttributeName.CURRENCY),
            Attribute(AttributeName.ACCOUNT),
            Attribute(AttributeName.COUNTERPARTY),
            Attribute(AttributeName.BROKER),
            Commission(tolerance=NOTHING),
            Attribute(AttributeName.TRADE_DATE),
            Attribute(AttributeName.SETTLEMENT_DATE),
        ),
        grace_ns=60_000_000_000,
        pnl_required=False,
    )
    assert asked_for == FOUNDING


def test_the_stamp_is_the_hash_of_their_whole_content() -> None:
    canonical = json.dumps(SAID, sort_keys=True, separators=(",", ":")).encode()
    assert FOUNDING.stamp() == RulesStamp("founding", hashlib.sha256(canonical).hexdigest())


def test_other_rules_have_another_stamp() -> None:
    others = [
        FOUNDING,
        msgspec.structs.replace(FOUNDING, name="other"),
        msgspec.structs.replace(FOUNDING, grace_ns=1),
        msgspec.structs.replace(FOUNDING, pnl_required=True),
        msgspec.structs.replace(FOUNDING, last_wins=True),
        msgspec.structs.replace(FOUNDING, severity=(SeverityRow(Severity.LOW),)),
        msgspec.structs.replace(FOUNDING, checks=FOUNDING.checks[:-1]),
        msgspec.structs.replace(FOUNDING, checks=FOUNDING.checks[::-1]),
        msgspec.structs.replace(FOUNDING, checks=(Timestamp(tolerance_ns=100_000_000, bound=Bound.STRICT),)),
        msgspec.structs.replace(FOUNDING, checks=(Timestamp(tolerance_ns=100_000_000),)),
    ]
    assert len({rules.stamp().sha256 for rules in others}) == len(others)


def test_rules_are_decoded_as_they_were_encoded() -> None:
    assert msgspec.json.decode(json.dumps(SAID), type=Rules) == FOUNDING


@pytest.mark.parametrize("name", ["ticker", "quantity", "price", "timestamp", "pnl"])
def test_each_check_has_its_name(name: str) -> None:
    assert [rule.name for rule in FOUNDING.checks].count(name) == 1


def test_their_content_is_equal_to_itself_after_it_was_stored() -> None:
    """Matching compares the stored content with its own: a difference is a change of rules, and is published."""
    stored = msgspec.json.decode(msgspec.json.encode(content(FOUNDING)))
    assert stored == content(FOUNDING)
