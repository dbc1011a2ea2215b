"""The checks: two legs and a snapshot in, one outcome per rule out, with operands, difference and tolerance.

Pure: no clock, no I/O. A rule is a value; ``FOUNDING`` is the set the product starts with.
"""

from traderecon.rules.attributes import Attribute, AttributeName, Commission
from traderecon.rules.bases import Basis, net_consideration
from traderecon.rules.drift import DriftProfile, Precision, Timestamp
from traderecon.rules.overrides import LEG_FIELDS, SELECTORS, Override
from traderecon.rules.pnl import CommissionSign, Incomplete, Multiplier, OperandSource, Pnl, Side, currencies_differ
from traderecon.rules.rules import FOUNDING, AttributeRule, Rule, Rules, bound_of
from traderecon.rules.terms import Price, Quantity, Ticker
from traderecon.rules.tolerance import NOTHING, Absolute, Band, Base, Bound, Capped, Relative, Tolerance

__all__ = [
    "FOUNDING",
    "LEG_FIELDS",
    "NOTHING",
    "SELECTORS",
    "Absolute",
    "Attribute",
    "AttributeName",
    "AttributeRule",
    "Band",
    "Base",
    "Basis",
    "Bound",
    "Capped",
    "Commission",
    "CommissionSign",
    "DriftProfile",
    "Incomplete",
    "Multiplier",
    "OperandSource",
    "Override",
    "Pnl",
    "Precision",
    "Price",
    "Quantity",
    "Relative",
    "Rule",
    "Rules",
    "Side",
    "Ticker",
    "Timestamp",
    "Tolerance",
    "bound_of",
    "currencies_differ",
    "net_consideration",
]
