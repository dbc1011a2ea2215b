"""The tables of a rules file, name by name, as the file spells them. Every name has its unit in it where it needs one.

What stands beside a name is its default: that of the founding rules.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from traderecon.records.numbers import ZERO
from traderecon.records.words import Word
from traderecon.rules.asset_classes import AssetClass
from traderecon.rules.bases import Basis
from traderecon.rules.calendars import CalendarTable
from traderecon.rules.drift import DriftProfile, Precision
from traderecon.rules.pnl import CommissionSign, Incomplete, Multiplier, OperandSource
from traderecon.rules.rules import GroupField
from traderecon.rules.severity import SeverityRow
from traderecon.rules.tolerance import Base, Bound


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: a misspelt name is an error, never ignored."""


class ToleranceTable(Table, frozen=True):
    """One size: absolute; ticks of tick; percent or basis_points, perhaps at_most an amount; below with above."""

    absolute: Decimal | None = None
    percent: Decimal | None = None
    basis_points: Decimal | None = None
    at_most: Decimal | None = None
    ticks: Decimal | None = None
    tick: Decimal | None = None
    below: Decimal | None = None
    above: Decimal | None = None
    base: Base = Base.EXECUTION
    bound: Bound = Bound.INCLUSIVE


class AmountTable(Table, frozen=True):
    """The quantity or price check."""

    tolerance: ToleranceTable


class PnlTable(Table, frozen=True):
    """The pnl check."""

    tolerance: ToleranceTable = ToleranceTable(absolute=Decimal(1), bound=Bound.STRICT)
    basis: Basis = Basis.NET_CONSIDERATION
    price_source: OperandSource = OperandSource.EXECUTION
    quantity_source: OperandSource = OperandSource.EXECUTION
    incomplete: Incomplete = Incomplete.NOT_CHECKED
    commission_sign: CommissionSign = CommissionSign.COST_POSITIVE
    multiplier_field: Multiplier | None = None
    expression: str | None = None


class TimestampTable(Table, frozen=True):
    """The timestamp check: a tolerance in milliseconds, 100 by default, or that of a regulation."""

    tolerance_ms: Decimal | None = None
    profile: DriftProfile | None = None
    bound: Bound = Bound.INCLUSIVE
    precision: Precision = Precision.EXACT


class AttributeTable(Table, frozen=True):
    """The check of an attribute."""

    must_be_present: bool = False


class CommissionTable(AttributeTable, frozen=True):
    """The commission check."""

    tolerance: ToleranceTable = ToleranceTable(absolute=ZERO)


class ConflictPolicy(Word):
    """What legs of one version mean that contradict each other."""

    FLAG = "flag"
    """A break: nobody can tell which of them is meant."""
    LAST_WINS = "last_wins"
    """The last one counts, as if it were a correction."""


class ChecksTable(Table, frozen=True):
    """Every check: false is off, true is as in the founding rules, a table changes it."""

    ticker: bool = True
    quantity: bool | AmountTable = True
    price: bool | AmountTable = True
    timestamp: bool | TimestampTable = True
    pnl: bool | PnlTable = True
    side: bool | AttributeTable = True
    currency: bool | AttributeTable = True
    account: bool | AttributeTable = True
    counterparty: bool | AttributeTable = True
    broker: bool | AttributeTable = True
    commission: bool | CommissionTable = True
    trade_date: bool | AttributeTable = True
    settlement_date: bool | AttributeTable = True
    order_id: bool | AttributeTable = False


class OverriddenChecksTable(Table, frozen=True):
    """The checks of an override; whatever a table leaves out is as under ``[checks]``."""

    quantity: AmountTable | None = None
    price: AmountTable | None = None
    timestamp: TimestampTable | None = None
    pnl: PnlTable | None = None
    commission: AmountTable | None = None


class OverrideTable(Table, frozen=True):
    """The trades that an override is for, and its checks."""

    ticker: str | None = None
    asset_class: str | None = None
    broker: str | None = None
    account: str | None = None
    effective_from: datetime | None = None
    checks: OverriddenChecksTable = OverriddenChecksTable()


class FileTable(Table, frozen=True):
    """The whole file."""

    name: str
    checks: ChecksTable = ChecksTable()
    grace_seconds: Decimal = Decimal(60)
    pnl_required: bool = False
    group_by: GroupField | None = None
    match_key: tuple[str, ...] | None = None
    calendar: CalendarTable | None = None
    severity: tuple[SeverityRow, ...] = ()
    conflict_policy: ConflictPolicy = ConflictPolicy.FLAG
    sources: dict[str, Any] = {}  # how sources write their records: read by ``sourcebook``, no part of the rules
    asset_class: tuple[AssetClass, ...] = ()
    override: tuple[OverrideTable, ...] = ()
