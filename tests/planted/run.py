"""A run: the command over the files of a day, and all it leaves behind compared with what was worked out."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planted.causes import Planted, verdict
from planted.money import Desk, Totals, add_trade, in_digits, stake_of


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


def breaks_as_planted(folder: Path, planted: Sequence[Planted], desk: Desk) -> int:
    """Run the command on the files in a folder; the number of breaks, all of them and every total as worked out."""
    found, summary = reconciled(folder, desk.file)
    cells, totals = expected(planted, desk)
    assert not summary["rejected"], (folder / "results.rejects.csv").read_text()[:2_000]
    assert found.keys() == cells.keys(), f"not the trades that were planted: {sorted(found.keys() ^ cells.keys())[:9]}"
    wrong = {
        (trade.cause, trade.trade_id): (cells[trade.trade_id], got)
        for trade in planted
        if (got := {name: found[trade.trade_id][name] for name in cells[trade.trade_id]}) != cells[trade.trade_id]
    }
    assert not wrong, f"{len(wrong)} trades are wrong; the first, expected and found: {next(iter(wrong.items()))}"
    accounts = {(account.pop("broker") or "", account.pop("currency") or ""): account for account in summary["totals"]}
    worked_out = spelled(totals)
    differing = {
        account: (worked_out.get(account), accounts.get(account))
        for account in worked_out.keys() | accounts.keys()
        if worked_out.get(account) != accounts.get(account)
    }
    assert not differing, f"totals, expected and found: {differing}"
    for each in totals.values():
        assert each.executions - each.confirmations == each.breaks + each.tolerated + each.not_compared, each
    breaks = sum(bool(cell["reasons"]) for cell in cells.values())
    assert summary["breaks"] == breaks, f"{breaks} breaks, and the summary says {summary['breaks']}"
    return breaks
