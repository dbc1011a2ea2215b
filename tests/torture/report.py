"""Report: the outcome of a run, in one line and in JSON; several runs add up.

Report -> "seed 44 | commit abc | ... | SAFE LIVE", report.json; report.json, ... -> Total
"""

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from broker.kafka_server import JARS

from torture.findings import Defect

LIBRARIES = ("faust-streaming", "mode-streaming", "aiokafka", "rocksdict")


@dataclass(frozen=True)
class Report:
    """The outcome of a run. ``passing``: defects found during the run but not at its end; they are unsafe as well.

    ``counted``: the defects that are listed even if there are none; chosen by the workload.
    ``settled_s``: after the faults, after the restart, after the epilogue; None where it did not. ``digest``: what
    another schedule over the same ``feed`` must not change. ``broken``: findings by invariant.
    ``ready_s``: from its start until it was ready, of every life of a worker that got there, ascending.
    ``excused``: ends with 4 or 78 that are allowed because of a fault.
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
    disallowed: list[str]
    settled_s: list[float | None]
    still_open: list[str]
    took_s: float
    fault_seed: int = -1
    feed: str = ""
    digest: str = ""
    trades: int = 0
    most_rss_mb: int = 0
    most_files: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)
    brokers: int = 1
    excused: list[str] = field(default_factory=list)

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
        """Other reasons to fail the run: a fault that never fired, an exit that is not allowed."""
        never_fired = [
            f"fault {fault['kind']} {fault['target']} never fired" for fault in self.faults if not fault["fired"]
        ]
        return [*never_fired, *self.disallowed]

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
            f"seed {self.seed}" + (f"/{self.fault_seed}" if self.fault_seed not in {-1, self.seed} else ""),
            f"commit {self.commit}",
            *([f"workload {self.workload}"] if self.workload != "ours" else []),
            *([f"brokers={self.brokers}"] if self.brokers > 1 else []),
            *([f"bug {self.bug}"] if self.bug else []),
            by_kind(self.kinds),
            f"{self.records} records",
            *([f"{self.trades} trades"] if self.trades else []),
            *figures(self.counted, self.defects, self.passing, self.repeated),
            f"settled {settled_s:.1f} s" if settled_s is not None else "NOT SETTLED",
            *in_short("ready", self.ready_s),
            *([f"digest {self.digest}"] if self.digest else []),
            *([f"broken {', '.join(sorted(self.broken))}"] if self.broken else []),
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


def in_short(label: str, ascending_s: Sequence[float]) -> list[str]:
    """Median and maximum of some times; empty if there are none."""
    return [f"{label} p50 {median(ascending_s):.1f} s, {ascending_s[-1]:.1f} s at most"] if ascending_s else []


def by_kind(kinds: Counter[str]) -> str:
    """Faults by kind, the most frequent first: ``60 faults (20 kill, 9 stop)``."""
    listed = ", ".join(f"{times} {kind}" for kind, times in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0])))
    return f"{kinds.total()} faults" + (f" ({listed})" if listed else "")


def figures(counted: Sequence[str], defects: Mapping[str, int], passing: int, repeated: int) -> list[str]:
    """The figures of the line: those in ``counted`` always, others only if there are any."""
    always = [f"{defect} {defects.get(defect, 0)}" for defect in counted]
    others = [f"{defect} {defects[defect]}" for defect in Defect if defects.get(defect) and defect not in counted]
    return [*always, *others, *([f"PASSING {passing}"] if passing else []), f"REPEATED {repeated}"]


@dataclass(frozen=True)
class Total:
    """Several runs added up. Raises ValueError if there are none."""

    reports: Sequence[Report]

    def __post_init__(self) -> None:
        if not self.reports:
            raise ValueError("no reports to add up")

    @property
    def kinds(self) -> Counter[str]:
        """How often each kind of fault fired."""
        return Counter(kind for report in self.reports for kind in report.kinds.elements())

    @property
    def pairs(self) -> dict[str, list[Report]]:
        """The runs that fed the same records under different schedules, by feed."""
        by_feed: dict[str, dict[str, Report]] = {}
        for report in self.reports:
            if report.digest:
                by_feed.setdefault(report.feed, {})[report.plan] = report
        return {feed: list(plans.values()) for feed, plans in by_feed.items() if len(plans) > 1}

    @property
    def unlike(self) -> list[str]:
        """I13: the feeds for which two schedules gave different results."""
        return [feed for feed, runs in self.pairs.items() if len({report.digest for report in runs}) > 1]

    @property
    def settled_s(self) -> list[float]:
        """How long it took after the last fault, ascending; runs that did not settle are left out."""
        return sorted(
            settled_s for report in self.reports for settled_s in report.settled_s[:1] if settled_s is not None
        )

    @property
    def ready_s(self) -> list[float]:
        """From its start until it was ready, of every life of a worker, ascending."""
        return sorted(ready_s for report in self.reports for ready_s in report.ready_s)

    @property
    def took_s(self) -> float:
        """How long the runs took together."""
        return sum(report.took_s for report in self.reports)

    @property
    def ok(self) -> bool:
        """Whether all of them are successes, and schedules make no difference."""
        return all(report.ok for report in self.reports) and not self.unlike

    @property
    def line(self) -> str:
        """All of them in one line."""
        reports, settled = self.reports, self.settled_s
        defects, exits = Counter[str](), Counter[str]()
        for report in reports:
            defects.update(report.defects)
            exits.update(report.exits)
        counted = list(dict.fromkeys(defect for report in reports for defect in report.counted))
        trades = sum(report.trades for report in reports)
        parts = [
            f"{len(reports)} runs",
            f"commit {', '.join(sorted({report.commit for report in reports}))}",
            *(f"brokers={brokers}" for brokers in sorted({report.brokers for report in reports} - {1})),
            by_kind(self.kinds),
            f"{sum(report.records for report in reports)} records",
            *([f"{trades} trades"] if trades else []),
            *figures(
                counted, defects, sum(report.passing for report in reports), sum(report.repeated for report in reports)
            ),
            f"exits {', '.join(f'{times}x {code}' for code, times in sorted(exits.items()))}",
            *(in_short("settled", settled) or ["never settled"]),
            *in_short("ready", self.ready_s),
            *([f"{len(self.pairs)} pairs, {len(self.unlike)} UNLIKE"] if self.pairs else []),
            f"{self.took_s / 60:.0f} minutes",
            *(f"FAILED seed {report.seed}" for report in reports if not report.ok),
            f"{sum(report.safe for report in reports)} SAFE {sum(report.live for report in reports)} LIVE",
        ]
        return " | ".join(parts)

    def to_json(self) -> str:
        """The sum as text, with the line of each run."""
        total = {
            "ok": self.ok,
            "line": self.line,
            "runs": len(self.reports),
            "seeds": [report.seed for report in self.reports],
            "commits": sorted({report.commit for report in self.reports}),
            "circumstances": self.reports[-1].circumstances,
            "faults": dict(self.kinds),
            "records": sum(report.records for report in self.reports),
            "trades": sum(report.trades for report in self.reports),
            "defects": dict(sum((Counter(report.defects) for report in self.reports), Counter[str]())),
            "settled_p50_s": median(self.settled_s) if self.settled_s else None,
            "settled_most_s": self.settled_s[-1] if self.settled_s else None,
            "ready_p50_s": median(self.ready_s) if self.ready_s else None,
            "ready_most_s": self.ready_s[-1] if self.ready_s else None,
            "pairs": {feed: sorted({report.digest for report in runs}) for feed, runs in self.pairs.items()},
            "took_s": round(self.took_s, 1),
            "lines": [report.line for report in self.reports],
        }
        return json.dumps(total, indent=1)


def commit() -> str:
    """The commit of the checkout, with a plus if it has changes; a question mark if unknown."""
    git = ["git", "-C", str(Path(__file__).parent)]
    revision = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if revision.returncode:
        return "?"
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return revision.stdout.strip() + ("+" if changed.stdout else "")


def circumstances() -> dict[str, str]:
    """When and on what the run ran."""
    kafka = {jar.stem.rpartition("-")[2] for jar in JARS.glob("kafka-clients-*.jar")}
    return {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "kafka": " ".join(sorted(kafka)),
        **{name: version(name) for name in LIBRARIES},
    }
