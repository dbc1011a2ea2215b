"""The world of one schedule: broker, database, worker homes, producers, supervisor and injected faults.

    simulate(plan, Bench(directory)) -> Outcome

A bench holds what is slow to create and shared by schedules: an empty log, an empty database, the table's declaration.
"""

import asyncio
import gc
import json
import logging
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
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
from simulation.loop import VirtualLoop
from simulation.plan import Crash, Fault, Kind, Plan, Surgery
from simulation.worker import CURRENT, Died, Worker, table_from
from traderecon import clock
from traderecon.intake import agent as intake_agent
from traderecon.matching import agent as matching_agent
from traderecon.records.instants import NS_PER_S
from traderecon.records.journal import decode_progress
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

SETTLE_WITHIN_S = 240.0
"""Virtual time within which a schedule must settle; later, something is stuck."""
TAIL_S = 2.0
"""A wait after the last fault, before the network is healthy again."""
POLL_S = 1.0
ROOM_S = 0.05
"""How soon a full queue is checked again."""
SWEEP_ROWS = 2
"""Trades per step of a sweep: few, as a day has few trades and a worker must also die between two steps."""
IDLE_S, FETCH_S = 0.25, 2.0
"""Waits of an idle consumer: longer than the product's, which makes a schedule faster and changes no result."""
REST_S = 30.0
IN_FLIGHT_S = 12.0
"""Every request in flight is appended within this time."""
CHANGELOG = "traderecon-matching-trades-changelog"


class SeededBug(RuntimeError):
    """The seeded failure of intake, or of the sink, on its poison record."""


class Outcome(NamedTuple):
    """The outcome of a schedule; ``unexpected``: deaths of workers that no fault explains."""

    settled: bool
    unexpected: list[str]
    hits: Counter[str]
    crashes: list[Crash]
    deaths: Counter[str]
    repeated: int
    ended_s: float


class Home:
    """The directory and the local store of one slot."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.store: Any = LocalStore(directory)


class Bench:
    """Fixtures of one process, in a directory in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.store = Store.open(f"sqlite:///{directory}/traderecon.db")
        self.store.prepare()
        self.engine = self.store.engine
        self._statements = vars(store)["statements"]()
        with self.engine.connect() as connection:
            names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
            self._table_names = [name for name in names if name != "alembic_version" and not name.startswith("sqlite_")]
        self.apps = {
            count: StreamApp("traderecon-matching", broker="embedded://", data_dir=directory, partitions=count)
            for count in (1, 2)
        }
        self._table_prototypes: dict[int, Any] = {}
        self._empty_logs: dict[tuple[int, ...], Path] = {}
        gc.collect()
        gc.freeze()

    def table(self, app: Any, **options: Any) -> Any:
        """Stands in for ``BatchTable`` in ``attach``: a copy of a table that was declared once."""
        count = options["partitions"]
        if count not in self._table_prototypes:
            self._table_prototypes[count] = BatchTable(self.apps[count], **options)
            assert self._table_prototypes[count].changelog_topic.get_topic_name() == CHANGELOG
        return table_from(self._table_prototypes[count], app)

    def log(self, day: Day) -> Log:
        """A fresh log with empty topics."""
        counts = partition_counts(day)
        counts_key = tuple(counts.values())
        if counts_key not in self._empty_logs:
            compacted = {CHANGELOG, *(topic.name for topic in topics().declared(retention_days=1) if topic.compacted)}
            path = self.directory / f"blank-{'-'.join(map(str, counts_key))}.db"
            with Log.open(path, sync=Sync.NORMAL) as log:
                for topic, count in counts.items():
                    log.create(topic, count, compacted=topic in compacted)
            self._empty_logs[counts_key] = path
        for stale in self.directory.glob("log.db*"):
            stale.unlink()
        shutil.copy(self._empty_logs[counts_key], self.directory / "log.db")
        return Log.open(self.directory / "log.db", sync=Sync.NORMAL)

    def statements(self) -> Any:
        """The SQL statements of the sink: the same for all schedules, and slow to build."""
        return self._statements

    def empty(self) -> None:
        """Delete every row of the database."""
        with self.engine.begin() as connection:
            for name in self._table_names:
                connection.exec_driver_sql(f'DELETE FROM "{name}"')

    def clean(self) -> None:
        """Empty the database and the homes."""
        self.empty()
        shutil.rmtree(self.directory / "homes", ignore_errors=True)


