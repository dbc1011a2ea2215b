"""``traderecon reconcile`` from a terminal: what it prints, writes and rejects, and its exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from batches import plain_files, rows_of, simulated, written
from click.testing import CliRunner, Result

from traderecon.batch.split import PART_BYTES
from traderecon.cli import command
from traderecon.exit_codes import Exit
from traderecon.present.trade_row import COLUMNS, COUNTS, SENT_TEXT

TERMS = "AAPL,100,190.50,2025-07-26T10:01:23Z"
HEAD = "trade_id,ticker,quantity,price,timestamp"
INPUTS = ("--executions", "executions.csv", "--confirmations", "broker_confirmations.csv", "--pnl", "pnl_snapshot.csv")
NAMES = {"executions.csv", "broker_confirmations.csv", "pnl_snapshot.csv"}
BAD = "T9,AAPL,no number,1,2025-07-26T10:01:23Z"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory without configuration."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("TRADERECON_"):
            monkeypatch.delenv(name)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, ["reconcile", *(str(argument) for argument in arguments)])


def installed() -> str:
    """The installed command."""
    found = shutil.which("traderecon", path=str(Path(sys.executable).parent))
    assert found
    return found


def small(here: Path, *more: str) -> None:
    """Two matching trades, one without a confirmation, and any further executions."""
    both = [f"T1,{TERMS}", f"T3,{TERMS}"]
    written(here, plain_files([*both, f"T2,{TERMS}", *more], both, ["T1,19049.50,0.5"]))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def rows(text: str) -> list[dict[str, str]]:
    return list(rows_of(text.encode()))


def test_the_founding_sample(here: Path) -> None:
    written(
        here,
        plain_files(
            ["T1,AAPL,100,190.50,2025-07-26T10:01:23"], ["T1,AAPL,100,190.50,2025-07-26T10:01:22.900"], ["T1,95.00,0.5"]
        ),
    )
    (row,) = rows(run(*INPUTS).stdout)
    assert row == dict.fromkeys(COLUMNS, "") | {
        **{"agreed": "4", "differing": "0", "sent_by_both": "4", "sent_by_one": "0"},
        "trade_id": "T1",
        "state": "MISMATCHED",
        "reasons": "PNL_INCONSISTENT",
        **{"severity": "medium", "at_stake": "18954.5"},
        "hints": "CONFIRM_BEFORE_EXECUTION;PNL_BASIS_SUSPECT;TIMESTAMP_NO_TIMEZONE",
        "event_time": "2025-07-26T10:01:23Z",
        "execution_ticker": "AAPL",
        "execution_quantity": "100",
        "execution_price": "190.5",
        "execution_timestamp": "2025-07-26T10:01:23Z",
        "confirmation_ticker": "AAPL",
        "confirmation_quantity": "100",
        "confirmation_price": "190.5",
        "confirmation_timestamp": "2025-07-26T10:01:22.900Z",
        "pnl_impact": "95",
        "commission": "0.5",
        "ticker_check": "PASS",
        "quantity_check": "PASS",
        "quantity_difference": "0",
        "price_check": "PASS",
        "price_difference": "0",
        "timestamp_check": "WITHIN_TOLERANCE",
        "timestamp_difference_ms": "100",
        "pnl_check": "FAIL",
        "pnl_difference": "18954.5",
    }


@pytest.mark.parametrize("out", [(), ("--out", "-")])
def test_rows_on_stdout_and_messages_on_stderr(here: Path, out: tuple[str, ...]) -> None:
    small(here, BAD)
    result = run(*INPUTS, *out)
    assert result.exit_code == Exit.OK
    assert result.stdout.splitlines()[0] == ",".join(COLUMNS)
    assert [(row["trade_id"], row["state"], row["reasons"]) for row in rows(result.stdout)] == [
        ("T1", "MATCHED", ""),
        ("T2", "UNMATCHED", "MISSING_CONFIRMATION"),
        ("T3", "MATCHED", ""),
    ]
    assert result.stderr.splitlines()[0] == "3 trades: 2 matched, 1 unmatched"
    assert "1 row rejected, see traderecon.rejects.csv" in result.stderr
    assert names(here) == NAMES | {"traderecon.rejects.csv"}


def test_without_rejects_and_out_there_is_no_rejects_file(here: Path) -> None:
    small(here)
    assert "rejected" not in run(*INPUTS).stderr
    assert names(here) == NAMES


def test_pnl_may_be_left_out(here: Path) -> None:
    small(here)
    result = run(*INPUTS[:4])
    assert [row["pnl_check"] for row in rows(result.stdout)] == ["NOT_CHECKED"] * 3


@pytest.mark.parametrize("missing", ["--executions", "--confirmations"])
def test_both_sides_are_required(here: Path, missing: str) -> None:
    small(here)
    index = INPUTS.index(missing)
    result = run(*INPUTS[:index], *INPUTS[index + 2 :])
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert f"Missing option '{missing}'" in result.stderr


@pytest.mark.parametrize("extension", ["csv", "json", "parquet", "CSV"])
def test_a_file_and_its_rejects_beside_it(here: Path, extension: str) -> None:
    small(here, BAD)
    result = run(*INPUTS, "--out", f"results.{extension}")
    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert names(here) == NAMES | {f"results.{extension}", "results.rejects.csv"}
    assert f"results in results.{extension}" in result.stderr
    (reject,) = rows((here / "results.rejects.csv").read_text())
    assert reject == {
        "line": "5",
        "file": "executions.csv",
        "code": "SCHEMA_INVALID",
        "text": "T9 has quantity 'no number': send a decimal with a point and nothing else in it",
    }


def test_yesterdays_rejects_are_not_mistaken_for_todays(here: Path) -> None:
    small(here)
    (here / "results.rejects.csv").write_text("yesterday")
    run(*INPUTS, "--out", "results.csv")
    assert (here / "results.rejects.csv").read_text() == "line,file,code,text\n"


@pytest.mark.parametrize("out", [(), ("--out", "results.csv")])
def test_rejects_go_to_the_given_file(here: Path, out: tuple[str, ...]) -> None:
    small(here)
    run(*INPUTS, *out, "--rejects", "odd lines.txt")
    assert names(here) == NAMES | set(out[1:]) | {"odd lines.txt"}
    assert (here / "odd lines.txt").read_text() == "line,file,code,text\n"


def test_rejects_of_a_file_with_windows_line_breaks(here: Path) -> None:
    small(here, "", "T8", BAD)
    for name in NAMES:
        (here / name).write_bytes((here / name).read_bytes().replace(b"\n", b"\r\n"))
    run(*INPUTS, "--out", "results.csv")
    rejects = rows((here / "results.rejects.csv").read_text())
    assert [(reject["line"], reject["code"]) for reject in rejects] == [("6", "FIELD_MISSING"), ("7", "SCHEMA_INVALID")]


def test_the_forms_carry_the_same_rows(here: Path) -> None:
    written(here, simulated("hostile", trades=300))
    for extension in ("csv", "json", "parquet"):
        assert run(*INPUTS, "--out", f"results.{extension}").exit_code == Exit.OK
    listed = json.loads((here / "results.json").read_bytes())
    stored = pl.read_parquet(here / "results.parquet").drop("event_time").to_dicts()
    assert stored == [{name: value for name, value in row.items() if name != "event_time"} for row in listed]
    shown = rows((here / "results.csv").read_text())
    assert [row["trade_id"].removeprefix("'") for row in shown] == [row["trade_id"] for row in listed]
    assert [[row[name] for name in COUNTS] for row in shown] == [[str(row[name]) for name in COUNTS] for row in listed]
    for name in set(COLUMNS) - {*SENT_TEXT, *COUNTS}:
        expected = [";".join(row[name]) if isinstance(row[name], list) else row[name] or "" for row in listed]
        assert [row[name] for row in shown] == expected


def test_json_on_stdout_is_the_rows(here: Path) -> None:
    small(here)
    result = run(*INPUTS, "--json")
    first, second, _ = json.loads(result.stdout)
    assert (first["trade_id"], first["state"], first["reasons"], first["pnl_impact"]) == (
        "T1",
        "MATCHED",
        [],
        "19049.5",
    )
    assert (second["reasons"], second["confirmation_price"]) == (["MISSING_CONFIRMATION"], None)
    assert tuple(first) == COLUMNS


def test_json_beside_a_file_is_the_summary(here: Path) -> None:
    small(here, BAD, f"T2,{TERMS}")
    result = run(*INPUTS, "--out", "results.csv", "--json")
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout) == {
        "trades": 3,
        "breaks": 1,
        "rejected": 1,
        "states": {"MATCHED": 2, "UNMATCHED": 1},
        "reasons": {"MISSING_CONFIRMATION": 1},
        "hints": {},
        "rejects": {"SCHEMA_INVALID": 1},
        "rows": {"executions": 5, "broker_confirmations": 2, "pnl_snapshot": 1},
        "skipped": {},
        "duplicates": {"executions": 1},
        "totals": [
            {
                "broker": None,
                "currency": None,
                "executions": "57150",
                "confirmations": "38100",
                "breaks": "19050",
                "tolerated": "0",
                "not_compared": "0",
                "at_stake": "19050",
                "unknown": 0,
            }
        ],
        "orphan_pnl": {"trades": 0, "first": []},
        "clock_suspects": [],
    }


def test_the_output_does_not_depend_on_the_order_of_lines(here: Path) -> None:
    """Every state and every reason occurs equally often."""
    sent = [f"T{number},{TERMS}" for number in range(6)]
    altered = [*sent[:4], f"U,{TERMS}"]
    changes = (("AAPL", "MSFT"), ("100,", "101,"), ("190.50", "191.50"), ("23Z", "24Z"))
    altered = [line.replace(*change) for line, change in zip(altered, changes, strict=False)] + altered[4:]
    outputs = set()
    for ours, theirs in (
        (sent, altered),
        (sent[::-1], altered[::-1]),
        (sent[3:] + sent[:3], altered[2:] + altered[:2]),
    ):
        written(here, plain_files(ours, theirs, [f"T0,1,{len(sent)}"]))
        result = run(*INPUTS, "--out", "results.csv", "--json")
        outputs.add((result.stdout, result.stderr, (here / "results.csv").read_bytes()))
    assert len(outputs) == 1


def test_breaks_fail_only_with_the_option(here: Path) -> None:
    small(here)
    assert run(*INPUTS, "--out", "results.csv").exit_code == Exit.OK
    result = run(*INPUTS, "--out", "again.csv", "--report", "report.html", "--fail-on-breaks")
    assert result.exit_code == Exit.BREAKS
    assert (here / "again.csv").read_bytes() == (here / "results.csv").read_bytes()
    assert (here / "report.html").exists()


@pytest.mark.parametrize("more", [(), (BAD,)], ids=["clean", "rejects"])
def test_without_breaks_nothing_fails(here: Path, more: tuple[str, ...]) -> None:
    written(here, plain_files([f"T1,{TERMS}", *more], [f"T1,{TERMS}"]))
    assert run(*INPUTS, "--out", "results.csv", "--fail-on-breaks").exit_code == Exit.OK


def test_rejects_fail_only_with_the_option(here: Path) -> None:
    written(here, plain_files([BAD], [BAD]))
    for option in ("--fail-on-breaks", "--json"):
        assert run(*INPUTS, "--out", "results.csv", option).exit_code == Exit.OK
    result = run(*INPUTS, "--out", "results.csv", "--fail-on-rejects")
    assert result.exit_code == Exit.BREAKS
    assert "2 rows rejected" in result.stderr
    small(here)
    assert run(*INPUTS, "--out", "results.csv", "--fail-on-rejects").exit_code == Exit.OK
    assert "rejected rows do not count" in " ".join(run("--help").stdout.split())


def test_a_file_without_rows_is_named(here: Path) -> None:
    written(here, plain_files([f"T1,{TERMS}"], [], ["T1,1,1"]))
    result = run(*INPUTS, "--out", "results.csv")
    assert [line for line in result.stderr.splitlines() if "no rows" in line] == [
        "broker_confirmations.csv has no rows"
    ]


def test_the_report_is_written(here: Path) -> None:
    small(here, BAD)
    result = run(*INPUTS, "--report", "report.html")
    page = (here / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "MISSING_CONFIRMATION" in page
    assert "traderecon.rejects.csv" in page
    assert "report in report.html" in result.stderr
    assert len(rows(result.stdout)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "results.txt"), "results.txt: write a name that ends in .csv, .json, .parquet"),
        (("--out", "results"), "results: write a name that ends in .csv, .json, .parquet"),
        (("--open",), "--open needs --report FILE.html"),
        (("--confirmations", "executions.csv"), "executions.csv is given twice: each input"),
        (("--out", "/dev/null.csv/../null", "--rejects", "/dev/null"), "write a name that ends in"),
        (("--rejects", "/dev/null"), "/dev/null cannot be written"),
        (("--out", "nowhere/results.csv"), "nowhere/results.csv cannot be written"),
        (("--rejects", "nowhere/r.csv"), "nowhere/r.csv cannot be written"),
        (("--report", "nowhere/report.html"), "nowhere/report.html cannot be written"),
        (("--out", "folder.csv"), "folder.csv cannot be written"),
        (("--out", "executions.csv"), "executions.csv is an input: write executions.csv somewhere else"),
        (("--out", "./folder.csv/../executions.csv"), "executions.csv is an input"),
        (("--out", "link.csv"), "executions.csv is an input: write link.csv somewhere else"),
        (("--rejects", "broker_confirmations.csv"), "broker_confirmations.csv is an input"),
        (("--report", "pnl_snapshot.csv"), "pnl_snapshot.csv: write a name that ends in .html"),
        (("--rejects", "pnl_snapshot.csv"), "pnl_snapshot.csv is an input"),
        (("--out", "a.csv", "--rejects", "a.csv"), "a.csv is given for two outputs: write a.csv somewhere else"),
        (("--out", "a.csv", "--rejects", "./a.csv"), "a.csv is given for two outputs"),
        (("--processors", "0"), "--processors"),
        (("--speed", "9"), "No such option"),
        (("--out", "a.csv", "--out", "b.csv"), "--out is given 2 times: give it once"),
        (("--executions", "-", "--pnl", "-"), "- is given more than once, but stdin can only be read once"),
        (("--executions", "executions*"), "executions.csv is given twice: each input"),
    ],
)
def test_outputs_that_cannot_be_written_are_rejected_before_the_work(
    here: Path, arguments: tuple[str, ...], message: str
) -> None:
    small(here)
    (here / "folder.csv").mkdir()
    (here / "link.csv").symlink_to("executions.csv")
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    result = run(*INPUTS, *arguments)
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert message in " ".join(result.stderr.split())
    assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("option", ["--executions", "--confirmations", "--pnl"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory): give a CSV file"),
        (b"", "is empty: its first line must name the columns"),
        (b"id,price\n", "lacks the columns trade_id, "),
    ],
)
def test_a_file_that_cannot_be_reconciled(here: Path, option: str, content: bytes | None, message: str) -> None:
    small(here)
    if content is not None:
        (here / "odd.csv").write_bytes(content)
    before = names(here)
    arguments = list(INPUTS)
    arguments[arguments.index(option) + 1] = "odd.csv"
    result = run(*arguments, "--out", "results.csv", "--report", "report.html")
    assert (result.exit_code, result.stdout) == (Exit.INPUT, "")
    assert result.stderr.startswith(f"Error: odd.csv: {message}")
    assert names(here) == before


def test_files_of_one_feed_add_up_however_they_are_named(here: Path) -> None:
    small(here, BAD)
    whole = run(*INPUTS, "--out", "whole.csv")
    for name in ("executions.csv", "broker_confirmations.csv"):
        header, *lines = (here / name).read_text().splitlines(keepends=True)
        for number, part in enumerate((lines[:1], lines[1:2], lines[2:])):
            (here / f"part-{number}-{name}").write_text("".join([header, *part]))
    confirmations = [f"part-{number}-broker_confirmations.csv" for number in range(3)]
    result = run(
        *("--executions", "part-*-executions.csv", "--confirmations", confirmations[0]),
        *("--confirmations", confirmations[1], "--confirmations", confirmations[2], *INPUTS[4:]),
        *("--out", "parts.csv", "--report", "report.html"),
    )
    assert (result.exit_code, whole.exit_code) == (Exit.OK, Exit.OK), result.output
    assert (here / "parts.csv").read_bytes() == (here / "whole.csv").read_bytes()
    rejects = rows((here / "parts.rejects.csv").read_text())
    assert [(row["file"], row["line"], row["code"]) for row in rejects] == [
        ("part-2-executions.csv", "3", "SCHEMA_INVALID")
    ]
    page = (here / "report.html").read_text()
    assert all(f"part-{number}-executions.csv" in page for number in range(3))


def test_files_with_the_same_name_are_distinguished_by_folder(here: Path) -> None:
    small(here)
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "x.csv").write_text(f"{(here / 'executions.csv').read_text().splitlines()[0]},venue\n{BAD}\n")
    result = run("--executions", "*/x.csv", *INPUTS[2:], "--out", "results.csv")
    assert result.exit_code == Exit.OK
    assert [row["file"] for row in rows((here / "results.rejects.csv").read_text())] == ["a/x.csv", "b/x.csv"]
    assert "a/x.csv: ignored columns: venue" in result.stderr
    assert "b/x.csv: ignored columns: venue" in result.stderr


def test_a_pattern_that_matches_nothing_is_an_error(here: Path) -> None:
    small(here)
    (here / "day-1").mkdir()
    for pattern in ("x*.csv", "day-?"):
        result = run("--executions", pattern, *INPUTS[2:])
        assert (result.exit_code, result.stdout) == (Exit.INPUT, "")
        assert f"{pattern}: no file matches this pattern" in result.stderr
    (here / "x[1].csv").write_text((here / "executions.csv").read_text())
    assert run("--executions", "x[1].csv", *INPUTS[2:]).stdout == run(*INPUTS).stdout


def test_a_hyphen_is_stdin(here: Path) -> None:
    small(here, BAD)
    sent = (here / "executions.csv").read_bytes()
    arguments = ["reconcile", "--executions", "-", *INPUTS[2:], "--rejects", "rejects.csv"]
    result = CliRunner().invoke(command, arguments, input=sent)
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout == run(*INPUTS).stdout
    assert [(row["file"], row["line"]) for row in rows((here / "rejects.csv").read_text())] == [("stdin", "5")]
    result = CliRunner().invoke(command, arguments, input=b"")
    assert (result.exit_code, "stdin: is empty" in result.stderr) == (Exit.INPUT, True)


def test_blank_lines_are_ignored(here: Path) -> None:
    small(here, "", " ", "\u00a0", "\u200b", "\r")
    assert "rejected" not in run(*INPUTS).stderr
    assert len(rows(run(*INPUTS).stdout)) == 3


def test_unknown_columns_are_reported_once_and_ignored(here: Path) -> None:
    small(here)
    header, *lines = (here / "executions.csv").read_text().splitlines()
    odd = "\n".join([f"{header},venue,venue,,tr\u202eader", *(f"{line},X,Y,,M\udcffller" for line in lines)])
    (here / "executions.csv").write_bytes(b"\xef\xbb\xbf" + odd.encode(errors="surrogateescape"))
    result = run(*INPUTS)
    assert result.stderr.count("executions.csv: ignored columns: venue, tr\\u202eader") == 1
    assert [row["state"] for row in rows(result.stdout)] == ["MATCHED", "UNMATCHED", "MATCHED"]
    (here / "executions.csv").write_text(f"{header},versoin\n")
    result = run(*INPUTS)
    assert result.exit_code == Exit.INPUT
    assert "'versoin' is not a known field: did you mean version?" in result.stderr


def test_a_folder_is_rejected(here: Path) -> None:
    small(here)
    (here / "day").mkdir()
    result = run("--executions", "day", *INPUTS[2:])
    assert result.exit_code == Exit.INPUT
    assert "day: cannot be read (Is a directory)" in result.stderr


def test_a_pipe_is_rejected_with_a_reason(here: Path) -> None:
    small(here)
    done = subprocess.run(
        [installed(), "reconcile", "--executions", "/dev/stdin", *INPUTS[2:]],
        input=(here / "executions.csv").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == Exit.INPUT
    assert b"/dev/stdin: is not a regular file" in done.stderr
    assert b"(None)" not in done.stderr


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (None, "desk.toml: cannot be read (No such file or directory): correct TRADERECON_RULES"),
        (b'name = "x"\n[checks]\nprise = true', "desk.toml:3:1: checks.prise is not known: did you mean price?"),
        (b"name =", "desk.toml:1:7: Invalid value"),
        (b'name = "\xff"', "desk.toml: 'utf-8' codec can't decode"),
        (b'name = "x"\n[checks.price.tolerance]\nabsolute = -1', "checks.price.tolerance.absolute is -1"),
    ],
)
def test_invalid_rules_are_rejected(
    here: Path, monkeypatch: pytest.MonkeyPatch, rules: bytes | None, message: str
) -> None:
    small(here)
    if rules is not None:
        (here / "desk.toml").write_bytes(rules)
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    result = run(*INPUTS, "--out", "results.csv")
    assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
    assert message in result.stderr
    assert "results.csv" not in names(here)


def test_invalid_settings_are_rejected(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(here)
    monkeypatch.setenv("TRADERECON_RULE", "desk.toml")
    result = run(*INPUTS)
    assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
    assert (
        result.stderr
        == "Error: TRADERECON_RULE (in the environment) is not a setting: did you mean TRADERECON_RULES?\n"
    )


@pytest.mark.parametrize("source", ["environment", "file"])
def test_the_rules_of_a_desk_are_applied(here: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    written(here, plain_files([f"T1,{TERMS}"], [f"T1,{TERMS.replace('AAPL', 'MSFT').replace('.50', '.60')}"]))
    (here / "desk.toml").write_text('name = "desk"\n[checks]\nticker = false\nprice.tolerance.absolute = "0.1"')
    if source == "environment":
        monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    else:
        (here / "traderecon.toml").write_text('rules = "desk.toml"')
    (row,) = rows(run(*INPUTS).stdout)
    assert (row["state"], row["ticker_check"], row["price_check"]) == ("MATCHED", "", "WITHIN_TOLERANCE")


@pytest.mark.parametrize(
    ("environment", "grace"),
    [({}, "1.5 s"), ({"TRADERECON_GRACE_SECONDS": "7"}, "7 s"), ({"TRADERECON_GRACE_SECONDS": "0"}, "0 s")],
)
def test_the_grace_of_the_rules_applies_unless_a_grace_is_set(
    here: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], grace: str
) -> None:
    from traderecon.cli.rules import effective_rules

    (here / "desk.toml").write_text('name = "desk"\ngrace_seconds = 1.5')
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    rules, file = effective_rules()
    assert file == Path("desk.toml")
    assert rules.grace_ns == {"1.5 s": 1_500_000_000, "7 s": 7_000_000_000, "0 s": 0}[grace]


def test_the_output_is_safe_for_spreadsheets(here: Path) -> None:
    sent = [
        '"=HYPERLINK(""http://x"")",@A,1,1,2025-07-26T10:01:23Z',
        "-T,\uff1dA,1,1,2025-07-26T10:01:23Z",
        " +T,A,x,1,1",
    ]
    written(here, plain_files(sent, sent[:2]))
    run(*INPUTS, "--out", "results.csv")
    shown = rows((here / "results.csv").read_text())
    assert [(row["trade_id"], row["execution_ticker"]) for row in shown] == [
        ("'-T", "'\uff1dA"),
        ('\'=HYPERLINK("http://x")', "'@A"),
    ]
    assert rows((here / "results.rejects.csv").read_text())[0]["text"].startswith("'+T has quantity")
    run(*INPUTS, "--out", "results.json")
    listed = json.loads((here / "results.json").read_bytes())
    assert [(row["trade_id"], row["confirmation_ticker"]) for row in listed] == [
        ("-T", "\uff1dA"),
        ('=HYPERLINK("http://x")', "@A"),
    ]


def test_processors_may_be_chosen(here: Path) -> None:
    small(here)
    assert run(*INPUTS, "--processors", "2").stdout == run(*INPUTS, "--processors", "1").stdout


def test_a_file_with_a_name_that_is_no_text(here: Path) -> None:
    small(here, BAD)
    odd = Path(os.fsdecode(b"ex\xff.csv"))
    Path("executions.csv").rename(odd)
    result = run("--executions", odd, *INPUTS[2:], "--out", "results.csv")
    assert result.exit_code == Exit.OK, result.exception
    (reject,) = rows((here / "results.rejects.csv").read_text())
    assert reject["file"].startswith("ex")


@pytest.mark.parametrize("name", ["[a]*", "a b"])
def test_temporary_files_may_lie_anywhere(here: Path, name: str) -> None:
    small(here)
    (here / name).mkdir()
    done = subprocess.run(
        [installed(), "reconcile", *INPUTS],
        env={**os.environ, "TMPDIR": str(here / name)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == Exit.OK, done.stderr.decode()
    assert names(here / name) == set()


LIMITED = """
import resource, sys
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from traderecon.cli import main
main()
"""


@pytest.mark.parametrize("extension", ["csv", "json"])
def test_on_a_full_disk_the_old_file_is_kept(here: Path, extension: str) -> None:
    """There is space for every part of the output, but not for all of it."""
    written(here, simulated("typical", trades=300))
    out = here / f"results.{extension}"
    assert run(*INPUTS, "--out", out).exit_code == Exit.OK
    before = out.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(len(before) - 1), "reconcile", *INPUTS, "--out", str(out)],
        env={**os.environ, "TMPDIR": str(here)},
        capture_output=True,
        check=False,
    )
    assert done.returncode not in {Exit.OK, Exit.BREAKS}
    assert b"File too large" in done.stderr
    assert out.read_bytes() == before
    assert names(here) == NAMES | {out.name, "results.rejects.csv"}


def started(here: Path, *, unbuffered: bool = False, long_lines: int = 0) -> "subprocess.Popen[bytes]":
    """A run that writes more rows to stdout than a pipe holds; it has started to write, and waits for a reader.

    With so many long lines, each of 1 MiB and no leg, it has several parts, and a process for each processor.
    """
    written(here, simulated("typical", trades=1000))
    with (here / "executions.csv").open("ab") as file:
        file.writelines([b"x" * 2**20 + b"\n"] * long_lines)
    process = subprocess.Popen(
        [installed(), "reconcile", *INPUTS, "--processors", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""},
    )
    assert process.stdout
    assert process.stdout.readline() == ",".join(COLUMNS).encode() + b"\n"
    assert process.stdout.readline().startswith(b"S7-00000000,")
    return process


unbuffered_or_not = pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])


@unbuffered_or_not
def test_a_suspended_run_continues(here: Path, *, unbuffered: bool) -> None:
    with started(here, unbuffered=unbuffered) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate()
    assert process.returncode == Exit.OK
    assert out.count(b"\n") == len(rows(run(*INPUTS).stdout)) - 1


@unbuffered_or_not
def test_a_closed_stdout_is_not_an_error(here: Path, *, unbuffered: bool) -> None:
    with started(here, unbuffered=unbuffered) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        stderr = process.stderr.read().decode()
    assert "Traceback" not in stderr
    assert "Exception" not in stderr
    assert names(here) <= NAMES | {"traderecon.rejects.csv"}


@pytest.mark.parametrize("long_lines", [0, 2 * PART_BYTES // 2**20], ids=["one process", "several"])
def test_ctrl_c_ends_it_quietly(here: Path, long_lines: int) -> None:
    """A terminal sends it to every process of the run."""
    with started(here, long_lines=long_lines) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate()
    assert process.returncode != Exit.OK
    assert stderr.split() == [b"stopped"]
    assert names(here) <= NAMES | {"traderecon.rejects.csv"}  # complete before the first row is printed


def test_an_interrupted_run_does_not_report_breaks(here: Path) -> None:
    with started(here) as process:
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode != Exit.BREAKS


def test_a_run_with_a_closed_stdout_does_not_report_breaks(here: Path) -> None:
    with started(here) as process:
        assert process.stdout
        process.stdout.close()
    assert process.returncode != Exit.BREAKS


def test_rows_marked_as_reconciled_are_skipped_and_counted(here: Path) -> None:
    (here / "executions.csv").write_text(f"{HEAD},reconciled\nT1,{TERMS},true\nT2,{TERMS},false\n")
    (here / "broker_confirmations.csv").write_text(f"{HEAD}\nT1,{TERMS}\nT2,{TERMS}\n")
    result = run(*INPUTS[:4], "--out", "results.csv", "--report", "report.html", "--json")
    assert result.exit_code == Exit.OK
    assert "2 rows skipped: their trades were reconciled before" in result.stderr
    assert "ignored columns" not in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["trades"], summary["skipped"]) == (1, {"broker_confirmations": 1, "executions": 1})
    assert "of trades reconciled before" in (here / "report.html").read_text()


def test_no_trade_at_all_fails_only_where_it_is_asked_for(here: Path) -> None:
    for name in ("executions.csv", "broker_confirmations.csv"):
        (here / name).write_text(f"{HEAD},reconciled\n")
    assert run(*INPUTS[:4]).exit_code == Exit.OK
    assert run(*INPUTS[:4], "--fail-on-empty").exit_code == Exit.BREAKS
    (here / "executions.csv").write_text(f"{HEAD},reconciled\nT1,{TERMS},true\n")
    assert run(*INPUTS[:4], "--fail-on-empty").exit_code == Exit.OK


def test_a_database_that_is_not_there_or_not_ours_is_refused(here: Path) -> None:
    small(here)
    missing = run(*INPUTS, "--against", "nowhere.db")
    assert missing.exit_code == Exit.INPUT
    assert "nowhere.db: there is no such file" in missing.stderr
    assert not (here / "nowhere.db").exists()
    (here / "other.db").write_text("no database, only text that is long enough to be read as a header of one")
    assert run(*INPUTS, "--against", "other.db").exit_code == Exit.UNREACHABLE
