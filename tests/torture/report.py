"""Report: what a run came to, in one line and in JSON; several runs add up.

Report -> "seed 44 | commit abc | ... | SAFE LIVE", report.json; report.json, ... -> Total
"""

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from broker.kafka_server import JARS

from torture.findings import Defect

LIBRARIES = ("faust-streaming", "mode-streaming", "aiokafka", "rocksdict")


@dataclass(frozen=True)
class Report:
    """Everything worth keeping of a run. ``passing``: defects seen on the way and gone at the end, unsafe as well.

    ``counted``: the defects that are named also where there are none, as the workload wants it.
    ``settled_s``: after the faults, after the restart, after the epilogue; None where it did not.
    """

    seed: int
    plan: str
    workload: str
    bug: str
    commit: str
    circumstances: dict[str, str]
    workers: int
    records: int
    faults: list[dict[str, Any]]
    counted: list[str]
    defects: dict[str, int]
    passing: int
    findings: list[str]
    repeated: int
    fed_again: int
    exits: dict[str, int]
    unasked: dict[str, int]
    disallowed: dict[str, int]
    settled_s: list[float | None]
    still_open: list[str]
    took_s: float

    @property
    def safe(self) -> bool:
        """Whether nothing was lost, wrong, or promised too early at any time."""
        return not self.defects and not self.passing

    @property
    def live(self) -> bool:
        """Whether everything was done in time."""
        return None not in self.settled_s

    @property
    def complaints(self) -> list[str]:
        """What else fails the run: a fault that never fired, an exit nobody allows."""
        dead = [f"fault {fault['kind']} {fault['target']} never fired" for fault in self.faults if not fault["fired"]]
        return dead + [f"exit code {code}, {times}x" for code, times in self.disallowed.items()]

    @property
    def ok(self) -> bool:
        """Whether the run is a success."""
        return self.safe and self.live and not self.complaints

    @property
    def kinds(self) -> Counter[str]:
        """How often each kind of fault fired."""
        return Counter(fault["kind"] for fault in self.faults if fault["fired"])

    @property
    def line(self) -> str:
        """The run in one line."""
        settled_s = self.settled_s[0]
        parts = [
            f"seed {self.seed}",
            f"commit {self.commit}",
            *([f"workload {self.workload}"] if self.workload != "ours" else []),
            *([f"bug {self.bug}"] if self.bug else []),
            by_kind(self.kinds),
            f"{self.records} records",
            *figures(self.counted, self.defects, self.passing, self.repeated),
            f"settled {settled_s:.1f} s" if settled_s is not None else "NOT SETTLED",
            *self.complaints,
            f"{'SAFE' if self.safe else 'UNSAFE'} {'LIVE' if self.live else 'NOT LIVE'}",
        ]
        return " | ".join(parts)

    def to_json(self) -> str:
        """The report as text."""
        verdict = {"ok": self.ok, "safe": self.safe, "live": self.live, "line": self.line}
        return json.dumps({**verdict, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """The report that ``to_json`` wrote. Raises ValueError or TypeError for what is none."""
        row = json.loads(text)
        return cls(**{name: row[name] for name in cls.__dataclass_fields__ if name in row})


def by_kind(kinds: Counter[str]) -> str:
    """Faults by kind, the most frequent first: ``60 faults (20 kill, 9 stop)``."""
    listed = ", ".join(f"{times} {kind}" for kind, times in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0])))
    return f"{kinds.total()} faults" + (f" ({listed})" if listed else "")


def figures(counted: Sequence[str], defects: Mapping[str, int], passing: int, repeated: int) -> list[str]:
    """The figures of the line: always those one asks for, the others where there are any."""
    always = [f"{defect} {defects.get(defect, 0)}" for defect in counted]
    seldom = [f"{defect} {defects[defect]}" for defect in Defect if defects.get(defect) and defect not in counted]
    return [*always, *seldom, *([f"PASSING {passing}"] if passing else []), f"REPEATED {repeated}"]


def add_up(reports: Sequence[Report]) -> tuple[str, bool]:
    """Several runs in one line, and whether all of them are successes. Raises ValueError where there are none."""
    if not reports:
        raise ValueError("no reports to add up")
    kinds, defects, exits = Counter[str](), Counter[str](), Counter[str]()
    for report in reports:
        kinds.update(report.kinds)
        defects.update(report.defects)
        exits.update(report.exits)
    settled = [settled_s for report in reports for settled_s in report.settled_s[:1] if settled_s is not None]
    counted = list(dict.fromkeys(defect for report in reports for defect in report.counted))
    failed = [f"FAILED seed {report.seed}" for report in reports if not report.ok]
    parts = [
        f"{len(reports)} runs",
        f"commit {', '.join(sorted({report.commit for report in reports}))}",
        by_kind(kinds),
        f"{sum(report.records for report in reports)} records",
        *figures(
            counted, defects, sum(report.passing for report in reports), sum(report.repeated for report in reports)
        ),
        f"exits {', '.join(f'{times}x {code}' for code, times in sorted(exits.items()))}",
        f"settled {max(settled):.1f} s at most" if settled else "never settled",
        f"{sum(report.took_s for report in reports) / 60:.0f} minutes",
        *failed,
        f"{sum(report.safe for report in reports)} SAFE {sum(report.live for report in reports)} LIVE",
    ]
    return " | ".join(parts), not failed


def commit() -> str:
    """The checkout's commit, with a plus where it was changed since; nothing known is a question mark."""
    git = ["git", "-C", str(Path(__file__).parent)]
    named = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if named.returncode:
        return "?"
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return named.stdout.strip() + ("+" if changed.stdout else "")


def circumstances() -> dict[str, str]:
    """When it ran, and on what."""
    kafka = {jar.stem.rpartition("-")[2] for jar in JARS.glob("kafka-clients-*.jar")}
    return {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "kafka": " ".join(sorted(kafka)),
        **{name: version(name) for name in LIBRARIES},
    }
