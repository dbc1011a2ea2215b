"""Rules: which checks run, their tolerances, and how long a trade with one side waits for the other side."""

import hashlib
from decimal import Decimal

import msgspec

from traderecon.records import RulesStamp
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.rules.drift import Timestamp
from traderecon.rules.pnl import Pnl
from traderecon.rules.terms import Price, Quantity, Ticker
from traderecon.rules.tolerance import Absolute, Bound

Rule = Ticker | Quantity | Price | Timestamp | Pnl

_encode = msgspec.json.Encoder(order="sorted").encode


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of checks, run in this order; the grace; whether a trade waits for its pnl snapshot."""

    name: str
    checks: tuple[Rule, ...]
    grace_ns: int = 60 * NS_PER_S
    pnl_required: bool = False

    def stamp(self) -> RulesStamp:
        """The name, and the sha256 of the rules as canonical JSON."""
        return RulesStamp(self.name, hashlib.sha256(_encode(self)).hexdigest())


FOUNDING = Rules(
    name="founding",
    checks=(
        Ticker(),
        Quantity(),
        Price(tolerance=Absolute(amount=Decimal("0.005"))),
        Timestamp(tolerance_ns=100 * NS_PER_MS),
        Pnl(tolerance=Absolute(amount=Decimal(1), bound=Bound.STRICT)),
    ),
)
"""The rules of the founding text, with the boundaries decided in DOMAIN.md."""
