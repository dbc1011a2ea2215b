"""``traderecon reconcile`` beside pandas and Polars, on the same files in the same run.

    PYTHONPATH=tests python -m benchmarks.batch [--trades 1000000] [--rounds 3] [--only NAME ...]

Each engine reads the three CSV files of ``traderecon simulate`` (profile typical), joins them and applies the founding
checks, each in a process of its own, the engines in turn in every round. The others compute in binary floats, take
every line for well formed and every id for unique, and only count; TradeRecon decodes strictly, is exact, and writes
a row per trade and the rejects. Wall seconds, CPU seconds of the process and its children, and the peak memory of the
largest process are the operating system's own.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

EXECUTIONS, CONFIRMATIONS, PNL = "executions.csv", "broker_confirmations.csv", "pnl_snapshot.csv"

PANDAS = f"""
import pandas as pd
e, c, p = (pd.read_csv(name) for name in ("{EXECUTIONS}", "{CONFIRMATIONS}", "{PNL}"))
both = e.merge(c, on="trade_id", suffixes=("", "_c")).merge(p, on="trade_id", how="left")
broken = (both.ticker != both.ticker_c) | (both.quantity != both.quantity_c)
broken |= (both.price - both.price_c).abs() > 0.005
broken |= (pd.to_datetime(both.timestamp) - pd.to_datetime(both.timestamp_c)).abs() > pd.Timedelta(milliseconds=100)
expected = both.price * both.quantity - both.commission
broken |= both.pnl_impact.notna() & ~((expected - both.pnl_impact).abs() < 1)
print(int(broken.sum()))
"""

POLARS = f"""
import polars as pl
e, c, p = (pl.scan_csv(name) for name in ("{EXECUTIONS}", "{CONFIRMATIONS}", "{PNL}"))
at = lambda name: pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ")
both = e.join(c, on="trade_id", suffix="_c").join(p, on="trade_id", how="left")
expected = pl.col("price") * pl.col("quantity") - pl.col("commission")
broken = (
    (pl.col("ticker") != pl.col("ticker_c"))
    | (pl.col("quantity") != pl.col("quantity_c"))
    | ((pl.col("price") - pl.col("price_c")).abs() > 0.005)
    | ((at("timestamp") - at("timestamp_c")).abs() > pl.duration(milliseconds=100))
    | ((expected - pl.col("pnl_impact")).abs() >= 1).fill_null(False)
)
print(both.select(broken.sum()).collect().item())
"""

TRADERECON = ["reconcile", "--executions", EXECUTIONS, "--confirmations", CONFIRMATIONS, "--pnl", PNL]


def engines(command: str) -> dict[str, list[str]]:
    """What is measured: a command line per engine."""
    return {
        "traderecon": [command, *TRADERECON, "--out", "results.csv", "--json"],
        "traderecon, 2 processes": [command, *TRADERECON, "--out", "results-2.csv", "--json", "--processors", "2"],
        "pandas": [sys.executable, "-c", PANDAS],
        "polars": [sys.executable, "-c", POLARS],
    }


def measure(argv: list[str], folder: Path) -> tuple[dict[str, float], str]:
    """Run one command to its end: wall and CPU seconds, peak MiB, and what it printed."""
    before = os.times()
    start = perf_counter()
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv[0]} ended with {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": perf_counter() - start, "cpu": cpu, "mib": usage.ru_maxrss / 1024}, printed.strip()


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--trades", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--only", nargs="*", default=None)
    chosen = arguments.parse_args()
    command = str(Path(sys.executable).with_name("traderecon"))
    with TemporaryDirectory(prefix="traderecon-bench-") as name:
        folder = Path(name)
        simulate = [command, "simulate", "--trades", str(chosen.trades), "--seed", str(chosen.seed), "--csv", name]
        subprocess.run(simulate, check=True, stderr=subprocess.DEVNULL)
        size = sum(path.stat().st_size for path in folder.iterdir())
        runs: dict[str, list[dict[str, float]]] = {}
        said: dict[str, str] = {}
        for number in range(chosen.rounds):
            for engine, argv in engines(command).items():
                if chosen.only is None or engine in chosen.only:
                    figures, said[engine] = measure(argv, folder)
                    runs.setdefault(engine, []).append(figures)
                    print(f"round {number + 1}: {engine:24} {figures['wall']:6.2f} s", file=sys.stderr)
    print(
        f"{chosen.trades:,} trades, {size / 2**20:.0f} MiB of CSV, {os.cpu_count()} processors, {chosen.rounds} rounds"
    )
    print(f"{'':24} {'wall s':>18} {'CPU s':>7} {'peak MiB':>9}   pairs that break")
    for engine, measured in runs.items():
        wall = [figures["wall"] for figures in measured]
        spread = f"{median(wall):.2f} ({min(wall):.2f}-{max(wall):.2f})"
        cpu, mib = median(figures["cpu"] for figures in measured), median(figures["mib"] for figures in measured)
        found = said[engine]
        breaks = json.loads(found)["states"].get("MISMATCHED", 0) if engine.startswith("traderecon") else found
        print(f"{engine:24} {spread:>18} {cpu:7.2f} {mib:9.0f}   {breaks}")
    if {"traderecon", "pandas"} <= set(runs):
        ratios = [b["wall"] / a["wall"] for a, b in zip(runs["traderecon"], runs["pandas"], strict=True)]
        print(f"pandas takes {median(ratios):.2f} times as long, round by round {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
