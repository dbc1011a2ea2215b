"""``traderecon rules``: check a file, show the rules."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from traderecon.cli import command
from traderecon.exit_codes import Exit
from traderecon.records.action import RulesChange, encode_action, rules_change
from traderecon.rules import FOUNDING
from traderecon.rules.content import as_json, content
from traderecon.rules.file import parse_rules
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record

pytestmark = pytest.mark.usefixtures("here")

DESK = """name = "desk-7"
pnl_required = true
[checks]
ticker = false
[checks.price]
tolerance = { basis_points = "1", base = "confirmation", bound = "strict" }
[checks.timestamp]
tolerance_ms = "2.5"
[[severity]]
reason = "PRICE_MISMATCH"
stake_at_least = 5
stake_below = "1e6"
currency = "USD"
severity = "low"
[[severity]]
open_hours = 24
severity = "critical"
"""
WRONG = """grace_second = 60
[checks]
price = { tolerance = { absolute = -1 } }
commision = true

[checks.timestamp]
  tolerance_ms = "soon"
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["rules", *arguments])


def shown(*arguments: str) -> dict[str, Any]:
    result = run("show", "--json", *arguments)
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (Exit.OK, "", 1)
    description: dict[str, Any] = json.loads(result.stdout)
    return description


def test_a_valid_file_is_named_with_its_hash(here: Path) -> None:
    (here / "desk.toml").write_text(DESK)
    stamp = parse_rules(DESK).stamp()
    result = run("check", "desk.toml")
    assert (result.exit_code, result.stderr) == (Exit.OK, "")
    assert result.stdout == f"desk.toml: valid. Rules 'desk-7', sha256 {stamp.sha256}\n"
    assert json.loads(run("check", "desk.toml", "--json").stdout) == {
        "file": "desk.toml",
        "valid": True,
        "name": "desk-7",
        "sha256": stamp.sha256,
    }


def test_every_error_is_listed_with_its_line_and_column(here: Path) -> None:
    (here / "desk.toml").write_text(WRONG)
    result = run("check", "desk.toml")
    assert (result.exit_code, result.stdout) == (Exit.INPUT, "")
    *lines, last = result.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["desk.toml:1:1", "grace_second is not known"],
        ["desk.toml:1:1", "name is missing"],
        ["desk.toml:3:25", lines[2].split(": ")[1]],
        ["desk.toml:4:1", "checks.commision is not known"],
        ["desk.toml:7:3", "checks.timestamp.tolerance_ms is 'soon'"],
    ]
    assert last == "Error: desk.toml: 5 errors: correct each line above"


def test_the_errors_in_json(here: Path) -> None:
    (here / "desk.toml").write_text(WRONG)
    result = run("check", "desk.toml", "--json")
    assert result.exit_code == Exit.INPUT
    report = json.loads(result.stdout)
    assert (report["file"], report["valid"]) == ("desk.toml", False)
    assert [(problem["line"], problem["column"]) for problem in report["problems"]] == [
        (1, 1),
        (1, 1),
        (3, 25),
        (4, 1),
        (7, 3),
    ]


def test_a_grace_of_a_source_is_shown(here: Path) -> None:
    (here / "desk.toml").write_text('name = "x"\n[sources.pnl_snapshot]\ngrace_seconds = 7.5\n')
    assert "\n        7.5 s for pnl_snapshot\n" in run("show", "desk.toml").stdout
    assert shown("desk.toml")["source_graces"] == {"pnl_snapshot": "7.5"}


def test_the_schedule_of_a_source_and_the_cut_off_are_shown(here: Path) -> None:
    times = 'zone = "UTC"\nopens = "08:00"\ncloses = "17:00"\n'
    (here / "desk.toml").write_text(
        f'name = "x"\n[sources.executions.schedule]\n{times}[calendar]\n{times}cut_off = "21:00"\n'
    )
    hours = "08:00 to 17:00 in UTC, mon, tue, wed, thu, fri"
    text = run("show", "desk.toml").stdout
    assert f"\nspeaks  executions: {hours}\n" in text
    assert f"\nhours   breaks age from {hours}; cut-off 21:00\n" in text
    assert shown("desk.toml")["source_schedules"] == {"executions": hours}


