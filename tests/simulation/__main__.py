"""Simulate schedules, and judge each.

    python -m simulation --schedules 1000 --seed 1 --processes 2    a line; exit 0 when nothing is wrong
    python -m simulation --replay 4711                              that schedule once more, just so
    python -m simulation --points                                   a small day ended at every pass of every point

A seed in one process gives the same schedule as in another: text is hashed the same way in all of them.
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
"""What prctl calls PR_SET_PDEATHSIG."""
HASHED_ALIKE = {"PYTHONHASHSEED": "0"}


class ScheduleReport(NamedTuple):
    """What one schedule came to."""

    name: str
    day: int
    wrong: list[str]
    digest: str
    passes: dict[str, int]
    crashes: list[str]
    deaths: dict[str, int]
    repeated: int


def seeds(first: int, bug: str, numbers: Iterable[int]) -> list[ScheduleReport]:
    """Play the schedules of these seeds."""
    from simulation.plan import planned

    return [told for number in numbers for told in _played([(f"seed {first + number}", planned(first + number))], bug)]


def pointed(bug: str, crashes: list[tuple[str, int]]) -> list[ScheduleReport]:
    """Play the small day, each time ended at one pass of a point."""
    from simulation.plan import Crash, small

    plan = small()
    plans = [(f"{point} {nth}", plan._replace(crashes=(Crash(point, nth),))) for point, nth in crashes]
    return list(_played(plans, bug))


def _played(plans: Iterable[tuple[str, object]], bug: str) -> Iterator[ScheduleReport]:
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
            dict(outcome.passes),
            [crash.point for crash in outcome.fired],
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


class Sum:
    """What all schedules so far came to."""

    def __init__(self) -> None:
        self.schedules = 0
        self.wrong: dict[str, list[str]] = {}
        self.passes: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.repeated = 0
        self._digests: dict[int, tuple[str, str]] = {}

    def add(self, told: ScheduleReport) -> None:
        """Take one in; another digest of the same day is wrong."""
        self.schedules += 1
        first, digest = self._digests.setdefault(told.day, (told.name, told.digest))
        wrong = list(told.wrong)
        if digest != told.digest and not wrong:
            wrong.append(f"WRONG: day {told.day} comes to {told.digest}, with {first} it came to {digest}")
        if wrong:
            self.wrong[told.name] = wrong
        self.passes.update(told.passes)
        self.crashes.update(told.crashes)
        self.deaths.update(told.deaths)
        self.repeated += told.repeated

    def report(self, took_s: float) -> dict[str, object]:
        """Everything, for a file."""
        return {
            "schedules": self.schedules,
            "per_minute": round(self.schedules * 60 / took_s),
            "seconds": round(took_s, 1),
            "wrong": self.wrong,
            "crashes": dict(self.crashes.most_common()),
            "ends": dict(self.deaths.most_common()),
            "passes": dict(self.passes.most_common()),
            "written_twice": self.repeated,
        }

    def line(self, what: str, took_s: float) -> str:
        """The run in one line."""
        return (
            f"{what} | {self.schedules} schedules | {self.schedules * 60 / took_s:.0f} a minute | "
            f"{sum(self.crashes.values())} crashes at {len(self.crashes)} points | {self.repeated} written twice | "
            f"{len(self.wrong)} WRONG"
        )


def run() -> int:
    """The command."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]], {**os.environ, **HASHED_ALIKE})
    parser = argparse.ArgumentParser(prog="simulation", description="Simulate the pipeline, and end it everywhere.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--schedules", type=int, default=300)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one schedule, and print everything about it")
    parser.add_argument("--points", action="store_true", help="end a small day at every pass of every failpoint")
    parser.add_argument("--bug", default="", help="build this bug into the pipeline, to see whether it is found")
    parser.add_argument("--until-wrong", action="store_true", help="stop at the first schedule that is wrong")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, crashes and failures to this file")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    os.environ["SIMULATION_DIRECTORY"] = str(directory)
    began_s = time.monotonic()
    try:
        if options.replay is not None:
            what, told = f"seed {options.replay}", iter(seeds(options.replay, options.bug, [0]))
        elif options.points:
            what, told = "points", _every_point(options.bug, options.processes)
        else:
            what, told = f"seed {options.seed}", _every_seed(options)
        total = Sum()
        for one in told:
            total.add(one)
            for line in total.wrong.get(one.name, ())[:5]:
                sys.stderr.write(f"{one.name}: {line}\n")
            if options.until_wrong and total.wrong:
                break
            if total.schedules % 1000 == 0:
                sys.stderr.write(f"{total.line(what, time.monotonic() - began_s)}\n")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{total.line(what, took_s)}\n")
    if options.json:
        options.json.write_text(json.dumps(total.report(took_s), indent=1))
    return 1 if total.wrong else 0


def _every_seed(options: argparse.Namespace) -> Iterator[ScheduleReport]:
    chunks = [range(at, min(at + CHUNK, options.schedules)) for at in range(0, options.schedules, CHUNK)]
    if options.processes == 1:
        for chunk in chunks:
            for number in chunk:
                yield from seeds(options.seed, options.bug, [number])
        return
    yield from _spread(options.processes, [(seeds, options.seed, options.bug, chunk) for chunk in chunks])


def _every_point(bug: str, processes: int) -> Iterator[ScheduleReport]:
    [calm] = pointed(bug, [("", 0)])
    yield calm
    ends = [(point, nth) for point, count in sorted(calm.passes.items()) for nth in range(1, count + 1)]
    chunks = [ends[at : at + CHUNK] for at in range(0, len(ends), CHUNK)]
    if processes == 1:
        for chunk in chunks:
            yield from pointed(bug, chunk)
        return
    yield from _spread(processes, [(pointed, bug, chunk) for chunk in chunks])


def _tied() -> None:
    """Have the kernel end this process with the one that began it."""
    ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)


def _spread(processes: int, calls: list[tuple[object, ...]]) -> Iterator[ScheduleReport]:
    with ProcessPoolExecutor(processes, initializer=_tied) as pool:
        under_way: list[Future[list[ScheduleReport]]] = [pool.submit(*call) for call in calls[: processes * 2]]  # type: ignore[arg-type]
        rest = iter(calls[processes * 2 :])
        try:
            while under_way:
                yield from under_way.pop(0).result()
                for call in rest:
                    under_way.append(pool.submit(*call))  # type: ignore[arg-type]
                    break
        finally:
            for future in under_way:
                future.cancel()


if __name__ == "__main__":
    sys.exit(run())
