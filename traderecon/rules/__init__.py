"""The checks: two legs and a snapshot in, one outcome per rule out, with operands, difference and tolerance.

Pure: no clock, no I/O. A rule is a value; ``FOUNDING`` is the set the product starts with.
"""

from traderecon.rules.drift import Precision, Timestamp
from traderecon.rules.pnl import BASIS, Pnl, currencies_differ, net_consideration
from traderecon.rules.rules import FOUNDING, Rule, Rules
from traderecon.rules.terms import Price, Quantity, Ticker
from traderecon.rules.tolerance import NOTHING, Absolute, Band, Base, Bound, Relative, Tolerance

__all__ = [
    "BASIS",
    "FOUNDING",
    "NOTHING",
    "Absolute",
    "Band",
    "Base",
    "Bound",
    "Pnl",
    "Precision",
    "Price",
    "Quantity",
    "Relative",
    "Rule",
    "Rules",
    "Ticker",
    "Timestamp",
    "Tolerance",
    "currencies_differ",
    "net_consideration",
]
