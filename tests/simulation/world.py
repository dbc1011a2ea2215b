"""The world of one schedule: a broker, a database, homes, the producers, the supervisor, and what goes wrong.

    simulate(plan, Bench(directory)) -> Outcome

A bench is what schedules share that is slow to make: an empty log, an empty database, the table's declaration.
"""

import asyncio
import gc
import json
import logging
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
from log_surgery import cut

from simulation.broker import SESSION_S, Broker, Group
from simulation.day import POISON, SINK_POISON, Day
from simulation.local_rows import LocalStore, RowsBatch, RowsBound
from simulation.loop import EPOCH_S, VirtualLoop
from simulation.plan import Crash, Fault, Kind, Plan, Surgery
from simulation.worker import AT_WORK, Died, Worker, table_from
from traderecon import clock
from traderecon.intake import agent as intake_agent
from traderecon.matching import agent as matching_agent
from traderecon.records.instants import NS_PER_S
from traderecon.records.journal import decode_progress
from traderecon.rules import FOUNDING
from traderecon.sink import actions as sink_actions
from traderecon.sink import agent as sink_agent
from traderecon.sink import store
from traderecon.sink.decoding import FailingRecord
from traderecon.sink.store import Fenced, Store
from traderecon.tables import BatchTable
from traderecon.topics import topics
from traderecon.transport import consumer, fail_stop, failpoints
from traderecon.transport.app import StreamApp
from traderecon.transport.log import Log
from traderecon.transport.log.database import Sync

LIFE_S = 240.0
"""Virtual time within which everything is settled, or something is stuck."""
TAIL_S = 2.0
"""What is under way when nothing goes wrong any more."""
LOOK_S = 1.0
ROOM_S = 0.05
"""How soon a full queue is looked at again."""
SWEPT_AT_ONCE = 2
"""Trades of one step of a sweep: a day has few, and a death between two steps is to be met."""
IDLE_S, FETCH_S = 0.25, 2.0
"""Steps of a consumer that has nothing to do: they cost time of ours, and decide nothing."""
REST_S = 30.0
LANDED_S = 12.0
"""Whatever was sent has landed by then."""
CHANGELOG = "traderecon-matching-trades-changelog"


class Poisoned(RuntimeError):
    """A bug of ours, on one record."""


class Outcome(NamedTuple):
    """What came of a schedule; ``unexpected`` is what ended workers that nothing was to end."""

    settled: bool
    unexpected: list[str]
    passes: Counter[str]
    fired: list[Crash]
    deaths: Counter[str]
    repeated: int
    ended_s: float


class Home:
    """A slot's directory and what its table has stored."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.store: Any = LocalStore(directory)


class Bench:
    """One process's workshop, in a directory in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.store = Store.open(f"sqlite:///{directory}/traderecon.db")
        self.store.prepare()
        self.engine = self.store.engine
        self._statements = vars(store)["statements"]()
        with self.engine.connect() as connection:
            there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
            self._tables = [name for name in there if name != "alembic_version" and not name.startswith("sqlite_")]
        self.wholes = {
            count: StreamApp("traderecon-matching", broker="embedded://", data_dir=directory, partitions=count)
            for count in (1, 2)
        }
        self._declared: dict[int, Any] = {}
        self._blank: dict[tuple[int, ...], Path] = {}
        gc.collect()
        gc.freeze()

    def table(self, app: Any, **declared: Any) -> Any:
        """What ``attach`` asks for when it declares its table."""
        count = declared["partitions"]
        if count not in self._declared:
            self._declared[count] = BatchTable(self.wholes[count], **declared)
            assert self._declared[count].changelog_topic.get_topic_name() == CHANGELOG
        return table_from(self._declared[count], app)

    def log(self, day: Day) -> Log:
        """A log with empty topics."""
        counts = counted(day)
        key = tuple(counts.values())
        if key not in self._blank:
            compacted = {CHANGELOG, *(topic.name for topic in topics().declared(retention_days=1) if topic.compacted)}
            path = self.directory / f"blank-{'-'.join(map(str, key))}.db"
            with Log.open(path, sync=Sync.NORMAL) as log:
                for topic, count in counts.items():
                    log.create(topic, count, compacted=topic in compacted)
            self._blank[key] = path
        for old in self.directory.glob("log.db*"):
            old.unlink()
        shutil.copy(self._blank[key], self.directory / "log.db")
        return Log.open(self.directory / "log.db", sync=Sync.NORMAL)

    def statements(self) -> Any:
        """What a sink says to its database: the same for all, and slow to spell."""
        return self._statements

    def empty(self) -> None:
        """Take every row out of the database."""
        with self.engine.begin() as connection:
            for name in self._tables:
                connection.exec_driver_sql(f'DELETE FROM "{name}"')

    def clean(self) -> None:
        """Empty the database and the homes."""
        self.empty()
        shutil.rmtree(self.directory / "homes", ignore_errors=True)


