"""A rules file: TOML -> Rules. Whatever the file leaves out is as in the founding rules.

    name = "desk-7"
    grace_seconds = 60
    pnl_required = false
    group_by = "order_id"                   # or block_id: its legs are added up; see ``matching.groups``
    # match_key = ["broker", "trade_id"]    # in place of group_by; or trade_date, ticker, account, side
    conflict_policy = "last_wins"           # of legs of one version that contradict each other; or "flag": a break

    [calendar]                              # see ``rules.calendars``
    zone = "America/New_York"
    opens = "08:00"
    closes = "18:00"

    [checks]
    ticker = false                          # a check that is off

    [checks.price]                          # or absolute = "0.005", percent = "2", ticks = "1" with tick = "0.01"
    tolerance = { basis_points = "1", base = "execution", bound = "strict" }

    [checks.timestamp]
    tolerance_ms = "2"
    precision = "granularity_aware"

    [checks.pnl]
    basis = "cash_flow"                     # or gross, realized, mark_to_market, net_consideration_sided
    incomplete = "break"

    [checks.account]
    must_be_present = true                  # a side that sends no account fails the check

    [[asset_class]]                         # see ``rules.asset_classes``
    name = "fx"
    tickers = ["EUR/*", "GBP/USD"]

    [[override]]                            # see ``rules.overrides``
    broker = "BRKA"
    effective_from = 2025-07-26T12:00:00Z
    checks.price.tolerance.absolute = "0.01"

    [[severity]]                            # see ``rules.severity``
    reason = "TIMESTAMP_DRIFT"
    severity = "low"

Numbers may be strings or TOML numbers; both are read as exact decimals.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar, get_args

import msgspec

from traderecon.rules.from_tables import Reader, inherit
from traderecon.rules.positions import Path, Position, Positions
from traderecon.rules.rules import Rules
from traderecon.rules.severity import SeverityRow
from traderecon.rules.tables import FileTable, TimestampTable, ToleranceTable
from traderecon.rules.wording import Finding, explain, spoken

AnyTable = TypeVar("AnyTable", bound=msgspec.Struct)

_TOML_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


_AMOUNT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_AMOUNTS = frozenset(
    {
        field.name
        for table in (FileTable, ToleranceTable, TimestampTable, SeverityRow)
        for field in msgspec.structs.fields(table)
        if Decimal in (field.type, *get_args(field.type))
    }
)
"""The names whose text is a number."""
_UNNAMED = {"name": "unnamed", "tickers": ["unnamed"]}
_ROWS: Mapping[str | int, dict[str, Any]] = {"severity": {"severity": "low"}, "override": {}, "asset_class": _UNNAMED}
"""A valid row of each array of tables."""
_STAND_INS: Mapping[Path, str] = {
    ("name",): "unnamed",
    ("calendar", "zone"): "UTC",
    ("calendar", "opens"): "00:00",
    ("calendar", "closes"): "24:00",
}
"""A valid value of each required name whose table has others: without it their errors would go unseen."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """One error of a rules file: where, what was found, what to write."""

    position: Position
    text: str


class RulesError(ValueError):
    """A rules file is not valid; ``problems`` are all its errors, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.text for problem in self.problems))

    def lines(self, file: str) -> list[str]:
        """A line per error, as editors and compilers write them: ``file:line:column: text``."""
        return [
            f"{file}:{problem.position.line}:{problem.position.column}: {problem.text}" for problem in self.problems
        ]


def parse_rules(text: str) -> Rules:
    """Read a rules file, with or without a byte order mark. RulesError has every error in it."""
    document = parse_toml(text)
    findings = [*_loose_numbers(document, ())]
    read_tables(FileTable, document, findings)
    inherit(document)
    rules = Reader(findings).rules(msgspec.convert(document, FileTable))
    if findings:
        raise refuse(text, findings)
    return rules


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text, with or without a byte order mark; numbers are exact. Raises RulesError."""
    text = text.removeprefix("\ufeff")
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise RulesError([_not_toml(str(error), text)]) from None


def refuse(text: str, findings: Iterable[Finding]) -> RulesError:
    """The error of a file with these findings, each at its place."""
    positions = Positions.of(text.removeprefix("\ufeff"))
    return RulesError(sorted({_problem(found, positions) for found in findings}))


def _loose_numbers(value: Any, path: Path) -> Iterator[Finding]:
    """Texts that Python takes for a number and no reader of the file would: ``0_005``, digits of another script."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        here = (*path, name)
        in_rules = "sources" not in path or name == "grace_seconds"
        if name in _AMOUNTS and in_rules and isinstance(member, str) and not _AMOUNT.fullmatch(member):
            text = f"{spoken(here)} is {member!r}: write a decimal with a point and nothing else in it"
            yield Finding(here, text, here)
        else:
            yield from _loose_numbers(member, here)


def _problem(found: Finding, positions: Positions) -> Problem:
    other = f": see line {positions.find(found.other).line}" if found.other else ""
    return Problem(positions.find(found.path), found.text + other)


def _not_toml(message: str, text: str) -> Problem:
    """The error of the TOML reader, whose message ends with its position."""
    (match,) = _TOML_POSITION.finditer(message)
    if match[1] is None:
        last = text.rsplit("\n", 1)[-1]
        return Problem(Position(text.count("\n") + 1, len(last) + 1), message[: match.start()])
    return Problem(Position(int(match[1]), int(match[2])), message[: match.start()])


def read_tables(root: type[AnyTable], document: dict[str, Any], findings: list[Finding]) -> AnyTable:
    """The tables of a document, without those parts that are wrong: each of them is a finding. Parts are dropped."""
    while True:
        try:
            return msgspec.convert(document, root)
        except msgspec.ValidationError as error:
            found = explain(str(error), root)
        if found.path not in [path for earlier in findings for path in (earlier.path, earlier.meant)]:
            findings.append(found)
        _repair(document, found)


def _repair(document: dict[str, Any], found: Finding) -> None:
    """Make a part of the document valid: with a stand-in for a name that is missing, or without the part."""
    if found.path not in _STAND_INS or found.path == found.drop:
        _drop(document, found.drop)
        return
    table: Any = document
    for name in found.drop:
        table = table[name]
    table[found.path[-1]] = _STAND_INS[found.path]


def _drop(document: dict[str, Any], path: Path) -> None:
    """Take a part out, or put a stand-in in its place: the rows behind a row need their index."""
    *around, last = path
    if isinstance(last, int) and around[-1] not in _ROWS:
        _drop(document, tuple(around))
        return
    place: Any = document
    for name in around:
        place = place[name]
    if isinstance(last, int):
        place[last] = _ROWS[path[-2]]
    else:
        del place[last]