def partition_counts(day: Day) -> dict[str, int]:
    """The partition count of each topic."""
    names = topics()
    ours = [name for name in names if name not in names.inputs]
    return {**day.partitions, **dict.fromkeys([*ours, CHANGELOG], day.internal_partitions)}


class World:
    """The state of one schedule."""

    def __init__(self, plan: Plan, bench: Bench, loop: VirtualLoop) -> None:
        self.plan, self.bench, self.loop = plan, bench, loop
        self.chance = random.Random(f"world {plan.seed}")
        self.topics = topics()
        self.partitions = partition_counts(plan.day)
        self.rules = msgspec.structs.replace(plan.rules, grace_ns=plan.day.grace_s * NS_PER_S)
        self.log = bench.log(plan.day)
        self.broker = Broker(self.log, loop, plan.conditions, self.chance)
        names = self.topics
        inputs_by_role = {
            "intake": {name: self.partitions[name] for name in names.inputs},
            "matching": {names.legs: plan.day.internal_partitions},
            "sink": dict.fromkeys(names.outputs, plan.day.internal_partitions),
        }
        self.groups = {
            role: Group(f"traderecon-{role}", inputs, self.broker) for role, inputs in inputs_by_role.items()
        }
        self.homes = [Home(bench.directory / "homes" / f"worker-{slot}") for slot in range(plan.workers)]
        self.workers: list[Worker | None] = [None] * plan.workers
        self.commit_s, self.progress_s = plan.commit_s, plan.progress_s
        self.hits: Counter[str] = Counter()
        self.pending_crashes = list(plan.crashes)
        self.crashes: list[Crash] = []
        self.deaths: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.fail_stop_message = ""
        self.removed_records: list[Any] = []
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._account_ends: dict[tuple[str, int], int] = {}

    # -- called by workers

    def new_store(self) -> Store:
        """The sink's store on the shared database."""
        return Store(self.bench.engine)

    def database_s(self) -> float:
        """Draw the duration of a transaction."""
        return self.chance.uniform(*self.plan.database_s)

    # -- failpoints and deaths

    def on_failpoint(self, point: str, topic: str) -> None:
        """Called when a worker hits a failpoint; kills the worker if the plan says so."""
        worker = CURRENT.get()
        if worker is None:
            return
        if worker.dead:
            raise Died
        self.hits[point] += 1
        for crash in self.pending_crashes:
            if (crash.point, crash.nth) == (point, self.hits[point]):
                self.pending_crashes.remove(crash)
                self.crashes.append(crash)
                if crash.database:  # the transaction that may be open here ends first
                    self.loop.call_soon(self._lose_database)
                worker.die(crash)
                if crash.wipe:
                    worker.home.store.wipe()
                raise Died

    def on_exit(self, code: int) -> None:
        """Called when the product exits its process."""
        worker = CURRENT.get()
        if worker is None:
            self.unexpected.append(f"exit {code} outside a worker: {self.fail_stop_message}")
            raise Died
        worker.die(f"exit {code}: {self.fail_stop_message}")
        raise Died

    def on_death(self, worker: Worker, cause: object) -> None:
        """Called when a worker has died: record the cause, and start its successor."""
        name, expected = self._classify(cause)
        self.deaths[name] += 1
        if not expected:
            self.unexpected.append(f"at {self.loop.time():.3f} s: {cause!r}")
        after_s = self.chance.choice((0.05, 0.5, SESSION_S))
        for role in worker.roles:
            self.loop.call_later(after_s, role.group.leave, role)
        self.broker.spawn(self._restart(self.homes.index(worker.home)))

    def _classify(self, cause: object) -> tuple[str, bool]:
        if isinstance(cause, Crash):
            return cause.point, True
        if isinstance(cause, Fenced):
            return "fenced", len(self.workers) > 1 or any(crash.database for crash in self.crashes)
        if isinstance(cause, BaseException):
            was_refused = "refused" in str(cause) and self.broker.refused > 0
            origin = cause.cause if isinstance(cause, FailingRecord) else cause
            return type(origin).__name__, isinstance(origin, SeededBug) or was_refused
        return str(cause).split(":", maxsplit=1)[0], cause == "left"

    async def _restart(self, slot: int) -> None:
        await asyncio.sleep(self.chance.uniform(0.05, 2.0))
        await self._may_start.wait()
        self._start_worker(slot)

    def _start_worker(self, slot: int) -> None:
        try:
            worker = self.workers[slot] = Worker(self, self.homes[slot])
        except Exception as error:
            self.unexpected.append(f"a worker could not start: {error!r}")
            raise
        self.loop.create_task(_start(worker), context=worker._context.copy())

    def _lose_database(self) -> None:
        """Lose the database file; every worker dies with it."""
        for worker in self.workers:
            if worker is not None and not worker.dead:
                worker.die(Crash("database", 0))
        self.bench.empty()

    # -- the schedule

    async def run(self) -> bool:
        """Feed the day, inject the faults, then wait until all is decided and stored; False if that never happens."""
        for slot in range(len(self.workers)):
            self.broker.spawn(self._restart(slot))
        producers = self.broker.spawn(self._feed())
        for fault in self.plan.faults:
            await asyncio.sleep(max(0.0, fault.inject_at_s - self.loop.time()))
            await self._inject(fault)
        await producers
        await asyncio.sleep(TAIL_S)
        self.broker.conditions = self.broker.conditions._replace(slow=0.0, ack_lost=0.0)
        may_settle = not any(fault.kind in {Kind.LOSE_STATE, Kind.CUT} for fault in self.plan.faults)
        while self.loop.time() < SETTLE_WITHIN_S and not self.unexpected:
            if self._settled():
                if may_settle:
                    return True
                may_settle = True
                await asyncio.sleep(REST_S)  # records committed before the loss may have to be read again
                continue
            await asyncio.sleep(POLL_S)
        return False

    async def _feed(self) -> None:
        for record in self.plan.day.records:
            await asyncio.sleep(max(0.0, record.sent_at_s - self.loop.time()))
            self.broker.write(record.topic, record.partition, [(record.key, record.value, 0, ())])

    async def _inject(self, fault: Fault) -> None:
        worker = self.workers[fault.slot]
        match fault.kind:
            case Kind.REFUSE:
                self.broker.writes_to_refuse += 1
            case Kind.OUTAGE:
                self.broker.outage(fault.for_s)
            case Kind.CLOCK if self._has_time():
                self.broker.set_clock_ahead(fault.for_s)
            case Kind.REBALANCE:
                self.chance.choice([*self.groups.values()]).rebalance()
            case Kind.COMPACT:
                self._compact()
            case Kind.LOSE_STATE:
                await self._lose_state()
            case Kind.CUT if self.plan.surgery is not None:
                await self._cut_and_refill(self.plan.surgery)
            case Kind.FREEZE if worker is not None and not worker.dead and not worker.asleep:
                worker.pause()
                self.broker.spawn(self._freeze(worker, fault.for_s))
            case Kind.LEAVE if worker is not None and not worker.dead and not worker.asleep:
                worker.spawn(self._leave(worker))
            case Kind.WIPE if worker is not None and not worker.dead:
                worker.die(Crash("wipe", 0))
                worker.home.store.wipe()
            case _:
                self.deaths[f"no {fault.kind}"] += 1

    def _has_time(self) -> bool:
        """Whether the journal has a log time: without one, intake believes the first clock, right or wrong."""
        records = self.log.read(self.topics.legs, 0, 0, 1_000)
        return any(record.key is None and decode_progress(record.value or b"").at_ns for record in records)

    def _compact(self) -> None:
        for partition in range(self.plan.day.internal_partitions):
            while self.log.compact(CHANGELOG, partition):
                pass

    async def _lose_state(self) -> None:
        """Kill all workers, and delete their local stores and the changelog; the group's commits remain."""
        self._may_start.clear()
        for worker in self.workers:
            if worker is not None and not worker.dead:
                worker.die(Crash("forget", 0))
        await asyncio.sleep(IN_FLIGHT_S)
        for home in self.homes:
            home.store.wipe()
        for partition in range(self.plan.day.internal_partitions):
            cut(self.log, CHANGELOG, partition, 0)
            self.broker.end_offsets[CHANGELOG, partition] = 0
        self._may_start.set()

    async def _cut_and_refill(self, surgery: Surgery) -> None:
        """Cut a log and fill it again while readers lag, with or without running workers."""
        pauses = [
            role.app.pauses
            for worker in self.workers
            if worker is not None
            for role in worker.roles
            if role.name in surgery.paused_roles
        ]
        for role_pauses in pauses:
            role_pauses.pause("surgery", "made to lag")
        await asyncio.sleep(surgery.pause_s)
        if not surgery.workers_alive:
            self._may_start.clear()
            for worker in self.workers:
                if worker is not None and not worker.dead:
                    worker.die(Crash("surgery", 0))
            await asyncio.sleep(IN_FLIGHT_S)
        tp = surgery.topic, surgery.partition % self.partitions[surgery.topic]
        records = self.log.read(*tp, 0, 1_000_000)
        end = len(records) - round(surgery.cut * len(records))
        self.removed_records = records[end:]
        cut(self.log, *tp, records[end].offset if end < len(records) else self.log.end(*tp))
        self.broker.end_offsets[tp] = self.log.end(*tp)
        self.broker.leader_epochs[tp] += 1
        for number in range(surgery.refill if records else 0):
            copy = records[(number * 7) % len(records)]
            self.broker.write(*tp, [(copy.key, copy.value, 0, copy.headers)])
        if surgery.compacted:
            for partition in range(self.plan.day.internal_partitions):
                while self.log.compact(CHANGELOG, partition, min_dirty=1):
                    pass
        for role_pauses in pauses:
            role_pauses.resume("surgery")
        self._may_start.set()

    async def _freeze(self, worker: Worker, for_s: float) -> None:
        await asyncio.sleep(min(for_s, SESSION_S))
        if for_s > SESSION_S:
            for role in worker.roles:
                role.group.leave(role)
            await asyncio.sleep(for_s - SESSION_S)
        worker.wake()
        if for_s > SESSION_S and not worker.dead:
            for role in worker.roles:
                if role not in role.group.members:
                    worker.spawn(role.revoke())

    async def _leave(self, worker: Worker) -> None:
        for role in worker.roles:
            await role.leave()
        worker.die("left")

    def _settled(self) -> bool:
        """Whether all input is committed, every grace has expired, and all output is in the database."""
        for name in self.topics.inputs:
            if not self._committed("intake", name):
                return False
        if not self._committed("matching", self.topics.legs, legs_only=True):
            return False
        with self.bench.engine.connect() as connection:
            stored = {
                (topic, partition): offset
                for topic, partition, offset in connection.exec_driver_sql(
                    "SELECT topic, partition, next_offset FROM sink_offsets"
                )
            }
            partition_statuses = connection.exec_driver_sql("SELECT watermark, pending FROM standings").all()
        names = self.topics
        outputs = {names.reconciled, names.mismatch, names.dead_letters, names.actions}
        for (name, partition), end in self.broker.end_offsets.items():
            if name in outputs and stored.get((name, partition), 0) != end:
                return False
        if len(partition_statuses) != self.plan.day.internal_partitions or not all(
            self._graces_over(watermark, pending) for watermark, pending in partition_statuses
        ):
            return False
        # Accounts are published for as long as the pipeline runs: those published so far are enough.
        if not self._account_ends:
            self._account_ends = {tp: end for tp, end in self.broker.end_offsets.items() if tp[0] == names.accounts}
        return all(stored.get(tp, 0) >= end for tp, end in self._account_ends.items())

    def _graces_over(self, watermark: str | None, pending: str) -> bool:
        graces_end_s = self.loop.epoch_s + self.plan.day.records[-1].sent_at_s + self.plan.day.grace_s
        if watermark is None or datetime.fromisoformat(watermark).timestamp() < graces_end_s:
            return False
        return not sum(json.loads(pending).values())

    def _committed(self, role: str, topic: str, *, legs_only: bool = False) -> bool:
        tps = [(topic, partition) for partition in range(self.partitions[topic])]
        committed = self.log.committed(f"traderecon-{role}", tps)
        for tp in tps:
            end = self.broker.end_offsets[tp]
            if legs_only:  # log time is published without end, so its last records are never committed
                leg_offsets = [record.offset for record in self.log.read(*tp, 0, 100_000) if record.key is not None]
                end = max(leg_offsets, default=-1) + 1
            if committed.get(tp, 0) < end:
                return False
        return True

    def close(self) -> None:
        """Cancel everything."""
        failpoints.listen(None)
        self.broker.close()
        for worker in self.workers:
            if worker is not None and not worker.dead:
                worker.dead = True
                for task in [*worker._tasks]:
                    task.cancel()


