"""Plan: everything a run is going to do, drawn from two seeds before it starts, and stored as JSON.

    seeds, numbers, kinds, a workload's feed and ways -> Plan(faults, records, epilogue) <-> plan.json

The feed and the faults have separate seeds: the same records can go through another schedule. The same arguments give
the same plan, byte for byte. What happens depends on the machine, times are those of the plan's own clock (clock.py).
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import NamedTuple

PARTITIONS = 4
BROKER = "broker"
ALONE = "everybody"
COORDINATOR = "coordinator"
"""The target of ``leader`` that means the leader of the group's partition of ``__consumer_offsets``."""

ON_WORKERS = ("kill", "stop", "wipe", "leave", "clock")
ON_EVERY_WORKER = ("changelog", "recreate")
ONLY_PIPELINE = ("slow-db", "codec", "transaction", "changelog", "recreate", "step")
"""Kinds that need intake, journal or database."""
KINDS = (
    *("kill", "stop", "wipe", "leave", "join", "bounce", "quota", "refuse", "proxy", "disk", "clock", "slow-db"),
    *("codec", "transaction", "changelog", "recreate", "step"),
)
"""The kinds of faults with one broker; see faults.py."""
ON_BROKERS = ("leader", "controller", "two", "replace")
"""The kinds of faults of one of several brokers; see broker_faults.py. A worker is restarted meanwhile."""
ONLY_SINGLE_BROKER = ("bounce", "proxy", "changelog", "recreate")
"""Kinds that need a single broker."""
BROKERS = (1, 3)

WEIGHTS = {"kill": 8, "stop": 3, "wipe": 2, "leader": 6, "controller": 3, "two": 3, "replace": 3} | dict.fromkeys(
    (kind for kind in KINDS if kind not in {"kill", "stop", "wipe", "bounce"}), 1
)
"""How often each kind is drawn; the number of broker kills is given, not drawn."""

HOLD_S = {
    "kill": (0.0, 2.0),
    "stop": (0.5, 3.0),
    "wipe": (0.0, 2.0),
    "leave": (0.0, 2.0),
    "join": (1.0, 4.0),
    "bounce": (1.0, 4.0),
    "quota": (3.0, 6.0),
    "refuse": (0.5, 3.0),
    "proxy": (1.0, 8.0),
    "disk": (1.0, 4.0),
    "clock": (2.0, 6.0),
    "slow-db": (2.0, 8.0),
    "codec": (1.0, 4.0),
    "transaction": (11.0, 16.0),
    "changelog": (0.0, 3.0),
    "recreate": (0.0, 3.0),
    "step": (2.0, 8.0),
    # Long enough that most workers started meanwhile are consuming before the node is back.
    "leader": (8.0, 25.0),
    "controller": (8.0, 25.0),
    "two": (3.0, 15.0),
    "replace": (8.0, 25.0),
}
"""How long each kind lasts once it has been observed, unless the workload overrides it."""

PROXY_MODES = ("delay", "hole", "requests", "answers", "reset")
"""What a proxy does: delay bytes, block both directions or one, reset connections."""
CODECS = ("gzip", "snappy", "lz4", "zstd")
ENDINGS = ("commit", "abort")
TABLE_LOSSES = ("ended", "killed", "running", "stores")
"""How the workers end before the changelog is lost; ``running``: after it; ``stores``: only local stores are lost."""
DELAY_MS = (100, 600)
SHIFTS_S = (86_400, -3_600, 300, -300)
"""How far a clock jumps."""
STEP_AHEAD_S = (3_600, 86_400)
"""How far the times of an input are ahead."""

FIRST_FAULT_S = 3.0
GAP_S = (2.0, 6.0)


@dataclass(frozen=True)
class Fault:
    """One fault: when by the plan's clock, its kind, its target, for how long.

    ``target`` is a worker, for ``join`` one or more (``w3+w4``), for ``refuse`` a topic by its role, for ``proxy`` what
    happens to the bytes, for ``codec`` and ``transaction`` how and an input (``gzip+executions``), for ``recreate`` and
    ``step`` an input, for ``changelog`` how the tables are lost, for ``leader`` a topic by its role, for ``two`` and
    ``replace`` nodes (``1+3``), else ``broker``, ``disk`` or ``database``. ``limit`` is the quota in bytes per second,
    the delay in milliseconds, the jump of a clock or of an input's times in seconds, for ``recreate`` 1 where the
    records are sent again before the workers have ended, for ``leader`` the partition, else 0. ``worker`` is restarted
    meanwhile, ``restart_s`` after the fault was observed; nobody where it is empty.
    """

    at_s: float
    kind: str
    target: str
    hold_s: float
    limit: int = 0
    worker: str = ""
    restart_s: float = 0.0

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes it occupies: faults that share a lane run one after another, others concurrently."""
        if self.kind in ON_EVERY_WORKER:
            return (ALONE,)
        if self.kind in {*ON_WORKERS, "join"}:
            return (self.target,)
        return (BROKER, self.worker) if self.worker else (BROKER,)


class Record(NamedTuple):
    """One record to produce; ``topic`` is a role."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class Feed(NamedTuple):
    """The records to produce. The ``epilogue`` comes after the last restart: its outputs need all earlier records."""

    records: tuple[Record, ...]
    epilogue: tuple[Record, ...]


