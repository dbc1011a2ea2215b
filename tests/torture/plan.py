"""Plan: everything a run is going to do, drawn from one seed before it starts, and kept as JSON.

    seed, numbers, kinds -> Plan(faults, records, epilogue) <-> plan.json

The same arguments give the same plan, byte for byte; what really happens depends on the machine,
so the times are those of the plan's own clock (clock.py). Records are keys and uids; a
partition is crc32(key) modulo the partitions.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from zlib import crc32

PARTITIONS = 4
KEYS = 200
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
"""How long each kind lasts once it has been observed."""

QUOTA_BYTES_PER_SECOND = (1500, 3000)
FIRST_FAULT_S = 3.0
GAP_S = (3.0, 8.0)
AGAIN = 0.06
ELSEWHERE = 0.01
RECENT = 50


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: when by the plan's clock, what, to whom, for how long.

    ``target`` is a worker, for ``join`` one or more (``w3+w4``), for ``refuse`` a topic (``changelog`` or ``out``),
    or ``broker``. ``limit`` is the quota in bytes per second, else 0.
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


@dataclass(frozen=True)
class Record:
    """One record to produce."""

    key: str
    uid: str

    @property
    def partition(self) -> int:
        """Where it goes: a key lives in one partition."""
        return crc32(self.key.encode()) % PARTITIONS


@dataclass(frozen=True)
class Plan:
    """A whole run. ``epilogue`` is produced after the last restart: its counts need all that went before."""

    seed: int
    workers: int
    span_s: float
    faults: tuple[Fault, ...]
    records: tuple[Record, ...]
    epilogue: tuple[Record, ...]

    def to_json(self) -> str:
        """The plan as text; a record is ``key uid``."""
        rows = asdict(self)
        for name in ("records", "epilogue"):
            rows[name] = [f"{row['key']} {row['uid']}" for row in rows[name]]
        return json.dumps(rows, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that ``to_json`` wrote."""
        rows = json.loads(text)
        for name in ("records", "epilogue"):
            rows[name] = tuple(Record(*row.split(" ")) for row in rows[name])
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
    seed: int, *, cycles: int, broker_kills: int, workers: int, records: int, kinds: Sequence[str] = KINDS
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
    chance = random.Random(seed)
    faults, span_s = draw_faults(chance, cycles, broker_kills, workers, kinds)
    produced = draw_records(chance, seed, records)
    keys = sorted({record.key for record in produced})
    fresh = [Record(key, f"s{seed}-e{number:05d}") for number, key in enumerate(keys)]
    return Plan(seed, workers, span_s, faults, produced, (*fresh, *chance.sample(produced, min(KEYS, records)), *fresh))


def draw_faults(
    chance: random.Random, cycles: int, broker_kills: int, workers: int, kinds: Sequence[str]
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
                target=target_of(chance, kind, workers),
                hold_s=round(chance.uniform(*HOLD_S[kind]), 2),
                limit=chance.randint(*QUOTA_BYTES_PER_SECOND) if kind == "quota" else 0,
            )
        )
        at_s += chance.uniform(*GAP_S)
    return tuple(faults), round(at_s, 2)


def target_of(chance: random.Random, kind: str, workers: int) -> str:
    """Who is hit."""
    match kind:
        case "join":
            return "+".join(joiners(workers))
        case "bounce" | "quota":
            return BROKER
        case "refuse":
            return chance.choice(("changelog", "out"))
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


def draw_records(chance: random.Random, seed: int, count: int) -> tuple[Record, ...]:
    """New records, some of them again soon or much later, and some uids under a second key, where they are new."""
    drawn: list[Record] = []
    for number in range(count):
        key, dice = f"k{chance.randrange(KEYS)}", chance.random()
        if drawn and dice < AGAIN:
            drawn.append(
                drawn[chance.randrange(len(drawn))] if chance.random() < 0.5 else chance.choice(drawn[-RECENT:])
            )
        elif drawn and dice < AGAIN + ELSEWHERE:
            drawn.append(Record(key, chance.choice(drawn).uid))
        else:
            drawn.append(Record(key, f"s{seed}-{number:06d}"))
    return tuple(drawn)