async def _start(worker: Worker) -> None:
    worker.start()


def simulate(plan: Plan, bench: Bench, world_type: type[World] = World) -> tuple[Outcome, World]:
    """Run one schedule to its end; the returned world is closed, but its log and database can still be read."""
    loop = VirtualLoop(epoch_s=plan.epoch_s)
    bench.clean()
    gc.disable()
    with _patched_product(loop, bench) as current:
        loop.set_exception_handler(lambda *args: None)
        outcome, world = loop.run_until_complete(_run_world(lambda: world_type(plan, bench, loop), loop, current))
        loop.run_until_complete(_cancel_all())
    loop.close()
    gc.enable()
    return outcome, world


async def _run_world(
    new_world: Callable[[], World], loop: VirtualLoop, current: SimpleNamespace
) -> tuple[Outcome, World]:
    world = new_world()
    current.world = world
    loop.work = lambda call: _current_worker().work(call)
    failpoints.listen(world.on_failpoint)
    try:
        settled = await world.run()
    finally:
        world.close()
    outcome = Outcome(
        settled, world.unexpected, world.hits, world.crashes, world.deaths, world.broker.repeated, loop.time()
    )
    return outcome, world


def _current_worker() -> Worker:
    worker = CURRENT.get()
    if worker is None:
        raise RuntimeError("a call of an executor outside a worker")
    return worker