class Ways(NamedTuple):
    """How a workload parametrizes the faults: topics that can refuse writes, by role, an effective quota, hold times.

    ``without``: the kinds that do not apply. ``inputs``: by role, those that other producers send to as well.
    ``led``: topics whose leaders are killed, by role, with several brokers; empty if the workload is for one broker.
    """

    refusable: tuple[str, ...]
    quota_bytes_per_s: tuple[int, int]
    hold_s: Mapping[str, tuple[float, float]] = {}
    without: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    led: tuple[str, ...] = ()


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
    fault_seed: int = -1
    brokers: int = 1

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
        """Twelve hex digits that identify the plan."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def feed(self) -> str:
        """Twelve hex digits that identify the feed, whatever the faults."""
        return hashlib.sha256(repr((self.records, self.epilogue)).encode()).hexdigest()[:12]


def read_plan(path: Path) -> Plan:
    """The plan in a file. Raises OSError, ValueError, KeyError or TypeError if it is not a plan."""
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
    counts: Mapping[str, int] | None = None,
    fault_seed: int | None = None,
    brokers: int = 1,
) -> Plan:
    """Draw a plan: ``cycles`` faults, ``broker_kills`` of them bounces, each other kind at least once if it fits.

    ``counts``: exactly so many of each kind instead. ``fault_seed`` decides the schedule; None: the seed does.
    Raises ValueError for a kind that is unknown or does not apply to the workload or the number of brokers, and for
    bounces that do not fit or are not among the kinds.
    """
    if unknown := set(counts or kinds) - {*KINDS, *ON_BROKERS}:
        raise ValueError(f"unknown faults {', '.join(sorted(unknown))}: there are {', '.join((*KINDS, *ON_BROKERS))}")
    if brokers > 1 and not ways.led:
        raise ValueError(f"workload {workload} is for one broker")
    if kinds is KINDS:
        kinds = [kind for kind in kinds_with(brokers) if kind not in ways.without]
    if misplaced := set(counts or kinds) - set(kinds_with(brokers)):
        number = "one broker" if brokers == 1 else f"{brokers} brokers"
        raise ValueError(f"{', '.join(sorted(misplaced))}: not with {number}")
    if pointless := set(counts or kinds) & set(ways.without):
        raise ValueError(f"{', '.join(sorted(pointless))}: there is nothing to hit in workload {workload}")
    if counts is None and broker_kills and "bounce" not in kinds:
        raise ValueError(f"{broker_kills} broker kills, but bounce is not among the faults")
    if counts is None and broker_kills > cycles:
        raise ValueError(f"{broker_kills} broker kills do not fit into {cycles} faults")
    fault_seed = seed if fault_seed is None else fault_seed
    chance = random.Random(fault_seed)
    if counts is None:
        chosen_kinds = choose_kinds(chance, cycles=cycles, broker_kills=broker_kills, kinds=kinds)
    else:
        chosen_kinds = [kind for kind in kinds_with(brokers) for _ in range(counts.get(kind, 0))]
    chance.shuffle(chosen_kinds)
    faults, span_s = draw_faults(chance, ways, chosen_kinds, workers=workers, brokers=brokers)
    return Plan(seed, workload, workers, span_s, faults, *feed, fault_seed, brokers)


def kinds_with(brokers: int) -> tuple[str, ...]:
    """The kinds that apply to a number of brokers; those of several brokers come first."""
    return KINDS if brokers == 1 else (*ON_BROKERS, *(kind for kind in KINDS if kind not in ONLY_SINGLE_BROKER))


def choose_kinds(chance: random.Random, *, cycles: int, broker_kills: int, kinds: Sequence[str]) -> list[str]:
    """Choose the kinds, in no particular order: each once, then by weight."""
    chosen = [kind for kind in (*ON_BROKERS, *KINDS) if kind in kinds and kind in WEIGHTS][: cycles - broker_kills]
    if len(chosen) < cycles - broker_kills:
        if not chosen:
            raise ValueError(f"{cycles} faults, but only {broker_kills} are asked for by kind")
        weights = [WEIGHTS[kind] for kind in chosen]
        chosen += chance.choices(chosen, weights, k=cycles - broker_kills - len(chosen))
    return chosen + ["bounce"] * broker_kills


def draw_faults(
    chance: random.Random, ways: Ways, kinds: Sequence[str], *, workers: int, brokers: int = 1
) -> tuple[tuple[Fault, ...], float]:
    """The schedule, and its end by the plan's clock. No worker is hit twice in a row if there is another."""
    faults, next_at_s, previous = [], FIRST_FAULT_S, ""
    inputs = chance.sample(ways.inputs, len(ways.inputs))
    worker_names = [f"w{number}" for number in range(1, workers + 1)]
    for kind in kinds:
        if kind in ON_WORKERS:
            target = previous = chance.choice([name for name in worker_names if name != previous] or worker_names)
        else:
            target = target_on_brokers(chance, kind, ways, brokers) or target_of(
                chance, kind, workers, ways.refusable, inputs
            )
        fault = Fault(
            at_s=round(next_at_s, 2),
            kind=kind,
            target=target,
            hold_s=round(chance.uniform(*ways.hold_s.get(kind, HOLD_S[kind])), 2),
            limit=limit_of(chance, kind, ways) // (brokers if kind == "quota" else 1),  # each broker has its own
        )
        if kind in ON_BROKERS:
            restart_s = round(chance.uniform(0, fault.hold_s / 4), 2)
            fault = replace(fault, worker=chance.choice(worker_names), restart_s=restart_s)
        faults.append(fault)
        next_at_s += chance.uniform(*GAP_S)
    return tuple(faults), round(next_at_s, 2)


