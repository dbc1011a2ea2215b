"""The tables [sources.<topic>] of a rules file, name by name, and the settings they make.

SourceTables -> Reader.sources -> SettingsBySource         each wrong value is a Finding, and the reading goes on
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated

import msgspec

from traderecon.intake import COLUMNS, DateForm, EpochUnit, Form, SettingsBySource, SideView, SourceSettings, trim
from traderecon.intake.date_forms import AMBIGUOUS_PAIRS
from traderecon.intake.legs import KNOWN_FIELDS, known_fields
from traderecon.intake.source_settings import KIND
from traderecon.intake.values import fold_case
from traderecon.records import Kind, Source
from traderecon.records.currencies import ISO_4217, MINOR_UNITS, MinorUnit, currency_code
from traderecon.records.words import Word
from traderecon.rules import Pnl, Rules
from traderecon.rules.calendars import CalendarTable
from traderecon.rules.positions import Path
from traderecon.rules.tables import Table
from traderecon.rules.wording import Finding, spoken
from traderecon.rules.zones import zone_problem

_NAME = re.compile(r"\S(?:.{0,98}\S)?")
_MINOR_UNIT = re.compile(r"([A-Z]{3}) ?/ ?(10{1,9})")


class Unit(Word):
    """How ``epoch_unit`` is written."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


class Key(Word):
    """What the key of a source's records is."""

    TRADE_ID = "trade_id"
    OTHER = "other"


class KindsTable(Table, frozen=True):
    """The source's codes for each kind."""

    new: tuple[str, ...] = ()
    amend: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()


class SnapshotTable(Table, frozen=True):
    """What a source without times, sides, tickers and kinds may set."""

    required: tuple[str, ...] = ()
    minor_units: bool | dict[str, str] = False
    key: Key = Key.TRADE_ID
    grace_seconds: Decimal | None = None  # of the rules, as ``schedule``: see ``rules.from_tables``
    schedule: CalendarTable | None = None


class TradeTable(SnapshotTable, frozen=True):
    """What a source of executions or confirmations may set."""

    zone: str = "UTC"
    epoch_unit: Unit | None = None
    date_forms: tuple[str, ...] = ()
    granularity: Annotated[int, msgspec.Meta(ge=0, le=9)] | None = None
    kind_field: str = KIND
    kinds: KindsTable = KindsTable()
    reference_field: str | None = None
    side: SideView = SideView.SAME
    signed: bool = False
    fold_case: bool = False
    aliases: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class SourceTables(Table, frozen=True):
    """A table for each source."""

    executions: TradeTable = TradeTable()
    broker_confirmations: TradeTable = TradeTable()
    pnl_snapshot: SnapshotTable = SnapshotTable()


class FileTable(msgspec.Struct, frozen=True):
    """The part of the file that is about sources; ``rules.tables`` has the others."""

    sources: SourceTables = SourceTables()


def _reads_commission(rules: Rules) -> bool:
    """Whether a pnl check, of all trades or of an override, reads the commission of a snapshot; or there is none."""
    overridden = (rule for override in rules.overrides or () for rule in override.checks)
    checks = [rule for rule in (*rules.checks, *overridden) if isinstance(rule, Pnl)]
    return not checks or any((Source.PNL, "commission") in rule.operands for rule in checks)