def test_the_tables_of_the_sources_are_checked_too(here: Path) -> None:
    (here / "desk.toml").write_text(DESK + '\n[sources.executions]\nzone = "Mars"\n')
    result = run("check", "desk.toml")
    assert result.exit_code == Exit.INPUT
    assert result.stderr.startswith("desk.toml:20:1: sources.executions.zone")
    assert "1 error:" in result.stderr


@pytest.mark.parametrize("subcommand", ["check", "show"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "desk.toml: cannot be read (No such file or directory)"),
        (b"\xff", "desk.toml: 'utf-8' codec can't decode"),
        (b"name = ", "desk.toml:1:8: Invalid value"),
        (b'name = "x"\n\n= 1', "desk.toml:3:1: "),
        (b'name = "\x1b[2J"\n"\\u001b" = 1', "desk.toml:"),
    ],
)
def test_what_is_no_rules_file_is_an_invalid_input(
    here: Path, subcommand: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (here / "desk.toml").write_bytes(content)
    result = run(subcommand, "desk.toml")
    assert (result.exit_code, result.stdout) == (Exit.INPUT, "")
    assert message in result.stderr
    assert "\x1b" not in result.stderr


def test_the_founding_rules_in_words() -> None:
    result = run("show")
    assert (result.exit_code, result.stderr) == (Exit.OK, "")
    lines = result.stdout.splitlines()
    assert lines[:5] == [
        "rules   founding",
        f"sha256  {FOUNDING.stamp().sha256}",
        "source  built in",
        "grace   60 s: how long a trade waits for its other side, and never for a pnl snapshot",
        "legs    that contradict each other: a break",
    ]
    assert "  price            up to 0.005, inclusive" in lines
    assert "  timestamp        up to 100 ms, inclusive" in lines
    assert "  pnl              less than 1, strict" in lines
    assert not any(line.startswith("Off") for line in lines)


def test_the_rules_of_a_file_in_words(here: Path) -> None:
    (here / "desk.toml").write_text(DESK)
    lines = run("show", "desk.toml").stdout.splitlines()
    assert lines[0] == "rules   desk-7"
    assert lines[2] == "source  desk.toml"
    assert "and for its pnl snapshot" in lines[3]
    assert "  price            less than 0.01 % of the confirmation's amount, strict" in lines
    assert "  timestamp        up to 2.5 ms, inclusive" in lines
    assert lines[-5:] == [
        "Off: ticker",
        "",
        "Severity, by the first row that fits, else by the reason:",
        "  low       PRICE_MISMATCH, at stake from 5 USD up to below 1000000 USD",
        "  critical  every break, open 24 h",
    ]


def test_the_rules_in_force_follow_the_settings(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "desk.toml").write_text(DESK)
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    monkeypatch.setenv("TRADERECON_GRACE_SECONDS", "5")
    effective = shown()
    assert (effective["name"], effective["source"], effective["grace_seconds"]) == ("desk-7", "desk.toml", "5")
    of_file = shown("desk.toml")
    assert of_file["grace_seconds"] == "60"
    assert of_file["sha256"] != effective["sha256"]
    assert (of_file["off"], of_file["pnl_required"]) == (["ticker"], True)


def test_the_rules_in_json() -> None:
    founding = shown()
    assert founding["content"] == msgspec.json.decode(msgspec.json.encode(content(FOUNDING)))
    assert founding["sha256"] == FOUNDING.stamp().sha256
    assert founding["checks"][2] == {
        "name": "price",
        "requires": "Both sides have the same price, compared by value.",
        "allowed": "up to 0.005, inclusive",
        "reason": "PRICE_MISMATCH",
    }


def test_an_invalid_file_in_force_is_a_refused_configuration(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "desk.toml").write_text(WRONG)
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    result = run("show")
    assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
    assert "desk.toml:4:1: checks.commision is not known" in result.stderr


def stored(here: Path, *changes: RulesChange) -> None:
    """A database with these records."""
    store = Store.open(f"sqlite:///{here / 'traderecon.db'}")
    try:
        store.prepare()
        records = [
            Record(offset, offset, change.key, encode_action(change), ()) for offset, change in enumerate(changes)
        ]
        store.take(MicroBatch(topics().actions, 0, records))
    finally:
        store.close()


@pytest.fixture
def database(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", f"sqlite:///{here / 'traderecon.db'}")
    return here


def first(text: str, sha256: str | None = None) -> RulesChange:
    parsed = parse_rules(text)
    return rules_change(0, 7, None, (sha256 or parsed.stamp().sha256, content(parsed)), as_json(parsed))


def test_the_rules_of_a_result_come_from_the_database(database: Path) -> None:
    stored(database, first(DESK))
    sha256 = parse_rules(DESK).stamp().sha256
    on_record = shown("--sha256", sha256[:12])
    assert (on_record["name"], on_record["sha256"], on_record["source"]) == ("desk-7", sha256, "the database")
    assert on_record["content"] == shown_of(DESK)
    (place,) = on_record["in_force"]
    assert (place["partition"], place["offset"]) == (0, 7)


def shown_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content(parse_rules(text))))
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sha256", "12345678"], Exit.INPUT, "begins with 12345678: none"),
        (["--sha256", "a" * 8], Exit.INPUT, "were recorded by a version that wrote no text of them"),
        (["--sha256", "b" * 64], Exit.BREAKS, "have another sha256: the database was changed"),
        (["--sha256", "c" * 8], Exit.INPUT, f"{'c' * 63}d, {'c' * 63}e. Give that of one result"),
        (["--sha256", "1234"], Exit.USAGE, "give at least 8 hexadecimal digits"),
        (["--sha256", "%" * 8], Exit.USAGE, "give at least 8 hexadecimal digits"),
        (["--sha256", "a" * 8, "desk.toml"], Exit.USAGE, "FILE and --sha256 exclude each other"),
    ],
)
def test_rules_that_are_not_on_record(database: Path, arguments: list[str], code: Exit, message: str) -> None:
    stored(
        database,
        rules_change(0, 0, ("0" * 64, {}), ("a" * 64, {})),
        first(DESK, "b" * 64),
        first(DESK, "c" * 63 + "d"),
        first(DESK, "c" * 63 + "e"),
    )
    result = run("show", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_without_a_database_no_rules_are_found(database: Path) -> None:
    assert run("show", "--sha256", "a" * 64).exit_code == Exit.UNREACHABLE


def test_groups_and_business_hours_are_shown_in_words(here: Path) -> None:
    calendar = '[calendar]\nzone = "UTC"\nopens = "08:00"\ncloses = "24:00"\nmarket = "XNYS"\n'
    (here / "desk.toml").write_text(f'name = "o"\ngroup_by = "order_id"\n{calendar}')
    shown = run("show", "desk.toml").stdout
    assert "groups  by order_id: its records are added up" in shown
    assert "hours   breaks age from 08:00 to 24:00 in UTC, mon, tue, wed, thu, fri, closed on " in shown
    assert json.loads(run("show", "desk.toml", "--json").stdout)["group_by"] == "order_id"


def test_a_match_key_is_shown(here: Path) -> None:
    (here / "desk.toml").write_text('name = "o"\nmatch_key = ["trade_id", "broker", "trade_date"]')
    assert "key     broker, trade_date, trade_id" in run("show", "desk.toml").stdout
    assert json.loads(run("show", "desk.toml", "--json").stdout)["match_key"] == ["broker", "trade_date", "trade_id"]
    assert "key " not in run("show").stdout


PNL = """
name = "x"
[checks.pnl]
basis = "expression"
expression = "sign * price * quantity - commission"
price_source = "both"
multiplier_field = "contract_multiplier"
commission_sign = "cash_flow"
[[asset_class]]
name = "futures"
tickers = ["ES*", "NQ*"]
[[override]]
asset_class = "futures"
[override.checks.pnl]
basis = "gross"
"""


def test_what_the_pnl_check_expects_is_shown_for_all_trades_and_under_an_override(here: Path) -> None:
    (here / "desk.toml").write_text(PNL)
    text = run("show", "desk.toml").stdout
    assert "\nclass   futures: ES*, NQ*\n" in text
    assert (
        "pnl_impact is sign * price * quantity - commission, with the price of each side in turn (the worse result "
        "counts), the quantity of the execution, times its contract_multiplier, sign 1 for a sale and -1 for a "
        "purchase, the commission of the snapshot (negative where it was paid)."
    ) in text
    assert "pnl_impact is price * quantity, with the price of each side" in text
    (here / "desk.toml").write_text(PNL.replace('["ES*", "NQ*"]', str([f"T{number}" for number in range(22)])))
    assert "T18, T19 and 2 more\n" in run("show", "desk.toml").stdout
    assert len(shown("desk.toml")["asset_classes"]["futures"]) == 22
