"""Rules: which checks run, their tolerances, and how long a trade with one side waits for the other side."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

import msgspec

from traderecon.records import Confirmation, Execution, RulesStamp, Source
from traderecon.records.business_time import Calendar
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.records.match_keys import KeyField
from traderecon.records.words import Word
from traderecon.rules.asset_classes import AssetClass, AssetClasses
from traderecon.rules.attributes import Attribute, AttributeName, Commission
from traderecon.rules.drift import Timestamp
from traderecon.rules.overrides import LEG_FIELDS, Override, Selection
from traderecon.rules.pnl import Pnl
from traderecon.rules.severity import SeverityRow
from traderecon.rules.terms import Price, Quantity, Ticker
from traderecon.rules.tolerance import Absolute, Bound

AttributeRule = Attribute | Commission
Rule = Ticker | Quantity | Price | Timestamp | Pnl | AttributeRule


def bound_of(rule: Rule) -> Bound | None:
    """Whether a difference of exactly the limit agrees; None if no tolerance applies."""
    if isinstance(rule, Ticker | Attribute):
        return None
    return rule.bound if isinstance(rule, Timestamp) else rule.tolerance.bound


_encode = msgspec.json.Encoder(order="sorted").encode


class GroupField(Word):
    """The field whose value legs are added up by: an order with its fills, or a block with its allocations."""

    ORDER_ID = "order_id"
    BLOCK_ID = "block_id"


TRADE_ID = "trade_id"
"""Every match key has it."""


class SourceGrace(msgspec.Struct, frozen=True):
    """How long a trade waits for one source, where that differs from the grace of the others."""

    source: Source
    grace_ns: int


class SourceSchedule(msgspec.Struct, frozen=True):
    """When a source should speak: ``matching.silence``."""

    source: Source
    calendar: Calendar


class Rules(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A named set of checks, run in this order; the grace; whether a trade waits for its pnl snapshot; severities.

    ``last_wins``: of legs of one version that contradict each other the last counts, in place of a DUPLICATE_CONFLICT.

    ``overrides``: other tolerances for some trades, or from a moment on; ``source_graces``: another grace for a source;
    ``source_schedules``: when a source should speak; unset if there are none.

    ``asset_classes``: the classes of tickers that overrides may be for; unset if there are none.

    ``group_by``: legs lie under the value of this field and are compared as its sum; unset: each trade by itself.

    ``match_key``: the fields that make trades of one trade_id different ones (``records.match_keys``), as in the file
    but for the trade_id; unset: a trade_id names one trade.

    ``calendar``: the time in which breaks age, and the cut-off; unset: all of the time, and none.

    ``checks`` run on every pair. ``attributes`` run where a side sent the field; one that ``must_be_present`` is among
    the ``checks``.
    """

    name: str
    checks: tuple[Rule, ...]
    attributes: tuple[AttributeRule, ...] = ()
    grace_ns: int = 60 * NS_PER_S
    pnl_required: bool = False
    severity: tuple[SeverityRow, ...] = ()
    last_wins: bool = False
    overrides: tuple[Override, ...] | msgspec.UnsetType = msgspec.UNSET
    asset_classes: tuple[AssetClass, ...] | msgspec.UnsetType = msgspec.UNSET
    source_graces: tuple[SourceGrace, ...] | msgspec.UnsetType = msgspec.UNSET
    source_schedules: tuple[SourceSchedule, ...] | msgspec.UnsetType = msgspec.UNSET
    group_by: GroupField | msgspec.UnsetType = msgspec.UNSET
    match_key: tuple[KeyField, ...] | msgspec.UnsetType = msgspec.UNSET
    calendar: Calendar | msgspec.UnsetType = msgspec.UNSET

    def stamp(self) -> RulesStamp:
        """The name, and the sha256 of the rules as canonical JSON."""
        return self._stamp

    @cached_property
    def _stamp(self) -> RulesStamp:
        return RulesStamp(self.name, hashlib.sha256(_encode(self)).hexdigest())

    def grace_for(self, source: Source) -> int:
        """How long a trade waits for what this source has not sent, in nanoseconds."""
        return next((it.grace_ns for it in self.source_graces or () if it.source is source), self.grace_ns)

    @property
    def longest_grace_ns(self) -> int:
        """The longest wait for any source, in nanoseconds."""
        return max(self.grace_for(source) for source in Source)

    @cached_property
    def selection(self) -> Selection:
        """The overrides, ready to be found."""
        return Selection(self.overrides or ())

    def selected_value(self, selector: str, leg: Execution | Confirmation) -> str | None:
        """The value of a selector in a leg: None if its field was not sent, blank for a ticker in no class."""
        value: str | None = getattr(leg, LEG_FIELDS[selector])
        return value if value is None or selector != "asset_class" else self._classes.of(value)

    @cached_property
    def _classes(self) -> AssetClasses:
        return AssetClasses(self.asset_classes or ())

    def overridden(self, found: Mapping[str, Override]) -> Self:
        """The rules of one trade: each check as its override has it, and no overrides."""
        changed: dict[str, Any] = {
            name: next(rule for rule in override.checks if rule.name == name) for name, override in found.items()
        }
        return msgspec.structs.replace(
            self,
            checks=tuple([changed.get(rule.name, rule) for rule in self.checks]),
            attributes=tuple([changed.get(rule.name, rule) for rule in self.attributes]),
            overrides=msgspec.UNSET,
        )

    @property
    def every(self) -> tuple[Rule, ...]:
        """The checks and the attributes."""
        return (*self.checks, *self.attributes)


FOUNDING = Rules(
    name="founding",
    checks=(
        Ticker(),
        Quantity(),
        Price(tolerance=Absolute(amount=Decimal("0.005"))),
        Timestamp(tolerance_ns=100 * NS_PER_MS),
        Pnl(tolerance=Absolute(amount=Decimal(1), bound=Bound.STRICT)),
    ),
    attributes=(
        Attribute(AttributeName.SIDE),
        Attribute(AttributeName.CURRENCY),
        Attribute(AttributeName.ACCOUNT),
        Attribute(AttributeName.COUNTERPARTY),
        Attribute(AttributeName.BROKER),
        Commission(),
        Attribute(AttributeName.TRADE_DATE),
        Attribute(AttributeName.SETTLEMENT_DATE),
    ),
)
"""The rules of the founding text, with the boundaries decided in DOMAIN.md, and the attributes that both sides sent.

An order_id is each side's own number, so only a rules file compares it.
"""
