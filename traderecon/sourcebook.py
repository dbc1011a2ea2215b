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
    grace_seconds = 300                       # a trade waits this long for it
    schedule = { zone = "Europe/London", opens = "08:00", closes = "17:00" }   # when it should send

    [sources.broker_confirmations.aliases]
    "BRK.B" = ["BRK/B", "BRK B"]

They are no part of the rules, except the grace and the schedule: rules judge, sources read. What no check reads, a
record may lack. All workers of the intake group must have the same settings, or the content of a leg would depend on
the worker.
"""

import hashlib
import re
from typing import Any

import msgspec

from traderecon.intake import STANDARD_SETTINGS, SettingsBySource, SourceSettings
from traderecon.records import Source
from traderecon.rulebook import read_rules_file
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import Problem, RulesError, parse_rules, parse_toml, read_tables, refuse
from traderecon.rules.wording import Finding
from traderecon.settings import ConfigurationError, Settings
from traderecon.source_tables import FileTable, Reader
from traderecon.transport.agreement import Agreement

CHANGE_SOURCES = (
    "To change the settings of a source, stop every intake worker, then start all of them with the same "
    "[sources] tables in the file of TRADERECON_RULES."
)

_GROUP_DEFAULT = "roundrobin"
"""The protocol of an intake group with standard settings, as in every earlier version."""
_PROTOCOL = re.compile(r"sources-([0-9a-f]{64})")
_SHOWN = 8

_encode = msgspec.json.Encoder(order="sorted").encode


def parse_sources(text: str, rules: Rules) -> SettingsBySource:
    """Read the [sources] tables of a rules file. RulesError has every error in them.

    ``rules``: those of the same file; a term that none of their checks reads may be absent.
    """
    document = parse_toml(text)
    findings: list[Finding] = []
    sources = sources_of(document.get("sources", {}), rules, findings)
    if findings:
        raise refuse(text, findings)
    return sources


def sources_of(tables: Any, rules: Rules, findings: list[Finding]) -> SettingsBySource:
    """The settings of every source from the parsed [sources] tables; what is wrong in them is a finding."""
    file = read_tables(FileTable, {"sources": tables}, findings)
    read = Reader(findings).sources(file.sources, rules)
    # The standard settings are known by identity: the decoder takes its short way.
    return {source: STANDARD_SETTINGS if it == STANDARD_SETTINGS else it for source, it in read.items()}


def parse_file(text: str) -> tuple[Rules, SettingsBySource]:
    """Read the whole file: the rules, and the settings of the sources. RulesError has every error of both."""
    problems: list[Problem] = []
    rules, sources = FOUNDING, dict.fromkeys(Source, STANDARD_SETTINGS)
    try:
        rules = parse_rules(text)
    except RulesError as error:
        problems += error.problems
    try:
        sources = {**parse_sources(text, rules)}
    except RulesError as error:
        problems += error.problems
    if problems:
        raise RulesError(sorted(set(problems)))
    return rules, sources


def sources_in_force(settings: Settings) -> SettingsBySource:
    """The effective settings of every source; ConfigurationError names the file and every error in it."""
    text = read_rules_file(settings)
    if text is None:
        return dict.fromkeys(Source, STANDARD_SETTINGS)
    try:
        return parse_file(text)[1]
    except RulesError as error:
        raise ConfigurationError("\n".join(error.lines(str(settings.rules)))) from None


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
    key = "trade_id" if members.pop("keyed") else "other"
    del members["group_field"], members["key_fields"]  # of the rules
    return {**zone, **members, "minor_units": units, "key": key}