class Reader:
    """Makes settings of the tables; what is wrong with a value is added to the findings."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def sources(self, tables: SourceTables, rules: Rules) -> SettingsBySource:
        """The settings of every source; of no use if there are findings.

        ``rules``: a term that none of their checks reads may be absent.
        """
        self._check_aliases(tables)
        return {source: self._settings(source, tables, rules) for source in Source}

    def _refuse(self, path: Path, text: str, other: Path = ()) -> None:
        self._findings.append(Finding(path, text, path, other=other))

    def _settings(self, source: Source, tables: SourceTables, rules: Rules) -> SourceSettings:
        table: SnapshotTable = getattr(tables, source.value)
        path, key_fields = ("sources", source.value), tuple([field.value for field in rules.match_key or ()])
        keyed, units = table.key is Key.TRADE_ID, self._minor_units(table.minor_units, (*path, "minor_units"))
        if not isinstance(table, TradeTable):
            settings = SourceSettings(
                required=table.required,
                optional=() if _reads_commission(rules) else ("commission",),
                minor_units=units,
                keyed=keyed,
                group_field=rules.group_by or None,
                key_fields=key_fields,
                fold_case="ticker" in key_fields and tables.executions.fold_case,
                aliases=_aliases(tables) if "ticker" in key_fields else {},
            )
            self._check_required(table, known_fields(source, settings), path)
            return settings
        self._check_zone(table.zone, (*path, "zone"))
        self._check_own_fields(table, source, rules, path)
        checked = {rule.name for rule in rules.checks}
        settings = SourceSettings(
            form=Form(table.zone, EpochUnit[table.epoch_unit.name] if table.epoch_unit else None, table.granularity),
            date_forms=self._date_forms(table.date_forms, (*path, "date_forms")),
            required=table.required,
            optional=tuple(name for name in COLUMNS[source][1:] if name not in checked and name not in table.required),
            kind_field=table.kind_field,
            kinds=self._kinds(table.kinds, (*path, "kinds")),
            reference_field=table.reference_field,
            group_field=rules.group_by or None,
            key_fields=key_fields,
            side=table.side,
            signed=table.signed,
            minor_units=units,
            keyed=keyed,
            fold_case=table.fold_case,
            aliases=_aliases_of(source, table),
        )
        self._check_required(table, known_fields(source, settings), path)
        return settings

    def _check_zone(self, zone: str, path: Path) -> None:
        if (problem := zone_problem(zone)) is not None:
            self._refuse(path, f"{spoken(path)} {problem}")

    def _date_forms(self, names: tuple[str, ...], path: Path) -> tuple[DateForm, ...]:
        known = {form.value: form for form in DateForm}
        for index, name in enumerate(names):
            if name not in known:
                self._refuse((*path, index), f"{spoken(path)} has {name!r}: write {' or '.join(known)}")
        for pair in AMBIGUOUS_PAIRS:
            if pair <= set(names):
                text = f"{spoken(path)} has {' and '.join(sorted(pair))}: one text would be two days, write one of them"
                self._refuse(path, text)
        return tuple(known[name] for name in dict.fromkeys(names) if name in known)

    def _check_own_fields(self, table: TradeTable, source: Source, rules: Rules, around: Path) -> None:
        """A field that is named for its kind or its reference has no other meaning."""
        for setting in ("kind_field", "reference_field"):
            name: str | None = getattr(table, setting)
            path = (*around, setting)
            if name is None or (setting, name) == ("kind_field", KIND):
                continue
            if not _NAME.fullmatch(name):
                self._refuse(path, f"{spoken(path)} is {name!r}: write the name of a field")
            elif name in KNOWN_FIELDS[source] or name == rules.group_by:
                text = f"{spoken(path)} is {name}, which has a meaning of its own: write another field"
                self._refuse(path, text)
        if table.reference_field == table.kind_field:
            text = f"{spoken(around)} has one field for kind_field and reference_field: write two"
            self._refuse((*around, "reference_field"), text)

    def _check_required(self, table: SnapshotTable, known: frozenset[str], around: Path) -> None:
        path = (*around, "required")
        for index, name in enumerate(table.required):
            if name not in known:
                text = (
                    f"{spoken(path)} has {name!r}, which is no field of this source{_question(name, known)}: known "
                    f"fields: {', '.join(sorted(known))}"
                )
                self._refuse((*path, index), text)

    def _kinds(self, table: KindsTable, around: Path) -> dict[str, Kind]:
        meaning: dict[str, Kind] = {}
        for kind in Kind:
            path = (*around, kind.value)
            for code in getattr(table, kind.value):
                if not code or code != trim(code):
                    self._refuse(path, f"{spoken(path)} has {code!r}: write a code without blanks around it")
                word = code.lower()
                if word in Kind.__members__.values() and word != kind:
                    self._refuse(path, f"{spoken(path)} has {code!r}, which always means {word}: remove it")
                elif (other := meaning.setdefault(code, kind)) is not kind:
                    text = f"{spoken((*around, other))} and {spoken(path)} both have {code!r}: write it in one of them"
                    self._refuse(path, text)
        return meaning

    def _minor_units(self, table: bool | Mapping[str, str], around: Path) -> dict[str, MinorUnit]:
        if isinstance(table, bool):
            return dict(MINOR_UNITS) if table else {}
        units: dict[str, MinorUnit] = {}
        for code, text in table.items():
            path, match = (*around, code), _MINOR_UNIT.fullmatch(text)
            if not code or currency_code(code) in ISO_4217 or code != trim(code):
                self._refuse(path, f"{spoken(around)} has {code!r}: that is not the code of a minor unit")
            elif match is None or match[1] not in ISO_4217:
                found = f'{spoken(path)} is {text!r}: write a currency and a power of ten, as in "GBP / 100"'
                self._refuse(path, found)
            else:
                units[code] = MinorUnit(match[1], len(match[2]) - 1)
        return units

    def _check_aliases(self, tables: SourceTables) -> None:
        """A ticker is an alias of one standard ticker in all sources, and no standard ticker is an alias."""
        names: dict[str, Path] = {}
        groups: dict[str, tuple[str, Path]] = {}
        for path, name, alias in (
            *_every_alias(Source.EXECUTIONS, tables.executions),
            *_every_alias(Source.CONFIRMATIONS, tables.broker_confirmations),
        ):
            if not alias or alias != trim(alias) or not name or name != trim(name):
                self._refuse(path, f"{spoken(path)} has {alias!r}: write tickers without blanks around them")
            names.setdefault(name, path)
            first_name, first = groups.setdefault(alias, (name, path))
            if first_name != name:
                text = f"{alias} is an alias in {spoken(path)} and in {spoken(first)}, and may be in one of them"
                self._refuse(path, text, first)
        for alias, (name, path) in groups.items():
            if alias in names and alias != name:
                other = names[alias]
                text = f"{alias} is an alias in {spoken(path)}, and the standard ticker of {spoken(other)}"
                self._refuse(path, text, other)


def _aliases(tables: SourceTables) -> dict[str, str]:
    """The aliases of both sources: no ticker is an alias of two."""
    of_confirmations = _aliases_of(Source.CONFIRMATIONS, tables.broker_confirmations)
    return _aliases_of(Source.EXECUTIONS, tables.executions) | of_confirmations


def _aliases_of(source: Source, table: TradeTable) -> dict[str, str]:
    """Every other spelling of a ticker -> the standard one."""
    return {alias: name for _, name, alias in _every_alias(source, table) if alias != name}


def _every_alias(source: Source, table: TradeTable) -> Iterator[tuple[Path, str, str]]:
    """The path of each group, its standard ticker, an alias; both in the case that is compared."""
    for name, aliases in table.aliases.items():
        for alias in aliases:
            standard, other = (fold_case(text) if table.fold_case else text for text in (name, alias))
            yield ("sources", source.value, "aliases", name), standard, other


def _question(found: str, known: Iterable[str]) -> str:
    """Which of the known texts was perhaps meant."""
    return "".join(f" (did you mean {close}?)" for close in get_close_matches(found, known, 1))
