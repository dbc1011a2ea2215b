"""The settings of the sources in force: the tables ``[sources.<topic>]`` of the file in TRADERECON_RULES.

    [sources.broker_confirmations]
    zone = "America/New_York"                 # of a timestamp without one
    epoch_unit = "ms"                         # of a timestamp that is a bare number
    date_forms = ["DD/MM/YYYY"]               # beside ISO 8601 and FIX
    granularity = 3                           # fraction digits of its clock, whatever zeros it writes
    required = ["account"]
    kind_field = "exec_type"
    kinds = { new = ["F"], amend = ["G"], cancel = ["H"] }
    reference_field = "exec_ref_id"           # what an amend or a cancel replaces
    side = "mirrored"                         # its BUY is our SELL
    signed = true                             # -100 is a sale of 100
    minor_units = true                        # 19050 GBX is 190.50 GBP
    fold_case = true                          # aapl is AAPL
    key = "other"                             # its records have another key than their trade_id

    [sources.broker_confirmations.aliases]
    "BRK.B" = ["BRK/B", "BRK B"]

They are no part of the rules: rules judge, sources read. What no check reads, a record may lack. All workers of the
intake group must have the same settings, or the content of a leg would depend on the worker.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from traderecon.intake import (
    COLUMNS,
    STANDARD_SETTINGS,
    DateForm,
    EpochUnit,
    Form,
    SettingsBySource,
    SideView,
    SourceSettings,
    trim,
)
from traderecon.intake.date_forms import AMBIGUOUS_PAIRS
from traderecon.intake.legs import KNOWN_FIELDS
from traderecon.intake.source_settings import KIND
from traderecon.records import Kind, Source
from traderecon.records.currencies import ISO_4217, MINOR_UNITS, MinorUnit
from traderecon.records.words import Word
from traderecon.rulebook import read_rules_file, rules_in_force
from traderecon.rules import Rules
from traderecon.rules.wording import explain
from traderecon.settings import ConfigurationError, Settings
from traderecon.transport.agreement import Agreement

CHANGE_SOURCES = (
    "To change the settings of a source, stop every intake worker, then start all of them with the same "
    "[sources] tables in the file of TRADERECON_RULES."
)

_GROUP_DEFAULT = "roundrobin"
"""The protocol of an intake group with standard settings, as in every earlier version."""
_PROTOCOL = re.compile(r"sources-([0-9a-f]{64})")
_SHOWN = 8
_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Names in a system's zone database that mean something else on another machine, or nothing."""
_NAME = re.compile(r"\S(?:.{0,98}\S)?")
_MINOR_UNIT = re.compile(r"([A-Z]{3}) ?/ ?(10{1,9})")

_encode = msgspec.json.Encoder(order="sorted").encode


class _Unit(Word):
    """How ``epoch_unit`` is written."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


class _Key(Word):
    """What the key of a source's records is."""

    TRADE_ID = "trade_id"
    OTHER = "other"


class _KindsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    new: tuple[str, ...] = ()
    amend: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()