def counted(day: Day) -> dict[str, int]:
    """How many partitions each topic has."""
    names = topics()
    ours = [name for name in names if name not in names.inputs]
    return {**day.partitions, **dict.fromkeys([*ours, CHANGELOG], day.ours)}


class World:
    """Everything there is in one schedule."""

    def __init__(self, plan: Plan, bench: Bench, loop: VirtualLoop) -> None:
        self.plan, self.bench, self.loop = plan, bench, loop
        self.chance = random.Random(f"world {plan.seed}")
        self.topics = topics()
        self.partitions = counted(plan.day)
        self.rules = msgspec.structs.replace(FOUNDING, grace_ns=plan.day.grace_s * NS_PER_S)
        self.log = bench.log(plan.day)
        self.broker = Broker(self.log, loop, plan.conditions, self.chance)
        names = self.topics
        reads = {
            "intake": {name: self.partitions[name] for name in names.inputs},
            "matching": {names.legs: plan.day.ours},
            "sink": dict.fromkeys(names.outputs, plan.day.ours),
        }
        self.groups = {role: Group(f"traderecon-{role}", read, self.broker) for role, read in reads.items()}
        self.homes = [Home(bench.directory / "homes" / f"worker-{slot}") for slot in range(plan.workers)]
        self.workers: list[Worker | None] = [None] * plan.workers
        self.commit_s, self.progress_s = plan.commit_s, plan.progress_s
        self.passes: Counter[str] = Counter()
        self.waiting = list(plan.crashes)
        self.fired: list[Crash] = []
        self.deaths: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.sentence = ""
        self.cut_records: list[Any] = []
        self._may_begin = asyncio.Event()
        self._may_begin.set()
        self._accounts: dict[tuple[str, int], int] = {}

    # -- what workers ask for

    def new_store(self) -> Store:
        """A sink's store on the one database."""
        return Store(self.bench.engine)

    def database_s(self) -> float:
        """What a transaction takes."""
        return self.chance.uniform(*self.plan.database_s)

    # -- points and deaths

    def passed(self, point: str, topic: str) -> None:
        """A worker is at a point; the end of it, where the plan says so."""
        worker = AT_WORK.get()
        if worker is None:
            return
        if worker.dead:
            raise Died
        self.passes[point] += 1
        for crash in self.waiting:
            if (crash.point, crash.nth) == (point, self.passes[point]):
                self.waiting.remove(crash)
                self.fired.append(crash)
                if crash.database:  # the transaction that may be open here ends first
                    self.loop.call_soon(self._lose_database)
                worker.die(crash)
                if crash.wipe:
                    worker.home.store.wipe()
                raise Died

    def exited(self, code: int) -> None:
        """The product ends its process."""
        worker = AT_WORK.get()
        if worker is None:
            self.unexpected.append(f"exit {code} of nobody: {self.sentence}")
            raise Died
        worker.die(f"exit {code}: {self.sentence}")
        raise Died

    def buried(self, worker: Worker, why: object) -> None:
        """A worker has died."""
        name, expected = self._judged(why)
        self.deaths[name] += 1
        if not expected:
            self.unexpected.append(f"at {self.loop.time():.3f} s: {why!r}")
        after_s = self.chance.choice((0.05, 0.5, SESSION_S))
        for role in worker.roles:
            self.loop.call_later(after_s, role.group.leave, role)
        self.broker.apart(self._begin_again(self.homes.index(worker.home)))

    def _judged(self, why: object) -> tuple[str, bool]:
        if isinstance(why, Crash):
            return why.point, True
        if isinstance(why, Fenced):
            return "fenced", len(self.workers) > 1 or any(crash.database for crash in self.fired)
        if isinstance(why, BaseException):
            refused = "refused" in str(why) and self.broker.refused > 0
            cause = why.cause if isinstance(why, FailingRecord) else why
            return type(cause).__name__, isinstance(cause, Poisoned) or refused
        return str(why).split(":", maxsplit=1)[0], why == "left"

    async def _begin_again(self, slot: int) -> None:
        await asyncio.sleep(self.chance.uniform(0.05, 2.0))
        await self._may_begin.wait()
        self._begin(slot)

    def _begin(self, slot: int) -> None:
        try:
            worker = self.workers[slot] = Worker(self, self.homes[slot])
        except Exception as error:
            self.unexpected.append(f"a worker could not begin: {error!r}")
            raise
        self.loop.create_task(_started(worker), context=worker._context.copy())

    def _lose_database(self) -> None:
        """The file is gone, and every worker has to end with it."""
        for worker in self.workers:
            if worker is not None and not worker.dead:
                worker.die(Crash("database", 0))
        self.bench.empty()

    # -- the schedule

    async def run(self) -> bool:
        """Feed, break, heal, and wait until everything is decided and stored; False where it never is."""
        for slot in range(len(self.workers)):
            self.broker.apart(self._begin_again(slot))
        feeding = self.broker.apart(self._feed())
        for fault in self.plan.faults:
            await asyncio.sleep(max(0.0, fault.at_s - self.loop.time()))
            await self._break(fault)
        await feeding
        await asyncio.sleep(TAIL_S)
        self.broker.conditions = self.broker.conditions._replace(slow=0.0, unheard=0.0)
        rested = not any(fault.kind in {Kind.FORGET, Kind.CUT} for fault in self.plan.faults)
        while self.loop.time() < LIFE_S and not self.unexpected:
            if self._settled():
                if rested:
                    return True
                rested = True
                await asyncio.sleep(REST_S)  # what was committed before may have to be read again
                continue
            await asyncio.sleep(LOOK_S)
        return False

    async def _feed(self) -> None:
        for record in self.plan.day.records:
            await asyncio.sleep(max(0.0, record.at_s - self.loop.time()))
            self.broker.write(record.topic, record.partition, [(record.key, record.value, 0, ())])

    async def _break(self, fault: Fault) -> None:
        worker = self.workers[fault.slot]
        match fault.kind:
            case Kind.REFUSE:
                self.broker.refusals += 1
            case Kind.AWAY:
                self.broker.away(fault.for_s)
            case Kind.CLOCK if self._has_time():
                self.broker.set_clock_ahead(fault.for_s)
            case Kind.REBALANCE:
                self.chance.choice([*self.groups.values()]).shake()
            case Kind.COMPACT:
                self._compact()
            case Kind.FORGET:
                await self._forget()
            case Kind.CUT if self.plan.surgery is not None:
                await self._operate(self.plan.surgery)
            case Kind.STOP if worker is not None and not worker.dead and not worker.asleep:
                worker.pause()
                self.broker.apart(self._oversleeps(worker, fault.for_s))
            case Kind.LEAVE if worker is not None and not worker.dead and not worker.asleep:
                worker.spawn(self._leaves(worker))
            case Kind.WIPE if worker is not None and not worker.dead:
                worker.die(Crash("wipe", 0))
                worker.home.store.wipe()
            case _:
                self.deaths[f"no {fault.kind}"] += 1

    def _has_time(self) -> bool:
        """Whether the journal has a time: one without any believes the first clock, right or wrong."""
        records = self.log.read(self.topics.legs, 0, 0, 1_000)
        return any(record.key is None and decode_progress(record.value or b"").at_ns for record in records)

    def _compact(self) -> None:
        for partition in range(self.plan.day.ours):
            while self.log.compact(CHANGELOG, partition):
                pass

    async def _forget(self) -> None:
        """All workers end; nobody has their tables any more, nor the changelog, and the group's commits are there."""
        self._may_begin.clear()
        for worker in self.workers:
            if worker is not None and not worker.dead:
                worker.die(Crash("forget", 0))
        await asyncio.sleep(LANDED_S)
        for home in self.homes:
            home.store.wipe()
        for partition in range(self.plan.day.ours):
            cut(self.log, CHANGELOG, partition, 0)
            self.broker.ends[CHANGELOG, partition] = 0
        self._may_begin.set()

    async def _operate(self, surgery: Surgery) -> None:
        """Cut a log and fill it again, while readers lag, and perhaps while nobody is there."""
        held = [
            role.app.pauses
            for worker in self.workers
            if worker is not None
            for role in worker.roles
            if role.name in surgery.held
        ]
        for holds in held:
            holds.pause("surgery", "it lags")
        await asyncio.sleep(surgery.hold_s)
        if not surgery.alive:
            self._may_begin.clear()
            for worker in self.workers:
                if worker is not None and not worker.dead:
                    worker.die(Crash("surgery", 0))
            await asyncio.sleep(LANDED_S)
        place = surgery.topic, surgery.partition % self.partitions[surgery.topic]
        records = self.log.read(*place, 0, 1_000_000)
        end = len(records) - round(surgery.cut * len(records))
        self.cut_records = records[end:]
        cut(self.log, *place, records[end].offset if end < len(records) else self.log.end(*place))
        self.broker.ends[place] = self.log.end(*place)
        self.broker.leaders[place] += 1
        for number in range(surgery.refill if records else 0):
            again = records[(number * 7) % len(records)]
            self.broker.write(*place, [(again.key, again.value, 0, again.headers)])
        if surgery.compacted:
            for partition in range(self.plan.day.ours):
                while self.log.compact(CHANGELOG, partition, min_dirty=1):
                    pass
        for holds in held:
            holds.resume("surgery")
        self._may_begin.set()

    async def _oversleeps(self, worker: Worker, for_s: float) -> None:
        await asyncio.sleep(min(for_s, SESSION_S))
        if for_s > SESSION_S:
            for role in worker.roles:
                role.group.leave(role)
            await asyncio.sleep(for_s - SESSION_S)
        worker.wake()
        if for_s > SESSION_S and not worker.dead:
            for role in worker.roles:
                if role not in role.group.members:
                    worker.spawn(role.give_up())

    async def _leaves(self, worker: Worker) -> None:
        for role in worker.roles:
            await role.leave()
        worker.die("left")

    def _settled(self) -> bool:
        """Whether all is committed, every grace over, and everything in the database."""
        for name in self.topics.inputs:
            if not self._committed("intake", name):
                return False
        if not self._committed("matching", self.topics.legs, facts=True):
            return False
        with self.bench.engine.connect() as connection:
            stored = {
                (topic, partition): offset
                for topic, partition, offset in connection.exec_driver_sql(
                    "SELECT topic, partition, next_offset FROM sink_offsets"
                )
            }
            told = connection.exec_driver_sql("SELECT watermark, pending FROM standings").all()
        names = self.topics
        told_last = {names.reconciled, names.mismatch, names.dead_letters, names.actions}
        for (name, partition), end in self.broker.ends.items():
            if name in told_last and stored.get((name, partition), 0) != end:
                return False
        if len(told) != self.plan.day.ours or not all(self._over(watermark, pending) for watermark, pending in told):
            return False
        # Accounts are told for as long as time goes on: what there is of them by now is enough.
        if not self._accounts:
            self._accounts = {place: end for place, end in self.broker.ends.items() if place[0] == names.accounts}
        return all(stored.get(place, 0) >= end for place, end in self._accounts.items())

    def _over(self, watermark: str | None, pending: str) -> bool:
        over_s = EPOCH_S + self.plan.day.records[-1].at_s + self.plan.day.grace_s
        if watermark is None or datetime.fromisoformat(watermark).timestamp() < over_s:
            return False
        return not sum(json.loads(pending).values())

    def _committed(self, role: str, topic: str, *, facts: bool = False) -> bool:
        places = [(topic, partition) for partition in range(self.partitions[topic])]
        committed = self.log.committed(f"traderecon-{role}", places)
        for place in places:
            end = self.broker.ends[place]
            if facts:  # time goes on, and is never all committed
                keyed = [one.offset for one in self.log.read(*place, 0, 100_000) if one.key is not None]
                end = max(keyed, default=-1) + 1
            if committed.get(place, 0) < end:
                return False
        return True

    def close(self) -> None:
        """End everything."""
        failpoints.listen(None)
        self.broker.close()
        for worker in self.workers:
            if worker is not None and not worker.dead:
                worker.dead = True
                for task in [*worker._tasks]:
                    task.cancel()


