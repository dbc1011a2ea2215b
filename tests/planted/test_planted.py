"""Thousands of breaks of planted causes: each verdict, each stake and each control total, to the last digit."""

import ast
import sys
from pathlib import Path

import oracle
import pytest
from tiers import nightly_but

from planted import grouped
from planted.causes import verdict
from planted.day import EVERY_COLUMN, FOUNDING_COLUMNS, trades, write
from planted.money import Desk
from planted.run import breaks_as_planted

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


@pytest.mark.parametrize("count", nightly_but(SHORT, [SHORT, LONG]))
@pytest.mark.parametrize("day", DAYS)
def test_verdicts_stakes_and_control_totals_to_the_last_digit(day: str, count: int, tmp_path: Path) -> None:
    desk, wide = DAYS[day]
    planted = trades(count, count, desk, wide=wide)
    write(tmp_path, planted, EVERY_COLUMN if wide else FOUNDING_COLUMNS, seed=count)
    assert breaks_as_planted(tmp_path, planted, desk) >= (10_000 if count == LONG else 300)


@pytest.mark.parametrize("count", nightly_but(SHORT, [SHORT, LONG]))
def test_groups_add_up_to_the_last_digit(count: int, tmp_path: Path) -> None:
    """Fills and allocations, compared as sums and averages."""
    planted = grouped.orders(count, count)
    write(tmp_path, planted, grouped.COLUMNS, seed=count)
    assert breaks_as_planted(tmp_path, planted, grouped.ORDERS) >= (10_000 if count == LONG else 300)


@pytest.mark.parametrize("wide", [False, True])
def test_what_a_cause_states_is_what_the_rules_say_of_its_rows(wide: bool) -> None:
    """The causes and the oracle of the founding rules know nothing of each other."""
    for trade in trades(5, SHORT, FOUNDING, wide=wide):
        rows = trade.executions, trade.confirmations, trade.snapshots
        finding = oracle.find(*rows, oracle.FOUNDING)
        assert (finding.state, finding.reasons) == verdict(trade, FOUNDING), trade


@pytest.mark.parametrize("module", ["__init__", "causes", "wider_causes", "grouped", "money", "day", "run"])
def test_the_oracle_imports_only_the_standard_library_and_itself(module: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"planted"}