class _SnapshotTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source without timestamps, sides and tickers may set."""

    required: tuple[str, ...] = ()
    minor_units: bool | dict[str, str] = False
    key: _Key = _Key.TRADE_ID


class _TradeTable(_SnapshotTable, frozen=True):
    zone: str = "UTC"
    epoch_unit: _Unit | None = None
    date_forms: tuple[str, ...] = ()
    granularity: Annotated[int, msgspec.Meta(ge=0, le=9)] | None = None
    kind_field: str = KIND
    kinds: _KindsTable = _KindsTable()
    reference_field: str | None = None
    side: SideView = SideView.SAME
    signed: bool = False
    fold_case: bool = False
    aliases: dict[str, tuple[str, ...]] = {}


class SourcesError(ValueError):
    """The [sources] tables of a rules file are not valid: where, what was found, what to write."""


class _SourceTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    executions: _TradeTable = _TradeTable()
    broker_confirmations: _TradeTable = _TradeTable()
    pnl_snapshot: _SnapshotTable = _SnapshotTable()


class _File(msgspec.Struct, frozen=True):
    """The tables of the file that are about sources; ``rules.file`` reads the others."""

    sources: _SourceTables = _SourceTables()


def parse_sources(text: str, rules: Rules) -> SettingsBySource:
    """Read the [sources] tables of a rules file. Raises SourcesError.

    ``rules``: those of the same file; a term that none of their checks reads may be absent.
    """
    try:
        tables = tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SourcesError(str(error)) from None
    return sources_of(tables.get("sources", {}), rules)


def sources_of(tables: Any, rules: Rules) -> SettingsBySource:
    """The settings of every source from the parsed [sources] tables, as ``parse_sources``."""
    try:
        file = msgspec.convert({"sources": tables}, _File)
    except msgspec.ValidationError as error:
        raise SourcesError(explain(str(error), _File).text) from None
    _check_aliases(file.sources)
    parsed = {source: _settings(source, getattr(file.sources, source.value), rules) for source in Source}
    # The standard settings are known by identity: the decoder takes its short way.
    return {source: STANDARD_SETTINGS if it == STANDARD_SETTINGS else it for source, it in parsed.items()}


def sources_in_force(settings: Settings) -> SettingsBySource:
    """The effective settings of every source; ConfigurationError names the file and the error in it."""
    rules = rules_in_force(settings)
    if (text := read_rules_file(settings)) is None:
        return dict.fromkeys(Source, STANDARD_SETTINGS)
    try:
        return parse_sources(text, rules)
    except SourcesError as error:
        raise ConfigurationError(f"{settings.rules}: {error}") from None


def sources_agreement(sources: SettingsBySource) -> Agreement:
    """What all intake workers must agree on; standard settings have the protocol of earlier versions."""

    def describe(protocol: str) -> str:
        if protocol == _GROUP_DEFAULT:
            return "the standard settings of every source"
        if (match := _PROTOCOL.fullmatch(protocol)) is None:
            return "other settings of the sources" if not protocol else f"the unknown protocol {protocol!r}"
        return f"settings of the sources with sha256 {match[1][:_SHOWN]}"

    standard = all(settings == STANDARD_SETTINGS for settings in sources.values())
    value = hashlib.sha256(_encode(msgspec.to_builtins(sources, str_keys=True))).hexdigest()
    return Agreement("sources", value, describe, CHANGE_SOURCES, _GROUP_DEFAULT if standard else "")


def differences(sources: SettingsBySource) -> dict[str, dict[str, Any]]:
    """The settings that are not standard, by source and name, as JSON values."""
    shown: dict[str, dict[str, Any]] = {}
    for source, settings in sources.items():
        standard = _flat(STANDARD_SETTINGS)
        if changed := {name: value for name, value in _flat(settings).items() if value != standard[name]}:
            shown[source.value] = changed
    return shown


def _flat(settings: SourceSettings) -> dict[str, Any]:
    """Every setting by its name in the file."""
    members: dict[str, Any] = msgspec.to_builtins(settings, str_keys=True)
    form = members.pop("form")
    unit = settings.form.epoch_unit
    zone = {"zone": form["naive_zone"], "epoch_unit": unit and unit.name.lower(), "granularity": form["granularity"]}
    units = {code: f"{unit.currency} / {10**unit.digits}" for code, unit in settings.minor_units.items()}
    key = _Key.TRADE_ID if members.pop("keyed") else _Key.OTHER
    return {**zone, **members, "minor_units": units, "key": key.value}


def _settings(source: Source, table: _SnapshotTable, rules: Rules) -> SourceSettings:
    path = f"sources.{source.value}"
    units = _minor_units(table.minor_units, f"{path}.minor_units")
    if not isinstance(table, _TradeTable):
        _check_required(table, KNOWN_FIELDS[source], source, path)
        return SourceSettings(required=table.required, minor_units=units, keyed=table.key is _Key.TRADE_ID)
    _check_zone(table.zone, f"{path}.zone")
    _check_own_fields(table, source, path)
    checked = {rule.name for rule in rules.checks}
    settings = SourceSettings(
        form=Form(table.zone, EpochUnit[table.epoch_unit.name] if table.epoch_unit else None, table.granularity),
        date_forms=_date_forms(table.date_forms, f"{path}.date_forms"),
        required=table.required,
        optional=tuple(name for name in COLUMNS[source][1:] if name not in checked and name not in table.required),
        kind_field=table.kind_field,
        kinds=_kinds(table.kinds, f"{path}.kinds"),
        reference_field=table.reference_field,
        side=table.side,
        signed=table.signed,
        minor_units=units,
        keyed=table.key is _Key.TRADE_ID,
        fold_case=table.fold_case,
        aliases=_aliases(table),
    )
    _check_required(table, KNOWN_FIELDS[source] | settings.own_fields, source, path)
    return settings


def _check_zone(zone: str, path: str) -> None:
    try:
        if zone in _NOT_ZONES:
            raise ZoneInfoNotFoundError
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = get_close_matches(zone, available_timezones() - _NOT_ZONES, 1)
        hint = f": did you mean {close[0]}?" if close else ","
        raise SourcesError(
            f"{path} is {zone!r}{hint} write a name of the IANA database, as in America/New_York"
        ) from None


def _date_forms(names: tuple[str, ...], path: str) -> tuple[DateForm, ...]:
    known = {form.value: form for form in DateForm}
    if unknown := [name for name in names if name not in known]:
        raise SourcesError(f"{path} has {unknown[0]!r}: write {' or '.join(known)}")
    forms = tuple(known[name] for name in dict.fromkeys(names))
    for pair in AMBIGUOUS_PAIRS:
        if pair <= set(forms):
            raise SourcesError(
                f"{path} has {' and '.join(sorted(pair))}: one text would be two days, write one of them"
            )
    return forms


def _check_own_fields(table: _TradeTable, source: Source, path: str) -> None:
    """A field that is named for its kind or its reference has no other meaning."""
    for setting in ("kind_field", "reference_field"):
        name: str | None = getattr(table, setting)
        if name is None or (setting, name) == ("kind_field", KIND):
            continue
        if not _NAME.fullmatch(name):
            raise SourcesError(f"{path}.{setting} is {name!r}: write the name of a field")
        if name in KNOWN_FIELDS[source]:
            raise SourcesError(f"{path}.{setting} is {name}, which has a meaning of its own: write another field")
    if table.reference_field == table.kind_field:
        raise SourcesError(f"{path} has one field for kind_field and reference_field: write two")


def _check_required(table: _SnapshotTable, known: frozenset[str], source: Source, path: str) -> None:
    for name in table.required:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f": did you mean {close[0]}?" if close else ":"
            raise SourcesError(
                f"{path}.required has {name!r}, which is no field of {source.value}{hint} known fields: "
                f"{', '.join(sorted(known))}"
            )


def _kinds(table: _KindsTable, path: str) -> dict[str, Kind]:
    meaning: dict[str, Kind] = {}
    for kind in Kind:
        for code in getattr(table, kind.value):
            if not code or code != trim(code):
                raise SourcesError(f"{path}.{kind} has {code!r}: write a code without blanks around it")
            if meaning.setdefault(code, kind) is not kind:
                raise SourcesError(
                    f"{path}.{meaning[code]} and {path}.{kind} both have {code!r}: write it in one of them"
                )
    return meaning


def _minor_units(table: bool | Mapping[str, str], path: str) -> dict[str, MinorUnit]:
    if isinstance(table, bool):
        return dict(MINOR_UNITS) if table else {}
    units: dict[str, MinorUnit] = {}
    for code, text in table.items():
        match = _MINOR_UNIT.fullmatch(text)
        if match is None or match[1] not in ISO_4217:
            raise SourcesError(f'{path}.{code} is {text!r}: write a currency and a power of ten, as in "GBP / 100"')
        if not code or code in ISO_4217 or code != trim(code):
            raise SourcesError(f"{path} has {code!r}: that is not the code of a minor unit")
        units[code] = MinorUnit(match[1], len(match[2]) - 1)
    return units


def _aliases(table: _TradeTable) -> dict[str, str]:
    fold = str.upper if table.fold_case else str
    return {
        fold(alias): name for name, aliases in table.aliases.items() for alias in aliases if fold(alias) != fold(name)
    }


def _check_aliases(tables: _SourceTables) -> None:
    """A ticker is an alias of one standard ticker in all sources, and no standard ticker is an alias."""
    names: dict[str, str] = {}
    groups: dict[str, tuple[str, str]] = {}
    for path, name, alias in _every_alias(tables):
        if not alias or alias != trim(alias) or not name or name != trim(name):
            raise SourcesError(f"{path} has {alias!r}: write tickers without blanks around them")
        names.setdefault(name, path)
        first_name, first_path = groups.setdefault(alias, (name, path))
        if first_name != name:
            raise SourcesError(f"{alias} is an alias in two groups, {first_path} and {path}: write it in one of them")
    for alias, (name, path) in groups.items():
        if alias in names and alias != name:
            raise SourcesError(
                f"{alias} is an alias in {path} and the standard ticker of {names[alias]}: write one of them"
            )


def _every_alias(tables: _SourceTables) -> Iterator[tuple[str, str, str]]:
    """The path of its group, the standard ticker, the alias; in the case that is compared."""
    for source in (Source.EXECUTIONS, Source.CONFIRMATIONS):
        table: _TradeTable = getattr(tables, source.value)
        fold = str.upper if table.fold_case else str
        for name, aliases in table.aliases.items():
            path = f'sources.{source.value}.aliases."{name}"'
            for alias in aliases:
                yield path, name, name if fold(alias) == fold(name) else fold(alias)
