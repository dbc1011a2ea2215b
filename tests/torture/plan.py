"""Plan: everything a run is going to do, drawn from one seed before it starts, and kept as JSON.

    seed, numbers, kinds, a workload's feed and ways -> Plan(faults, records, epilogue) <-> plan.json

The same arguments give the same plan, byte for byte; what really happens depends on the machine,
so the times are those of the plan's own clock (clock.py).
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

PARTITIONS = 4
BROKER = "broker"

KINDS = ("kill", "stop", "wipe", "leave", "join", "bounce", "quota", "refuse")
"""What can happen, as faults.py does it."""

WEIGHTS = {"kill": 5, "stop": 3, "wipe": 3, "leave": 2, "join": 1, "quota": 1, "refuse": 1}
"""How often each kind is drawn; how often the broker dies is said, not drawn."""

HOLD_S = {
    "kill": (0.0, 2.0),
    "stop": (0.5, 3.0),
    "wipe": (0.0, 2.0),
    "leave": (0.0, 2.0),
    "join": (1.0, 4.0),
    "bounce": (1.0, 4.0),
    "quota": (3.0, 6.0),
    "refuse": (0.5, 3.0),
}
"""How long each kind lasts once it has been observed, unless the workload says otherwise."""

FIRST_FAULT_S = 3.0
GAP_S = (3.0, 8.0)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: when by the plan's clock, what, to whom, for how long.

    ``target`` is a worker, for ``join`` one or more (``w3+w4``), for ``refuse`` a topic by its role, or ``broker``.
    ``limit`` is the quota in bytes per second, else 0.
    """

    at_s: float
    kind: str
    target: str
    hold_s: float
    limit: int = 0

    @property
    def lane(self) -> str:
        """Who is busy with it: faults of one lane come one after another, lanes run side by side."""
        return BROKER if self.kind in {"bounce", "quota", "refuse"} else self.target


class Record(NamedTuple):
    """One record to produce; ``topic`` is a role."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Feed(NamedTuple):
    """What is produced. ``epilogue`` comes after the last restart: what it makes needs all that went before."""

    records: tuple[Record, ...]
    epilogue: tuple[Record, ...]


class Ways(NamedTuple):
    """What a workload wants of the faults: topics that can refuse, by role, a quota that hurts, other holds."""

    refusable: tuple[str, ...]
    quota_bytes_per_s: tuple[int, int]
    hold_s: Mapping[str, tuple[float, float]] = {}


@dataclass(frozen=True)
class Plan:
    """A whole run of a workload."""

    seed: int
    workload: str
    workers: int
    span_s: float
    faults: tuple[Fault, ...]
    records: tuple[Record, ...]
    epilogue: tuple[Record, ...]

    def to_json(self) -> str:
        """The plan as text; bytes are Latin-1."""
        rows = asdict(self)
        for name in ("records", "epilogue"):
            rows[name] = [(row.topic, row.partition, _text(row.key), _text(row.value)) for row in getattr(self, name)]
        return json.dumps(rows, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that ``to_json`` wrote."""
        rows = json.loads(text)
        for name in ("records", "epilogue"):
            rows[name] = tuple(Record(*row[:2], *map(_bytes, row[2:])) for row in rows[name])
        rows["faults"] = tuple(Fault(**row) for row in rows["faults"])
        return cls(**rows)

    @property
    def digest(self) -> str:
        """Twelve hex digits that name the plan."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


def read_plan(path: Path) -> Plan:
    """The plan in a file. Raises OSError, ValueError, KeyError or TypeError for what is none."""
    return Plan.from_json(path.read_text())


def make_plan(
    seed: int,
    workload: str,
    feed: Feed,
    ways: Ways,
    *,
    cycles: int,
    broker_kills: int,
    workers: int,
    kinds: Sequence[str] = KINDS,
) -> Plan:
    """Draw a plan: ``cycles`` faults, ``broker_kills`` of them bounces, each other kind at least once if it fits.

    Raises ValueError for a kind nobody knows, and where the bounces leave no room or are not asked for.
    """
    if unknown := set(kinds) - set(KINDS):
        raise ValueError(f"unknown faults {', '.join(sorted(unknown))}: there are {', '.join(KINDS)}")
    if broker_kills and "bounce" not in kinds:
        raise ValueError(f"{broker_kills} broker kills, but bounce is not among the faults")
    if broker_kills > cycles:
        raise ValueError(f"{broker_kills} broker kills do not fit into {cycles} faults")
    faults, span_s = draw_faults(
        random.Random(seed), ways, cycles=cycles, broker_kills=broker_kills, workers=workers, kinds=kinds
    )
    return Plan(seed, workload, workers, span_s, faults, *feed)


def draw_faults(
    chance: random.Random, ways: Ways, *, cycles: int, broker_kills: int, workers: int, kinds: Sequence[str]
) -> tuple[tuple[Fault, ...], float]:
    """The schedule, and when by the plan's clock it is over."""
    drawn = [kind for kind in KINDS if kind in kinds and kind in WEIGHTS][: cycles - broker_kills]
    if len(drawn) < cycles - broker_kills:
        if not drawn:
            raise ValueError(f"{cycles} faults, but only {broker_kills} are asked for by kind")
        weights = [WEIGHTS[kind] for kind in drawn]
        drawn += chance.choices(drawn, weights, k=cycles - broker_kills - len(drawn))
    drawn += ["bounce"] * broker_kills
    chance.shuffle(drawn)
    faults, at_s = [], FIRST_FAULT_S
    for kind in drawn:
        faults.append(
            Fault(
                at_s=round(at_s, 2),
                kind=kind,
                target=target_of(chance, kind, workers, ways.refusable),
                hold_s=round(chance.uniform(*ways.hold_s.get(kind, HOLD_S[kind])), 2),
                limit=chance.randint(*ways.quota_bytes_per_s) if kind == "quota" else 0,
            )
        )
        at_s += chance.uniform(*GAP_S)
    return tuple(faults), round(at_s, 2)


def target_of(chance: random.Random, kind: str, workers: int, refusable: Sequence[str]) -> str:
    """Who is hit."""
    match kind:
        case "join":
            return "+".join(joiners(workers))
        case "bounce" | "quota":
            return BROKER
        case "refuse":
            return chance.choice(refusable)
        case _:
            return f"w{chance.randint(1, workers)}"


def joiners(workers: int) -> list[str]:
    """Who joins: the same ones every time, on the disks they had.

    Faust gives a worker ceil(partitions / workers) at most, so a third worker would get nothing of four partitions:
    so many join that everybody's share gets smaller. Raises ValueError where no number does.
    """
    for more in range(1, PARTITIONS):
        if ceil(PARTITIONS / (workers + more)) < ceil(PARTITIONS / workers):
            return [f"w{workers + number}" for number in range(1, more + 1)]
    raise ValueError(f"{workers} workers have a partition of {PARTITIONS} each: nobody can join")


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("latin-1")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