def target_on_brokers(chance: random.Random, kind: str, ways: Ways, brokers: int) -> str:
    """The target of a broker fault; empty for other kinds."""
    match kind:
        case "leader":
            return chance.choice(ways.led)
        case "two" | "replace":
            nodes = chance.sample(range(1, brokers + 1), 2 if kind == "two" else 1)
            return "+".join(map(str, sorted(nodes)))
        case _:
            return ""


def target_of(chance: random.Random, kind: str, workers: int, refusable: Sequence[str], inputs: Sequence[str]) -> str:
    """The target of a fault that does not hit a single worker.

    The first input is the one that is recreated. It has no transactions, so its records get their old offsets again.
    """
    match kind:
        case "join":
            return "+".join(joiners(workers))
        case "refuse":
            return chance.choice(refusable)
        case "proxy":
            return chance.choice(PROXY_MODES)
        case "codec":
            return f"{chance.choice(CODECS)}+{chance.choice(inputs)}"
        case "transaction":
            return f"{chance.choice(ENDINGS)}+{chance.choice(inputs[1:] or inputs)}"
        case "changelog":
            return chance.choice(TABLE_LOSSES)
        case "recreate":
            return inputs[0]
        case "step":
            return chance.choice(inputs)
        case "disk":
            return "disk"
        case "slow-db":
            return "database"
        case _:
            return BROKER


def limit_of(chance: random.Random, kind: str, ways: Ways) -> int:
    """The limit of a fault, for kinds that have one."""
    match kind:
        case "quota":
            return chance.randint(*ways.quota_bytes_per_s)
        case "proxy":
            return chance.randint(*DELAY_MS)
        case "clock":
            return chance.choice(SHIFTS_S)
        case "step":
            return chance.choice(STEP_AHEAD_S)
        case "recreate":
            return chance.choice((0, 1))
        case "leader":
            return chance.randrange(PARTITIONS)
        case _:
            return 0


def share_of(counts: Mapping[str, int], limit: int) -> Counter[str]:
    """At most ``limit`` of the faults, in proportion to ``counts``; all of them if they fit."""
    total = sum(counts.values())
    if total <= limit:
        return Counter(counts)
    # The largest remainders get what rounding down left over.
    exact = {kind: count * limit / total for kind, count in counts.items()}
    share = Counter({kind: int(part) for kind, part in exact.items()})
    for kind in sorted(exact, key=lambda kind: (share[kind] - exact[kind], kind))[: limit - share.total()]:
        share[kind] += 1
    return +share


def joiners(workers: int) -> list[str]:
    """The workers that join: the same ones every time, on the disks they had.

    Faust assigns at most ceil(partitions / workers) to a worker, so a third worker would get none of four partitions:
    enough workers join to make every share smaller. Raises ValueError if no number does.
    """
    for extra in range(1, PARTITIONS):
        if ceil(PARTITIONS / (workers + extra)) < ceil(PARTITIONS / workers):
            return [f"w{workers + number}" for number in range(1, extra + 1)]
    raise ValueError(f"{workers} workers have a partition of {PARTITIONS} each: nobody can join")


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("latin-1")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
