"""Run simulated schedules, and judge each.

    python -m simulation --schedules 1000 --seed 1 --processes 2    prints one line; exit 0 if nothing is wrong
    python -m simulation --replay 4711                              repeats that schedule exactly
    python -m simulation --points                                   a small day with a crash at every failpoint hit

A seed gives the same schedule in every process, because PYTHONHASHSEED is fixed.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

IN_MEMORY = Path("/dev/shm")
CHUNK = 40
END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl."""
FIXED_HASHES = {"PYTHONHASHSEED": "0"}


class ScheduleReport(NamedTuple):
    """The outcome of one schedule."""

    name: str
    day: int
    wrong: list[str]
    digest: str
    hits: dict[str, int]
    crashes: list[str]
    deaths: dict[str, int]
    repeated: int


def run_seeds(first: int, bug: str, numbers: Iterable[int]) -> list[ScheduleReport]:
    """Run the schedules of these seeds."""
    from simulation.plan import draw_plan

    return [
        report
        for number in numbers
        for report in _run_plans([(f"seed {first + number}", draw_plan(first + number))], bug)
    ]


def run_points(bug: str, crashes: list[tuple[str, int]]) -> list[ScheduleReport]:
    """Run the small day once per crash: the failpoint, and which hit of it."""
    from simulation.plan import Crash, small_plan

    plan = small_plan()
    plans = [(f"{point} {nth}", plan._replace(crashes=(Crash(point, nth),))) for point, nth in crashes]
    return list(_run_plans(plans, bug))


def _run_plans(plans: Iterable[tuple[str, object]], bug: str) -> Iterator[ScheduleReport]:
    from simulation.verdict import Verdict
    from simulation.world import simulate

    for name, plan in plans:
        outcome, world = simulate(plan, _bench(bug))  # type: ignore[arg-type]
        verdict = Verdict(outcome, world)
        world.log.close()
        yield ScheduleReport(
            name,
            plan.day.seed,  # type: ignore[attr-defined]
            [finding.line for finding in verdict.findings],
            verdict.digest,
            dict(outcome.hits),
            [crash.point for crash in outcome.crashes],
            dict(outcome.deaths),
            outcome.repeated,
        )


_benches: dict[int, object] = {}


def _bench(bug: str) -> object:
    """This process's bench."""
    from simulation.world import Bench

    if os.getpid() not in _benches:
        if bug:
            from torture.pipeline_bugs import BUGS

            BUGS[bug]()
        _benches[os.getpid()] = Bench(Path(os.environ["SIMULATION_DIRECTORY"]) / str(os.getpid()))
    return _benches[os.getpid()]


class Summary:
    """The outcomes of all schedules so far."""

    def __init__(self) -> None:
        self.schedules = 0
        self.wrong: dict[str, list[str]] = {}
        self.hits: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.repeated = 0
        self._digests: dict[int, tuple[str, str]] = {}

    def add(self, report: ScheduleReport) -> None:
        """Add a report; a digest that differs from another of the same day is wrong."""
        self.schedules += 1
        first, digest = self._digests.setdefault(report.day, (report.name, report.digest))
        wrong = list(report.wrong)
        if digest != report.digest and not wrong:
            wrong.append(f"WRONG: the digest of day {report.day} is {report.digest}, in {first} it was {digest}")
        if wrong:
            self.wrong[report.name] = wrong
        self.hits.update(report.hits)
        self.crashes.update(report.crashes)
        self.deaths.update(report.deaths)
        self.repeated += report.repeated

    def report(self, elapsed_s: float) -> dict[str, object]:
        """All figures, as written by --json."""
        return {
            "schedules": self.schedules,
            "per_minute": round(self.schedules * 60 / elapsed_s),
            "seconds": round(elapsed_s, 1),
            "wrong": self.wrong,
            "crashes": dict(self.crashes.most_common()),
            "ends": dict(self.deaths.most_common()),
            "passes": dict(self.hits.most_common()),
            "written_twice": self.repeated,
        }

    def line(self, label: str, elapsed_s: float) -> str:
        """The run in one line."""
        return (
            f"{label} | {self.schedules} schedules | {self.schedules * 60 / elapsed_s:.0f} a minute | "
            f"{sum(self.crashes.values())} crashes at {len(self.crashes)} points | {self.repeated} written twice | "
            f"{len(self.wrong)} WRONG"
        )


def run() -> int:
    """The command."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]], {**os.environ, **FIXED_HASHES})
    parser = argparse.ArgumentParser(
        prog="simulation", description="Simulate the pipeline under crashes and network faults."
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--schedules", type=int, default=300)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one schedule, and print all its findings")
    parser.add_argument("--points", action="store_true", help="crash at every hit of every failpoint of a small day")
    parser.add_argument("--bug", default="", help="build this defect into the pipeline, to see it found")
    parser.add_argument("--until-wrong", action="store_true", help="stop at the first schedule that is wrong")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, crashes and failures to this file")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    os.environ["SIMULATION_DIRECTORY"] = str(directory)
    started_s = time.monotonic()
    try:
        if options.replay is not None:
            label, reports = f"seed {options.replay}", iter(run_seeds(options.replay, options.bug, [0]))
        elif options.points:
            label, reports = "points", _every_point(options.bug, options.processes)
        else:
            label, reports = f"seed {options.seed}", _every_seed(options)
        total = Summary()
        for report in reports:
            total.add(report)
            for line in total.wrong.get(report.name, ())[:5]:
                sys.stderr.write(f"{report.name}: {line}\n")
            if options.until_wrong and total.wrong:
                break
            if total.schedules % 1000 == 0:
                sys.stderr.write(f"{total.line(label, time.monotonic() - started_s)}\n")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    elapsed_s = time.monotonic() - started_s
    sys.stdout.write(f"{total.line(label, elapsed_s)}\n")
    if options.json:
        options.json.write_text(json.dumps(total.report(elapsed_s), indent=1))
    return 1 if total.wrong else 0


def _every_seed(options: argparse.Namespace) -> Iterator[ScheduleReport]:
    chunks = [range(start, min(start + CHUNK, options.schedules)) for start in range(0, options.schedules, CHUNK)]
    if options.processes == 1:
        for chunk in chunks:
            for number in chunk:
                yield from run_seeds(options.seed, options.bug, [number])
        return
    yield from _run_parallel(options.processes, [(run_seeds, options.seed, options.bug, chunk) for chunk in chunks])


def _every_point(bug: str, processes: int) -> Iterator[ScheduleReport]:
    [undisturbed] = run_points(bug, [("", 0)])
    yield undisturbed
    crashes = [(point, nth) for point, count in sorted(undisturbed.hits.items()) for nth in range(1, count + 1)]
    chunks = [crashes[start : start + CHUNK] for start in range(0, len(crashes), CHUNK)]
    if processes == 1:
        for chunk in chunks:
            yield from run_points(bug, chunk)
        return
    yield from _run_parallel(processes, [(run_points, bug, chunk) for chunk in chunks])


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)


def _run_parallel(processes: int, calls: list[tuple[object, ...]]) -> Iterator[ScheduleReport]:
    with ProcessPoolExecutor(processes, initializer=_die_with_parent) as pool:
        futures: list[Future[list[ScheduleReport]]] = [pool.submit(*call) for call in calls[: processes * 2]]  # type: ignore[arg-type]
        pending = iter(calls[processes * 2 :])
        try:
            while futures:
                yield from futures.pop(0).result()
                for call in pending:
                    futures.append(pool.submit(*call))  # type: ignore[arg-type]
                    break
        finally:
            for future in futures:
                future.cancel()


if __name__ == "__main__":
    sys.exit(run())
