"""Plan: everything a run is going to do, drawn from two seeds before it starts, and kept as JSON.

    seeds, numbers, kinds, a workload's feed and ways -> Plan(faults, records, epilogue) <-> plan.json

The feed has a seed, the faults have one: the same records can go through another schedule. The same arguments give the
same plan, byte for byte; what really happens depends on the machine, so the times are those of the plan's own clock
(clock.py).
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
"""Where ``leader`` strikes who leads the group's partition of ``__consumer_offsets``."""

ON_WORKERS = ("kill", "stop", "wipe", "leave", "clock")
ON_EVERYBODY = ("changelog", "recreate")
OF_THE_PIPELINE = ("slow-db", "codec", "transaction", "changelog", "recreate", "step")
"""Without intake, journal and database there is nothing to hit."""
KINDS = (
    *("kill", "stop", "wipe", "leave", "join", "bounce", "quota", "refuse", "proxy", "disk", "clock", "slow-db"),
    *("codec", "transaction", "changelog", "recreate", "step"),
)
"""What can happen, as faults.py does it, where there is one broker."""
ON_BROKERS = ("leader", "controller", "two", "replace")
"""What can happen to one of three brokers or more, as broker_faults.py does it; a worker is restarted meanwhile."""
ONLY_ALONE = ("bounce", "proxy", "changelog", "recreate")
"""What is for a broker that is the only one."""
BROKERS = (1, 3)

WEIGHTS = {"kill": 8, "stop": 3, "wipe": 2, "leader": 6, "controller": 3, "two": 3, "replace": 3} | dict.fromkeys(
    (kind for kind in KINDS if kind not in {"kill", "stop", "wipe", "bounce"}), 1
)
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
    "proxy": (1.0, 8.0),
    "disk": (1.0, 4.0),
    "clock": (2.0, 6.0),
    "slow-db": (2.0, 8.0),
    "codec": (1.0, 4.0),
    "transaction": (11.0, 16.0),
    "changelog": (0.0, 3.0),
    "recreate": (0.0, 3.0),
    "step": (2.0, 8.0),
    # So long that most workers which start meanwhile are at work before the node is back.
    "leader": (8.0, 25.0),
    "controller": (8.0, 25.0),
    "two": (3.0, 15.0),
    "replace": (8.0, 25.0),
}
"""How long each kind lasts once it has been observed, unless the workload says otherwise."""

WAYS_OF_THE_WIRE = ("delay", "hole", "requests", "answers", "reset")
"""What a proxy does to the bytes: late, held both ways, held one way, connections cut."""
CODECS = ("gzip", "snappy", "lz4", "zstd")
ENDINGS = ("commit", "abort")
TABLES_LOST = ("ended", "killed", "running", "stores")
"""How the workers end before the changelog is lost; ``running``: after it; ``stores``: only local stores are lost."""
DELAY_MS = (100, 600)
SHIFTS_S = (86_400, -3_600, 300, -300)
"""How far a clock jumps."""
AHEAD_S = (3_600, 86_400)
"""How far the times of an input are ahead."""

FIRST_FAULT_S = 3.0
GAP_S = (2.0, 6.0)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: when by the plan's clock, what, to whom, for how long.

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
        """Who is busy with it: faults that share a lane come one after another, others run side by side."""
        if self.kind in ON_EVERYBODY:
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
    """What is produced. ``epilogue`` comes after the last restart: what it makes needs all that went before."""

    records: tuple[Record, ...]
    epilogue: tuple[Record, ...]


