"""Rules from the tables of a rules file: units become exact amounts and nanoseconds, and every value is looked at.

FileTable -> Reader.rules -> Rules         each wrong value is a Finding, and the reading goes on
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from traderecon.records import Source
from traderecon.records.business_time import Calendar
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.records.match_keys import KeyField
from traderecon.records.numbers import EXACT, FRACTION_DIGITS, INTEGER_DIGITS, ZERO, canonical
from traderecon.rules.asset_classes import ANY, AssetClass
from traderecon.rules.asset_classes import problems_of as problems_of_classes
from traderecon.rules.attributes import Attribute, AttributeName, Commission
from traderecon.rules.bases import Basis
from traderecon.rules.calendars import CalendarTable, calendar_of
from traderecon.rules.calendars import problems_of as problems_of_calendar
from traderecon.rules.drift import Timestamp
from traderecon.rules.expressions import parse
from traderecon.rules.overrides import SELECTORS, Override, TolerantRule, ambiguous
from traderecon.rules.pnl import Pnl
from traderecon.rules.positions import Path
from traderecon.rules.rules import FOUNDING, TRADE_ID, AttributeRule, Rule, Rules, SourceGrace, SourceSchedule
from traderecon.rules.severity import problem
from traderecon.rules.tables import (
    AmountTable,
    ChecksTable,
    ConflictPolicy,
    FileTable,
    OverrideTable,
    PnlTable,
    TimestampTable,
    ToleranceTable,
)
from traderecon.rules.tolerance import NOTHING, Absolute, Band, Bound, Capped, Relative, Tolerance
from traderecon.rules.wording import Finding, spoken

_MAX_GRACE_S = 31_536_000
_ATTRIBUTES = (*FOUNDING.attributes, Attribute(AttributeName.ORDER_ID))
(_DRIFT,) = (rule for rule in FOUNDING.checks if isinstance(rule, Timestamp))
_PER_CENT, _PER_BASIS_POINT = Decimal("0.01"), Decimal("0.0001")
_INHERITING = frozenset({"timestamp", "pnl"})
"""The checks with more than a tolerance."""
_REPLACED = {"tolerance_ms": "profile", "profile": "tolerance_ms", "basis": "expression"}
"""An override that changes the first of these does not inherit the second: it replaces it, or belongs to it."""
_EXPRESSION_EXAMPLE = 'write basis = "expression" with, for example, expression = "price * quantity - commission"'
_EPOCH, _MICROSECOND, _NS_PER_US = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1), 1_000
MAX_OVERRIDES = 500
_SIZES = ("absolute", "ticks", "tick", "percent", "basis_points", "at_most", "below", "above")
_ONE_SIZE = "absolute, or ticks and tick, or percent or basis_points (and at_most), or below and above"


def inherit(document: dict[str, Any]) -> None:
    """Complete the checks of each override in a valid file: what a table leaves out is as under ``[checks]``."""
    for row in document.get("override", ()):
        for name, changes in row.get("checks", {}).items():
            inherited = document.get("checks", {}).get(name)
            if name in _INHERITING and isinstance(inherited, dict):
                given = {*changes, *[_REPLACED[key] for key in changes if key in _REPLACED]}
                row["checks"][name] = {
                    **{key: value for key, value in inherited.items() if key not in given},
                    **changes,
                }


class _SourceTable(msgspec.Struct, frozen=True):
    """What the rules take from the table of a source."""

    grace_seconds: Decimal | None = None
    schedule: CalendarTable | None = None


def _source_tables(file: FileTable) -> Iterator[tuple[Source, _SourceTable, Path]]:
    """The table of each source, with its path; ``sourcebook`` reads the rest of it, and reports a wrong type."""
    for source in Source:
        try:
            table = msgspec.convert(file.sources.get(source.value), _SourceTable)
        except msgspec.ValidationError:
            continue
        yield source, table, ("sources", source.value)


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
        grace_ns = self._grace_ns(file.grace_seconds, ("grace_seconds",))
        calendar = self._calendar(file.calendar, ("calendar",))
        for index, row in enumerate(file.severity):
            if row.past_cut_off and file.calendar is not None and not calendar:
                continue  # the calendar's own errors are already reported
            if (found := problem(row, calendar or None)) is not None:
                self._refuse(("severity", index), f"row {index + 1} of severity: {found}")
        self._one_clock(file)
        return Rules(
            name=file.name.strip(),
            checks=(*checks, *[rule for rule in attributes if rule.must_be_present]),
            attributes=tuple([rule for rule in attributes if not rule.must_be_present]),
            grace_ns=grace_ns,
            pnl_required=file.pnl_required,
            severity=file.severity,
            source_graces=self._source_graces(file) or msgspec.UNSET,
            source_schedules=self._source_schedules(file) or msgspec.UNSET,
            overrides=self._overrides(file, [*checks, *attributes]) or msgspec.UNSET,
            asset_classes=self._asset_classes(file) or msgspec.UNSET,
            last_wins=file.conflict_policy is ConflictPolicy.LAST_WINS,
            group_by=file.group_by or msgspec.UNSET,
            match_key=self._match_key(file),
            calendar=calendar,
        )

    def _one_clock(self, file: FileTable) -> None:
        """Refuse open_hours and past_cut_off in one file: which comes first depends on when a break is opened."""
        by_age = next((index for index, row in enumerate(file.severity) if row.open_hours is not None), None)
        by_cut_off = next((index for index, row in enumerate(file.severity) if row.past_cut_off), None)
        if by_age is not None and by_cut_off is not None:
            text = "rows of severity have open_hours and past_cut_off: write one of them in all rows"
            first, second = sorted((by_age, by_cut_off))
            self._refuse(("severity", second), text, ("severity", first))

    def _match_key(self, file: FileTable) -> tuple[KeyField, ...] | msgspec.UnsetType:
        names = file.match_key
        if names is None:
            return msgspec.UNSET
        path, fields = ("match_key",), [name for name in names if name != TRADE_ID]
        known = {field.value: field for field in KeyField}
        for name in fields:
            if name not in known:
                self._refuse(path, f"match_key has {name!r}: write {TRADE_ID} and some of {', '.join(known)}")
        if names.count(TRADE_ID) != 1 or len({*fields}) < len(fields):
            text = f"match_key is {', '.join(names) or 'empty'}: write {TRADE_ID} and other fields, each once"
            self._refuse(path, text)
        elif file.group_by is not None and fields:
            self._refuse(path, "match_key and group_by are both set: a group has one id, so remove one of them")
        return tuple([known[name] for name in fields if name in known]) or msgspec.UNSET

    def _calendar(self, table: CalendarTable | None, around: Path) -> Calendar | msgspec.UnsetType:
        if table is None:
            return msgspec.UNSET
        found = [*problems_of_calendar(table)]
        for name, text in found:
            path = (*around, name)
            self._refuse(path, f"{spoken(path)} {text}")
        return msgspec.UNSET if found else calendar_of(table)

    def _grace_ns(self, seconds: Decimal, path: Path) -> int:
        grace_ns = self._whole_ns(seconds, NS_PER_S, path)
        if grace_ns > _MAX_GRACE_S * NS_PER_S:
            self._refuse(path, f"{spoken(path)} is {seconds}: write at most {_MAX_GRACE_S}, a year")
        return grace_ns

    def _source_graces(self, file: FileTable) -> tuple[SourceGrace, ...]:
        """The graces of single sources."""
        return tuple(
            [
                SourceGrace(source, self._grace_ns(table.grace_seconds, (*path, "grace_seconds")))
                for source, table, path in _source_tables(file)
                if table.grace_seconds is not None
            ]
        )

    def _source_schedules(self, file: FileTable) -> tuple[SourceSchedule, ...]:
        """When single sources should speak."""
        schedules = []
        for source, table, around in _source_tables(file):
            path = (*around, "schedule")
            if table.schedule is not None and table.schedule.cut_off is not None:
                text = f"{spoken(path)} has a cut_off, and only the desk has one: write it under [calendar]"
                self._refuse((*path, "cut_off"), text)
            if calendar := self._calendar(table.schedule, path):
                schedules.append(SourceSchedule(source, calendar))
        return tuple(schedules)

    def _asset_classes(self, file: FileTable) -> tuple[AssetClass, ...]:
        """The classes of the file; an override may ask for each of them, and for no other."""
        problems = [*problems_of_classes(file.asset_class)]
        for found in problems:
            other = found.other
            self._refuse(("asset_class", found.row), found.text, () if other is None else ("asset_class", other))
        names = [it.name for it in file.asset_class]
        for index, override in enumerate(file.override):
            if override.asset_class is not None and override.asset_class not in names and not problems:
                path: Path = ("override", index, "asset_class")
                text = f"{spoken(path)} is {override.asset_class!r}: add [[asset_class]] with this name and its tickers"
                self._refuse(path, text)
        return file.asset_class

    def _overrides(self, file: FileTable, every: Sequence[Rule]) -> tuple[Override, ...]:
        """The overrides of these rules, in the order of the file."""
        rules = {rule.name: rule for rule in every if isinstance(rule, TolerantRule)}
        if len(file.override) > MAX_OVERRIDES:
            text = f"the file has {len(file.override)} overrides: write at most {MAX_OVERRIDES}"
            self._refuse(("override", MAX_OVERRIDES), text)
            return ()
        overrides = [self._override(index, table, rules) for index, table in enumerate(file.override)]
        for first, second in ambiguous(overrides):
            text = (
                f"this override ({overrides[second].describe()}) and another one ({overrides[first].describe()}) can "
                "apply to the same trade, and neither is more specific: remove one, or let both name the same fields"
            )
            self._refuse(("override", second), text, ("override", first))
        return tuple(overrides)

    def _override(self, index: int, table: OverrideTable, rules: Mapping[str, TolerantRule]) -> Override:
        path: Path = ("override", index)
        for field in SELECTORS:
            value = getattr(table, field)
            if value is not None and (not value or value != value.strip()):
                text = f"{spoken((*path, field))} is {value!r}: write the value without white space around it"
                self._refuse((*path, field), text)
            elif field == "ticker" and value is not None and value.endswith(ANY):
                text = f"{spoken((*path, field))} is {value!r}: it is one ticker; for a prefix write an [[asset_class]]"
                self._refuse((*path, field), text)
        checks = []
        for name in table.checks.__struct_fields__:
            changes = getattr(table.checks, name)
            if changes is None:
                continue
            if name not in rules:
                text = f"{spoken((*path, 'checks', name))} changes a check that is off: switch it on under [checks]"
                self._refuse((*path, "checks", name), text)
            else:
                checks.append(self._changed(rules[name], changes, (*path, "checks", name)))
        override = Override(
            checks=tuple(checks),
            ticker=table.ticker,
            asset_class=table.asset_class,
            broker=table.broker,
            account=table.account,
            effective_from_ns=self._instant_ns(table.effective_from, (*path, "effective_from")),
        )
        if not override.fields and override.effective_from_ns is None:
            names = ", ".join(SELECTORS)
            self._refuse(path, f"an override names {names} or effective_from: for every trade write it under [checks]")
        if not checks:
            self._refuse(path, "an override changes a check: write [override.checks.price], or another one")
        return override

    def _instant_ns(self, instant: datetime | None, path: Path) -> int | None:
        if instant is None:
            return None
        if instant.tzinfo is None:
            text = instant.isoformat()
            self._refuse(path, f"{spoken(path)} is {text}, without a zone: write {text}Z, or with its offset from UTC")
            return 0
        return (instant - _EPOCH) // _MICROSECOND * _NS_PER_US

    def _rule(self, founding: Rule, checks: ChecksTable) -> Rule | None:
        """The founding rule with the changes of the file; None if it is off."""
        table = getattr(checks, founding.name)
        if table is False:
            return None
        if isinstance(founding, TolerantRule):
            return founding if table is True else self._changed(founding, table, ("checks", founding.name))
        return founding

    def _attribute(self, every: AttributeRule, checks: ChecksTable) -> AttributeRule | None:
        """The check with the changes of the file; None if it is off."""
        table = getattr(checks, every.name)
        if table is False:
            return None
        if table is True:
            return every
        if isinstance(every, Attribute):
            return Attribute(every.attribute, must_be_present=table.must_be_present)
        tolerance = self._tolerance(table.tolerance, ("checks", every.name))
        return Commission(tolerance=tolerance, must_be_present=table.must_be_present)

    def _changed(self, rule: TolerantRule, table: AmountTable | PnlTable | TimestampTable, path: Path) -> TolerantRule:
        """A rule as its table has it."""
        if isinstance(table, PnlTable):
            return Pnl(
                tolerance=self._tolerance(table.tolerance, path),
                basis=table.basis,
                price_source=table.price_source,
                quantity_source=table.quantity_source,
                incomplete=table.incomplete,
                commission_sign=table.commission_sign,
                multiplier_field=table.multiplier_field,
                expression=self._expression(table, path),
            )
        if isinstance(table, TimestampTable):
            return self._timestamp(table, path)
        return msgspec.structs.replace(rule, tolerance=self._tolerance(table.tolerance, path))

    def _expression(self, table: PnlTable, path: Path) -> str | msgspec.UnsetType:
        """The expression, which basis = "expression" needs and no other basis has."""
        text, path = table.expression, (*path, "expression")
        if (text is not None) is not (table.basis is Basis.EXPRESSION):
            given, remedy = ("no expression", "") if text is None else ("an expression", ", or remove expression")
            found = f'{spoken(path[:-1])} has basis = "{table.basis}" and {given}'
            self._refuse(path, f"{found}: {_EXPRESSION_EXAMPLE}{remedy}")
        if text is None:
            return msgspec.UNSET
        try:
            parse(text)
        except ValueError as error:
            self._refuse(path, f"{spoken(path)} {error}")
        return text

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
            case {"percent": number}:
                share = canonical(EXACT.multiply(number, _PER_CENT))
            case {"basis_points": number}:
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

    def _refuse(self, path: Path, text: str, other: Path = ()) -> None:
        """Add a finding, unless there is one about this place, or about something around it or in it."""
        if not any(path[: len(found.path)] == found.path[: len(path)] for found in self._findings):
            self._findings.append(Finding(path, text, path, other=other))
