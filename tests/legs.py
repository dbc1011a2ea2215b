"""Legs by hand: the base trade of DOMAIN.md 6.1, with whatever a test wants otherwise."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from traderecon.matching import Judgement, sides_of
from traderecon.records import (
    Assessment,
    Confirmation,
    Execution,
    Fact,
    Leg,
    Origin,
    PnlSnapshot,
    Verdict,
    identity,
)

SECOND_NS = 1_753_524_083_000_000_000
"""2025-07-26T10:01:23Z."""


def terms(**other: Any) -> dict[str, Any]:
    """The fields of E and C."""
    price, quantity = other.pop("price", "190.50"), other.pop("quantity", "100")
    if price is None or quantity is None:
        return {"trade_id": "T1", "ticker": None, "timestamp_ns": None, "granularity": 0, "price": None} | {
            "quantity": None,
            **other,
        }
    common = {"trade_id": "T1", "ticker": "AAPL", "timestamp_ns": SECOND_NS, "granularity": 3}
    return common | {"price": Decimal(price), "quantity": Decimal(quantity)} | other


def ours(**other: Any) -> Execution:
    """E."""
    return Execution(**terms(**other))


def theirs(**other: Any) -> Confirmation:
    """C."""
    return Confirmation(**terms(**other))


def booked(impact: str | None = "19049.50", commission: str | None = "0.50", **other: Any) -> PnlSnapshot:
    """P."""
    return PnlSnapshot("T1", _amount(impact), _amount(commission), **other)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def arrived(*legs: Leg, received_at_ns: int = 0) -> tuple[Fact, ...]:
    """The facts these legs are, all received at once."""
    return tuple(Fact(leg, Origin("t", 0, place, received_at_ns)) for place, leg in enumerate(legs))


def judgement_of(facts: Sequence[Fact], verdict: Verdict, assessment: Assessment | None = None) -> Judgement:
    """Facts with any verdict; of identical facts the last counts."""
    by_identity = {identity(fact.leg): fact for fact in facts}
    return Judgement([*by_identity.values()], [*by_identity], sides_of(facts), verdict, assessment)