class Ways(NamedTuple):
    """What a workload wants of the faults: topics that can refuse, by role, a quota that hurts, other holds.

    ``without``: the kinds that have nothing to hit there. ``inputs``: by role, those that others send to as well.
    ``led``: topics whose leaders die, by role, where there are several brokers; none where the workload is for one.
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
        """Twelve hex digits that name the plan."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def feed(self) -> str:
        """Twelve hex digits that name what is fed, whatever goes wrong meanwhile."""
        return hashlib.sha256(repr((self.records, self.epilogue)).encode()).hexdigest()[:12]


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
    counts: Mapping[str, int] | None = None,
    fault_seed: int | None = None,
    brokers: int = 1,
) -> Plan:
    """Draw a plan: ``cycles`` faults, ``broker_kills`` of them bounces, each other kind at least once if it fits.

    ``counts``: exactly so many of each kind instead. ``fault_seed`` decides the schedule; None: the seed does.
    Raises ValueError for a kind nobody knows or the workload or so many brokers have no use for, and where the bounces
    leave no room or are not asked for.
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
    if useless := set(counts or kinds) & set(ways.without):
        raise ValueError(f"{', '.join(sorted(useless))}: there is nothing to hit in workload {workload}")
    if counts is None and broker_kills and "bounce" not in kinds:
        raise ValueError(f"{broker_kills} broker kills, but bounce is not among the faults")
    if counts is None and broker_kills > cycles:
        raise ValueError(f"{broker_kills} broker kills do not fit into {cycles} faults")
    fault_seed = seed if fault_seed is None else fault_seed
    chance = random.Random(fault_seed)
    if counts is None:
        drawn = drawn_kinds(chance, cycles=cycles, broker_kills=broker_kills, kinds=kinds)
    else:
        drawn = [kind for kind in kinds_with(brokers) for _ in range(counts.get(kind, 0))]
    chance.shuffle(drawn)
    faults, span_s = draw_faults(chance, ways, drawn, workers=workers, brokers=brokers)
    return Plan(seed, workload, workers, span_s, faults, *feed, fault_seed, brokers)


def kinds_with(brokers: int) -> tuple[str, ...]:
    """The kinds there are with so many brokers: those that hit one of several come first."""
    return KINDS if brokers == 1 else (*ON_BROKERS, *(kind for kind in KINDS if kind not in ONLY_ALONE))


def drawn_kinds(chance: random.Random, *, cycles: int, broker_kills: int, kinds: Sequence[str]) -> list[str]:
    """What happens, in no order: each kind once, then by weight."""
    drawn = [kind for kind in (*ON_BROKERS, *KINDS) if kind in kinds and kind in WEIGHTS][: cycles - broker_kills]
    if len(drawn) < cycles - broker_kills:
        if not drawn:
            raise ValueError(f"{cycles} faults, but only {broker_kills} are asked for by kind")
        weights = [WEIGHTS[kind] for kind in drawn]
        drawn += chance.choices(drawn, weights, k=cycles - broker_kills - len(drawn))
    return drawn + ["bounce"] * broker_kills


def draw_faults(
    chance: random.Random, ways: Ways, drawn: Sequence[str], *, workers: int, brokers: int = 1
) -> tuple[tuple[Fault, ...], float]:
    """The schedule, and when by the plan's clock it is over. Nobody is hit twice running where there is another."""
    faults, at_s, before = [], FIRST_FAULT_S, ""
    inputs = chance.sample(ways.inputs, len(ways.inputs))
    crew = [f"w{number}" for number in range(1, workers + 1)]
    for kind in drawn:
        if kind in ON_WORKERS:
            target = before = chance.choice([name for name in crew if name != before] or crew)
        else:
            target = target_on_brokers(chance, kind, ways, brokers) or target_of(
                chance, kind, workers, ways.refusable, inputs
            )
        fault = Fault(
            at_s=round(at_s, 2),
            kind=kind,
            target=target,
            hold_s=round(chance.uniform(*ways.hold_s.get(kind, HOLD_S[kind])), 2),
            limit=limit_of(chance, kind, ways) // (brokers if kind == "quota" else 1),  # each broker has its own
        )
        if kind in ON_BROKERS:
            restart_s = round(chance.uniform(0, fault.hold_s / 4), 2)
            fault = replace(fault, worker=chance.choice(crew), restart_s=restart_s)
        faults.append(fault)
        at_s += chance.uniform(*GAP_S)
    return tuple(faults), round(at_s, 2)


def target_on_brokers(chance: random.Random, kind: str, ways: Ways, brokers: int) -> str:
    """What is hit of several brokers; nothing where the kind does not say."""
    match kind:
        case "leader":
            return chance.choice(ways.led)
        case "two" | "replace":
            nodes = chance.sample(range(1, brokers + 1), 2 if kind == "two" else 1)
            return "+".join(map(str, sorted(nodes)))
        case _:
            return ""


def target_of(chance: random.Random, kind: str, workers: int, refusable: Sequence[str], inputs: Sequence[str]) -> str:
    """What is hit, where it is no single worker.

    The first input is the one that is made anew, and has no transactions: so its records get their old offsets again.
    """
    match kind:
        case "join":
            return "+".join(joiners(workers))
        case "refuse":
            return chance.choice(refusable)
        case "proxy":
            return chance.choice(WAYS_OF_THE_WIRE)
        case "codec":
            return f"{chance.choice(CODECS)}+{chance.choice(inputs)}"
        case "transaction":
            return f"{chance.choice(ENDINGS)}+{chance.choice(inputs[1:] or inputs)}"
        case "changelog":
            return chance.choice(TABLES_LOST)
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
    """How much, where a kind has a measure."""
    match kind:
        case "quota":
            return chance.randint(*ways.quota_bytes_per_s)
        case "proxy":
            return chance.randint(*DELAY_MS)
        case "clock":
            return chance.choice(SHIFTS_S)
        case "step":
            return chance.choice(AHEAD_S)
        case "recreate":
            return chance.choice((0, 1))
        case "leader":
            return chance.randrange(PARTITIONS)
        case _:
            return 0


def share_of(wanted: Mapping[str, int], most: int) -> Counter[str]:
    """At most so many faults out of those wanted, in their proportions; all of them where they fit."""
    total = sum(wanted.values())
    if total <= most:
        return Counter(wanted)
    # The largest remainders get what rounding down left over.
    exact = {kind: count * most / total for kind, count in wanted.items()}
    share = Counter({kind: int(part) for kind, part in exact.items()})
    for kind in sorted(exact, key=lambda kind: (share[kind] - exact[kind], kind))[: most - share.total()]:
        share[kind] += 1
    return +share


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