async def _started(worker: Worker) -> None:
    worker.start()


def simulate(plan: Plan, bench: Bench) -> tuple[Outcome, World]:
    """Play one schedule to its end; the world is closed, its log and its database are there to be looked at."""
    loop = VirtualLoop()
    bench.clean()
    gc.disable()
    with _patched(loop, bench) as say:
        loop.set_exception_handler(lambda *given: None)
        outcome, world = loop.run_until_complete(_played(plan, bench, loop, say))
        loop.run_until_complete(_gone())
    loop.close()
    gc.enable()
    return outcome, world


async def _played(plan: Plan, bench: Bench, loop: VirtualLoop, say: SimpleNamespace) -> tuple[Outcome, World]:
    world = World(plan, bench, loop)
    say.world = world
    loop.work = lambda call: _at_work().work(call)
    failpoints.listen(world.passed)
    try:
        settled = await world.run()
    finally:
        world.close()
    outcome = Outcome(
        settled, world.unexpected, world.passes, world.fired, world.deaths, world.broker.repeated, loop.time()
    )
    return outcome, world


def _at_work() -> Worker:
    worker = AT_WORK.get()
    if worker is None:
        raise RuntimeError("work that belongs to no worker")
    return worker


async def _gone() -> None:
    """Let everything that was cancelled end."""
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=1.0)


