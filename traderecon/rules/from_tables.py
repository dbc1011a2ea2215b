"""Rules from the tables of a rules file: units become exact amounts and nanoseconds, and every value is looked at.

FileTable -> Reader.rules -> Rules         each wrong value is a Finding, and the reading goes on
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.records.numbers import EXACT, FRACTION_DIGITS, INTEGER_DIGITS, ZERO, canonical
from traderecon.rules.attributes import Attribute, AttributeName, Commission
from traderecon.rules.drift import Timestamp
from traderecon.rules.pnl import Pnl
from traderecon.rules.positions import Path
from traderecon.rules.rules import FOUNDING, AttributeRule, Rule, Rules
from traderecon.rules.severity import problem
from traderecon.rules.tables import (
    AmountTable,
    AttributeTable,
    ChecksTable,
    CommissionTable,
    ConflictPolicy,
    FileTable,
    PnlTable,
    TimestampTable,
    ToleranceTable,
)
from traderecon.rules.terms import Price, Quantity
from traderecon.rules.tolerance import NOTHING, Absolute, Band, Bound, Capped, Relative, Tolerance
from traderecon.rules.wording import Finding, spoken

_MAX_GRACE_S = 31_536_000
_ATTRIBUTES = (*FOUNDING.attributes, Attribute(AttributeName.ORDER_ID))
(_DRIFT,) = (rule for rule in FOUNDING.checks if isinstance(rule, Timestamp))
_PER_CENT, _PER_BASIS_POINT = Decimal("0.01"), Decimal("0.0001")
_SIZES = ("absolute", "ticks", "tick", "percent", "basis_points", "at_most", "below", "above")
_ONE_SIZE = "absolute, or ticks and tick, or percent or basis_points (and at_most), or below and above"


class Reader:
    """Makes rules of the tables; what is wrong with a value is added to the findings."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def rules(self, file: FileTable) -> Rules:
        """The rules of the file; of no use if there are findings."""
        checks = [rule for founding in FOUNDING.checks if (rule := self._rule(founding, file.checks)) is not None]
        attributes = [rule for every in _ATTRIBUTES if (rule := self._attribute(every, file.checks)) is not None]
        if not file.name.strip():
            self._refuse(("name",), "name is blank: results show it as the rules in force")
        if not checks:
            self._refuse(("checks",), "every check of a term is off: every pair without attributes would match")
        if file.pnl_required and not file.checks.pnl:
            text = (
                "pnl_required is true but the pnl check is off: trades would wait for a snapshot that is never checked"
            )
            self._refuse(("pnl_required",), text)
        grace_ns = self._whole_ns(file.grace_seconds, NS_PER_S, ("grace_seconds",))
        if grace_ns > _MAX_GRACE_S * NS_PER_S:
            text = f"grace_seconds is {file.grace_seconds}: write at most {_MAX_GRACE_S}, a year"
            self._refuse(("grace_seconds",), text)
        for index, row in enumerate(file.severity):
            if (found := problem(row)) is not None:
                self._refuse(("severity", index), f"row {index + 1} of severity: {found}")
        return Rules(
            name=file.name.strip(),
            checks=(*checks, *[rule for rule in attributes if rule.must_be_present]),
            attributes=tuple([rule for rule in attributes if not rule.must_be_present]),
            grace_ns=grace_ns,
            pnl_required=file.pnl_required,
            severity=file.severity,
            last_wins=file.conflict_policy is ConflictPolicy.LAST_WINS,
        )

    def _rule(self, founding: Rule, checks: ChecksTable) -> Rule | None:
        """The founding rule with the changes of the file; None if it is off."""
        table, path = getattr(checks, founding.name), ("checks", founding.name)
        if table is False:
            return None
        if isinstance(table, PnlTable):
            return Pnl(
                tolerance=self._tolerance(table.tolerance, path),
                basis=table.basis,
                price_source=table.price_source,
                quantity_source=table.quantity_source,
                incomplete=table.incomplete,
                commission_sign=table.commission_sign,
                multiplier_field=table.multiplier_field,
            )
        if isinstance(founding, Quantity | Price) and isinstance(table, AmountTable):
            return msgspec.structs.replace(founding, tolerance=self._tolerance(table.tolerance, path))
        if isinstance(table, TimestampTable):
            return self._timestamp(table, path)
        return founding

    def _timestamp(self, table: TimestampTable, path: Path) -> Timestamp:
        if table.profile is not None:
            if table.tolerance_ms is not None:
                text = f"{spoken(path)} has tolerance_ms and profile: write one of them"
                self._refuse((*path, "profile"), text)
            return Timestamp(table.profile.tolerance_ns, table.bound, table.precision, table.profile)
        if table.tolerance_ms is None:
            return msgspec.structs.replace(_DRIFT, bound=table.bound, precision=table.precision)
        tolerance_ns = self._whole_ns(table.tolerance_ms, NS_PER_MS, (*path, "tolerance_ms"))
        return Timestamp(tolerance_ns=tolerance_ns, bound=table.bound, precision=table.precision)

    def _attribute(self, every: AttributeRule, checks: ChecksTable) -> AttributeRule | None:
        """The check with the changes of the file; None if it is off."""
        table = getattr(checks, every.name)
        if table is False:
            return None
        if isinstance(table, CommissionTable):
            tolerance = self._tolerance(table.tolerance, ("checks", "commission"))
            return Commission(tolerance=tolerance, must_be_present=table.must_be_present)
        if isinstance(table, AttributeTable) and isinstance(every, Attribute):
            return Attribute(every.attribute, must_be_present=table.must_be_present)
        return every

    def _tolerance(self, table: ToleranceTable, check: Path) -> Tolerance:
        path = (*check, "tolerance")
        sizes = {name: self._size(size, (*path, name)) for name in _SIZES if (size := getattr(table, name)) is not None}
        match sizes:
            case {"absolute": amount} if len(sizes) == 1:
                return Absolute(amount=amount, bound=table.bound)
            case {"ticks": number, "tick": tick} if len(sizes) == 2:
                return self._ticks(number, tick, table.bound, path)
            case {"below": below, "above": above} if len(sizes) == 2:
                return Band(below=below, above=above, bound=table.bound)
        match sizes:
            case {"percent": number} if "basis_points" not in sizes:
                share = canonical(EXACT.multiply(number, _PER_CENT))
            case {"basis_points": number} if "percent" not in sizes:
                share = canonical(EXACT.multiply(number, _PER_BASIS_POINT))
            case _:
                return self._no_size(sizes, path)
        at_most = sizes.get("at_most")
        if len(sizes) > (1 if at_most is None else 2):
            return self._no_size(sizes, path)
        if at_most is None:
            return Relative(share=share, base=table.base, bound=table.bound)
        return Capped(share=share, base=table.base, at_most=at_most, bound=table.bound)

    def _ticks(self, number: Decimal, tick: Decimal, bound: Bound, path: Path) -> Tolerance:
        """As many ticks as one amount: it is the same rule."""
        if not tick:
            self._refuse((*path, "tick"), f"{spoken(path)}.tick is 0: write the smallest step of the price")
        return Absolute(amount=self._size(EXACT.multiply(number, tick), path), bound=bound)

    def _no_size(self, sizes: Mapping[str, Decimal], path: Path) -> Tolerance:
        self._refuse(path, f"{spoken(path)} has {' and '.join(sizes) or 'nothing'}: write {_ONE_SIZE}")
        return NOTHING

    def _size(self, number: Decimal, path: Path) -> Decimal:
        """A finite number of zero or more, within the digits that keep every sum exact; otherwise zero."""
        if not number.is_finite() or number < ZERO or len(number.as_tuple().digits) > INTEGER_DIGITS:
            wanted = f"write a number of zero or more, of at most {INTEGER_DIGITS} digits"
        elif number and not -FRACTION_DIGITS <= number.adjusted() < INTEGER_DIGITS:
            wanted = f"write a number between 1E-{FRACTION_DIGITS} and 1E{INTEGER_DIGITS}"
        else:
            return canonical(number)  # 0.005 and 0.0050 are the same rules
        self._refuse(path, f"{spoken(path)} is {number}: {wanted}")
        return ZERO

    def _whole_ns(self, number: Decimal, unit_ns: int, path: Path) -> int:
        duration_ns = EXACT.multiply(self._size(number, path), Decimal(unit_ns))
        if duration_ns != duration_ns.to_integral_value():
            self._refuse(path, f"{spoken(path)} is {number}: write whole nanoseconds at most")
        return int(duration_ns)

    def _refuse(self, path: Path, text: str) -> None:
        """Add a finding, unless there is one about this place, or about something around it or in it."""
        if not any(path[: len(found.path)] == found.path[: len(path)] for found in self._findings):
            self._findings.append(Finding(path, text, path))
