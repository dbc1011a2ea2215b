"""Overrides: tolerances for some trades only, by ticker, asset class, broker or account, or from a moment on.

    (Override, ...)  ->  Selection  ->  the override of each check for one trade: the most specific that is in effect

A ticker is more specific than an asset class, that than a broker, and that than an account; of sets with the same
first field the longer one wins. Of overrides with the same selectors, the one that took effect last before the trade's
own time applies.
Source: DOMAIN.md, B22, B23, F31.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from traderecon.records.instants import iso
from traderecon.rules.attributes import Commission
from traderecon.rules.drift import Timestamp
from traderecon.rules.pnl import Pnl
from traderecon.rules.terms import Price, Quantity

TolerantRule = Quantity | Price | Timestamp | Pnl | Commission
"""The rules with a tolerance."""

LEG_FIELDS = {"ticker": "ticker", "asset_class": "ticker", "broker": "broker", "account": "account"}
"""The selectors, the most specific first, and the field of a leg that each depends on."""
SELECTORS = tuple(LEG_FIELDS)


class Override(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rules in place of those of the same name, for the trades whose fields have these values (None: any).

    ``effective_from_ns``: only for trades that happened at that moment or later.
    """

    checks: tuple[TolerantRule, ...]
    ticker: str | None = None
    asset_class: str | None = None
    broker: str | None = None
    account: str | None = None
    effective_from_ns: int | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it selects on, the most specific first."""
        return tuple([field for field in SELECTORS if getattr(self, field) is not None])

    @property
    def values(self) -> tuple[str, ...]:
        """The values of these fields."""
        return tuple([getattr(self, field) for field in self.fields])

    @property
    def specificity(self) -> tuple[int, int]:
        """The smaller, the more specific: the place of the first field among the selectors, and how many there are."""
        fields = self.fields
        return (SELECTORS.index(fields[0]) if fields else len(SELECTORS), -len(fields))

    def describe(self) -> str:
        """What it is for, in words.

        >>> Override(checks=(), ticker="BRK.B", effective_from_ns=1_753_531_200_000_000_000).describe()
        'ticker BRK.B, from 2025-07-26T12:00:00Z'
        """
        words = [
            f"{field.replace('_', ' ')} {value}" for field, value in zip(self.fields, self.values, strict=True)
        ] or ["every trade"]
        if self.effective_from_ns is not None:
            words.append(f"from {iso(self.effective_from_ns)}")
        return ", ".join(words)

    def in_effect(self, event_time_ns: int | None) -> bool:
        """Whether it applies to a trade of that time; one with a beginning never applies to a trade without a time."""
        if self.effective_from_ns is None:
            return True
        return event_time_ns is not None and event_time_ns >= self.effective_from_ns

    def rivals(self, other: "Override", *, same: bool) -> bool:
        """Whether neither of two equally specific overrides wins where both match; ``same``: on the same fields."""
        if same:
            return self.effective_from_ns == other.effective_from_ns and self.values == other.values
        common = set(self.fields) & set(other.fields)
        return all(getattr(self, field) == getattr(other, field) for field in common) and any(
            rule.name == theirs.name for rule in self.checks for theirs in other.checks
        )


def ambiguous(overrides: Sequence[Override]) -> Iterator[tuple[int, int]]:
    """Each pair of overrides (by index) that are equally specific and can both match, so that neither would win.

    With the same selectors, the one that takes effect later wins; with others, they must not set the same check.
    """
    shapes = [(override.fields, override.specificity) for override in overrides]
    for second, (fields, specificity) in enumerate(shapes):
        for first, shape in enumerate(shapes[:second]):
            if shape[1] == specificity and overrides[first].rivals(overrides[second], same=shape[0] == fields):
                yield first, second


class Selection:
    """Finds the overrides of a trade: a few look-ups, however many overrides there are."""

    def __init__(self, overrides: Sequence[Override]) -> None:
        by_check: dict[str, dict[tuple[str, ...], dict[tuple[str, ...], list[Override]]]] = {}
        for override in sorted(overrides, key=_precedence):
            for rule in override.checks:
                tables = by_check.setdefault(rule.name, {})
                tables.setdefault(override.fields, {}).setdefault(override.values, []).append(override)
        self._by_check = by_check

    def find(self, values: Mapping[str, str], event_time_ns: int | None) -> dict[str, Override]:
        """The override of each check that has one, for a trade with these values of selectors at that time.

        A value that is not known is left out; a time that is not known is None.
        """
        found: dict[str, Override] = {}
        for name, tables in self._by_check.items():
            for fields, table in tables.items():
                candidates = table.get(tuple([values.get(field, "") for field in fields]), ())
                override = next((override for override in candidates if override.in_effect(event_time_ns)), None)
                if override is not None:
                    found[name] = override
                    break
        return found


def _precedence(override: Override) -> tuple[tuple[int, int], bool, int]:
    """The most specific first; of equally specific ones the latest."""
    effective_from_ns = override.effective_from_ns
    return override.specificity, effective_from_ns is None, -(effective_from_ns or 0)