@contextmanager
def _patched(loop: VirtualLoop, bench: Bench) -> Iterator[SimpleNamespace]:
    """The clock, the end of a process, the local store, and the record our code fails on: ours while this lasts."""
    say = SimpleNamespace(world=None)
    decode = vars(intake_agent)["decode"]

    def poisoned(source: Any, value: bytes | None, *given: Any) -> Any:
        if value == POISON:
            raise Poisoned("a bug")
        return decode(source, value, *given)

    decode_action = vars(sink_actions)["_decode_stored_action"]

    def poisoned_action(value: bytes) -> Any:
        if value == SINK_POISON:
            raise Poisoned("a bug")
        return decode_action(value)

    def exited(code: int) -> None:
        say.world.exited(code)

    class Said:
        def critical(self, form: str, sentence: str, exc_info: Any = None) -> None:
            say.world.sentence = sentence

    changes: list[tuple[Any, str, Any]] = [
        (clock, "now_ns", loop.now_ns),
        (clock, "boot_ns", lambda: int(loop.time() * NS_PER_S)),
        (consumer, "ROOM_S", ROOM_S),
        (consumer, "IDLE_S", IDLE_S),
        (consumer, "FETCH_S", FETCH_S),
        (store, "statements", bench.statements),
        (sink_agent, "now_ns", loop.now_ns),
        (matching_agent, "monotonic", loop.time),
        (matching_agent, "BatchTable", bench.table),
        (matching_agent, "SWEPT_AT_ONCE", SWEPT_AT_ONCE),
        (sys.modules[BatchTable.__module__], "WriteBatch", RowsBatch),
        (sys.modules["traderecon.tables.store"], "ReadOptions", RowsBound),
        (intake_agent, "decode", poisoned),
        (sink_actions, "_decode_stored_action", poisoned_action),
        (fail_stop, "os", SimpleNamespace(_exit=exited)),
        (fail_stop, "logging", SimpleNamespace(shutdown=lambda: None)),
        (fail_stop, "logger", Said()),
    ]
    kept = [(module, name, vars(module)[name]) for module, name, _ in changes]
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield say
    finally:
        failpoints.listen(None)
        logging.disable(disabled)
        for module, name, value in kept:
            setattr(module, name, value)