async def _cancel_all() -> None:
    """Cancel the remaining tasks, and let them finish."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)


@contextmanager
def _patched_product(loop: VirtualLoop, bench: Bench) -> Iterator[SimpleNamespace]:
    """Replace the product's clock, process exit, local store and decoder by the simulation's while this lasts."""
    current = SimpleNamespace(world=None)
    decode = vars(intake_agent)["decode"]

    def failing_decode(source: Any, value: bytes | None, *args: Any) -> Any:
        if value == POISON:
            raise SeededBug("a bug")
        return decode(source, value, *args)

    decode_action = vars(sink_actions)["_decode_stored_action"]

    def failing_decode_action(value: bytes) -> Any:
        if value == SINK_POISON:
            raise SeededBug("a bug")
        return decode_action(value)

    def on_exit(code: int) -> None:
        current.world.on_exit(code)

    class FailStopLogger:
        def critical(self, form: str, fail_stop_message: str, exc_info: Any = None) -> None:
            current.world.fail_stop_message = fail_stop_message

    patches: list[tuple[Any, str, Any]] = [
        (clock, "now_ns", loop.now_ns),
        (clock, "boot_ns", lambda: int(loop.time() * NS_PER_S)),
        (consumer, "ROOM_S", ROOM_S),
        (consumer, "IDLE_S", IDLE_S),
        (consumer, "FETCH_S", FETCH_S),
        (store, "statements", bench.statements),
        (sink_agent, "now_ns", loop.now_ns),
        (matching_agent, "monotonic", loop.time),
        (matching_agent, "BatchTable", bench.table),
        (matching_agent, "SWEEP_ROWS", SWEEP_ROWS),
        (sys.modules[BatchTable.__module__], "WriteBatch", RowsBatch),
        (sys.modules["traderecon.tables.store"], "ReadOptions", RowsBound),
        (intake_agent, "decode", failing_decode),
        (sink_actions, "_decode_stored_action", failing_decode_action),
        (fail_stop, "os", SimpleNamespace(_exit=on_exit)),
        (fail_stop, "logging", SimpleNamespace(shutdown=lambda: None)),
        (fail_stop, "logger", FailStopLogger()),
    ]
    originals = [(module, name, vars(module)[name]) for module, name, _ in patches]
    disabled_level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    for module, name, value in patches:
        setattr(module, name, value)
    try:
        yield current
    finally:
        failpoints.listen(None)
        logging.disable(disabled_level)
        for module, name, value in originals:
            setattr(module, name, value)
