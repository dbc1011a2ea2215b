"""Thousands of breaks of planted causes: each verdict, each stake and each control total, to the last digit."""

import ast
import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import oracle
import pytest
from tiers import nightly_but

from planted.causes import Planted, verdict
from planted.day import trades, written
from planted.money import Desk, Totals, add_trade, in_digits, stake_of

FOUNDING = Desk("founding")
DERIVATIVES = Desk(
    "derivatives",
    'name = "derivatives"\n[checks]\nprice = false\n[checks.pnl]\nmultiplier_field = "contract_multiplier"\n',
    compares_prices=False,
    books_multiplied=True,
)
DAYS = {
    "founding columns": (FOUNDING, False),
    "every column": (FOUNDING, True),
    "prices not compared, contracts multiplied": (DERIVATIVES, True),
}
SHORT, LONG = 520, 16_640
"""Trades; the night's have more than ten thousand breaks under each of the rules."""


def reconciled(folder: Path, rules: str | None) -> tuple[dict[str, dict[str, str]], Any]:
    """What the command leaves behind: a row per trade, and the summary."""
    if rules is not None:
        (folder / "rules.toml").write_text(rules)
    completed = subprocess.run(
        [
            str(Path(sys.executable).parent / "traderecon"),
            "reconcile",
            *("--executions", "executions.csv", "--confirmations", "confirmations.csv", "--pnl", "snapshots.csv"),
            *("--out", "results.csv", "--json"),
        ],
        cwd=folder,
        env={} if rules is None else {"TRADERECON_RULES": "rules.toml"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert completed.returncode == 0, completed.stderr
    with (folder / "results.csv").open(newline="") as file:
        rows = {row["trade_id"]: row for row in csv.DictReader(file)}
    return rows, json.loads(completed.stdout)


def expected(planted: Sequence[Planted], desk: Desk) -> tuple[dict[str, Mapping[str, str]], dict[Any, Totals]]:
    """The cells of every trade, and the totals of every account."""
    cells: dict[str, Mapping[str, str]] = {}
    totals: dict[tuple[str, str], Totals] = {}
    for trade in planted:
        state, reasons = verdict(trade, desk)
        stake = stake_of(trade.sent, reasons, desk) if reasons else None
        add_trade(totals, trade.sent, state=state, stake=stake, desk=desk)
        cells[trade.trade_id] = {
            "state": state,
            "reasons": ";".join(reasons),
            "at_stake": in_digits(stake.amount) if stake and stake.amount is not None else "",
            "at_stake_currency": stake.currency if stake else "",
        }
    return cells, totals


def spelled(totals: Mapping[tuple[str, str], Totals]) -> dict[tuple[str, str], dict[str, str | int]]:
    return {
        account: {name: amount if isinstance(amount, int) else in_digits(amount) for name, amount in vars(each).items()}
        for account, each in totals.items()
    }


@pytest.mark.parametrize("count", nightly_but(SHORT, [SHORT, LONG]))
@pytest.mark.parametrize("day", DAYS)
def test_verdicts_stakes_and_control_totals_to_the_last_digit(day: str, count: int, tmp_path: Path) -> None:
    desk, wide = DAYS[day]
    planted = trades(count, count, desk, wide=wide)
    written(tmp_path, planted, count, wide=wide)
    found, summary = reconciled(tmp_path, desk.file)
    cells, totals = expected(planted, desk)
    assert not summary["rejected"], (tmp_path / "results.rejects.csv").read_text()[:2_000]
    breaks = sum(bool(cell["reasons"]) for cell in cells.values())
    assert breaks >= (10_000 if count == LONG else 300)
    assert summary["breaks"] == breaks
    assert found.keys() == cells.keys()
    wrong = {
        (trade.cause, trade.trade_id): (cells[trade.trade_id], got)
        for trade in planted
        if (got := {name: found[trade.trade_id][name] for name in cells[trade.trade_id]}) != cells[trade.trade_id]
    }
    assert not wrong, f"{len(wrong)} trades, the first: {next(iter(wrong.items()))}"
    accounts = {(account.pop("broker") or "", account.pop("currency") or ""): account for account in summary["totals"]}
    assert accounts == spelled(totals)
    for each in totals.values():
        assert each.executions - each.confirmations == each.breaks + each.tolerated + each.not_compared


@pytest.mark.parametrize("wide", [False, True])
def test_what_a_cause_states_is_what_the_rules_say_of_its_rows(wide: bool) -> None:
    """The causes and the oracle of the founding rules know nothing of each other."""
    for trade in trades(5, SHORT, FOUNDING, wide=wide):
        rows = trade.executions, trade.confirmations, trade.snapshots
        finding = oracle.find(*rows, oracle.FOUNDING)
        assert (finding.state, finding.reasons) == verdict(trade, FOUNDING), trade


@pytest.mark.parametrize("module", ["__init__", "causes", "wider_causes", "money", "day"])
def test_the_oracle_imports_only_the_standard_library_and_itself(module: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"planted"}
