"""A worker: the real agents, table, store and consumer of every role, without Faust's services, in one address space.

    Worker(slot) -> intake, matching, sink, each with a consumer of its group -> works until it dies

Every answer from outside passes ``receive``, so a worker can be frozen, woken late and killed at any point. Requests
it sent before are processed all the same.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakSet

from faust.transport.consumer import Consumer
from faust.types import TP

from simulation.broker import AckLost, NoAnswer
from traderecon.intake import agent as intake_agent
from traderecon.matching import agent as matching_agent
from traderecon.sink import agent as sink_agent
from traderecon.stage import Stage
from traderecon.telemetry import Metrics
from traderecon.transport import Outgoing, Record
from traderecon.transport.app import StreamApp
from traderecon.transport.consumer import BatchConsumer
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.fingerprint import LogId
from traderecon.transport.incidents import Incidents
from traderecon.transport.log import OffsetOutOfRange
from traderecon.transport.pauses import Pauses
from traderecon.transport.producer import BatchProducer, ClockReading
from traderecon.transport.progress import Fetch
from traderecon.transport.recovery import RangeRecovery
from traderecon.transport.retry_counts import RetryCounts
from traderecon.transport.stream import BatchStream
from traderecon.transport.write_marks import WriteMarks

if TYPE_CHECKING:
    from simulation.broker import Group
    from simulation.world import Home, World

Answer = TypeVar("Answer")

CURRENT: ContextVar["Worker | None"] = ContextVar("at work", default=None)
"""The worker whose code is running."""
QUEUE_SIZE = 4
SILENCE_LIMIT_S, SILENCE_FLOOR_S = 900, 30
RETRY_S = 0.5


class Died(BaseException):
    """The worker's process is dead: stop the running code."""


class Worker:
    """One process on the home of one slot, from its start to its death."""

    def __init__(self, world: "World", home: "Home") -> None:
        self.world, self.home = world, home
        self.dead = False
        self._awake = asyncio.Event()
        self._awake.set()
        self._context = copy_context()
        self._context.run(CURRENT.set, self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = asyncio.Lock()
        self.metrics = Metrics()
        self.roles = [Role(self, name) for name in world.groups]

    def start(self) -> None:
        """Start all roles; they join their groups."""
        for role in self.roles:
            role.start()

    # -- tasks

    def spawn(self, work: Coroutine[Any, Any, Answer], *, watched: bool = True) -> "asyncio.Task[Answer]":
        """Run a coroutine as this worker; if it fails, the worker dies."""
        task = self.world.loop.create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._ended if watched else self._finished)
        return task

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Died):
            self.die(error)

    def die(self, cause: object) -> None:
        """Die at once, as by SIGKILL."""
        if self.dead:
            return
        self.dead = True
        for task in [*self._tasks]:
            task.cancel()
        self.home.store.close()
        self.world.on_death(self, cause)

    def work(self, call: Callable[[], Answer]) -> "asyncio.Task[Answer]":
        """Run a call as the database thread would: one at a time."""

        async def call_in_turn() -> Answer:
            async with self._thread:
                await asyncio.sleep(self.world.database_s())
                await self.awake()
                return call()

        return self.spawn(call_in_turn(), watched=False)

    # -- sleep

    def pause(self) -> None:
        """SIGSTOP."""
        self._awake.clear()

    def wake(self) -> None:
        """SIGCONT."""
        self._awake.set()

    @property
    def asleep(self) -> bool:
        """Whether the worker is frozen."""
        return not self._awake.is_set()

    async def awake(self) -> None:
        """Wait until the worker is not frozen."""
        while not self._awake.is_set():
            await self._awake.wait()
        if self.dead:
            raise Died

    async def receive(self, answer: "asyncio.Future[Answer]") -> Answer:
        """Wait for an answer; it arrives even if the worker has died meanwhile."""
        try:
            return await asyncio.shield(answer)
        finally:
            await self.awake()

    async def request(self, question: Callable[[], Answer]) -> Answer:
        """Send a request to the broker and wait for its answer."""
        await self.awake()

        async def respond() -> Answer:
            await self.world.broker.travel()
            return question()

        return await self.receive(self.world.broker.spawn(respond()))


class _Tables(dict[str, Any]):
    """An app's tables by name."""

    _changelogs: dict[str, Any]
    recovery: Any

    def add(self, table: Any) -> Any:
        self[table.name] = table
        self._changelogs = {table.changelog_topic.get_topic_name(): table}
        return table

    @property
    def changelog_topics(self) -> set[str]:
        return set(vars(self).get("_changelogs", ()))

    def on_actives_ready(self) -> None: ...

    def on_standbys_ready(self) -> None: ...


class _Flow:
    """Stands in for Faust's flow control: whether records flow."""

    def __init__(self) -> None:
        self._active = False

    def is_active(self) -> bool:
        return self._active

    def resume(self) -> None:
        self._active = True

    def suspend(self) -> None:
        self._active = False


async def _nothing(*args: Any) -> None:
    """Stands in for services that the simulation does not need."""


class _Conf:
    """An app's settings, under another name."""

    def __init__(self, conf: Any, name: str) -> None:
        self._conf, self.id = conf, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conf, name)


class RoleApp:
    """The app as the parts of one role see it."""

    def __init__(self, role: "Role", name: str) -> None:
        self.role = role
        self._app = role.worker.world.bench.apps[role.worker.world.plan.day.internal_partitions]
        self.conf = _Conf(self._app.conf, name)
        self.tables = _Tables()
        self.topics = SimpleNamespace(_topic_name_index={})
        self.flow_control = _Flow()
        self.monitor = SimpleNamespace(on_tp_commit=lambda offsets: None)
        self.on_rebalance_complete = SimpleNamespace(send=_nothing)
        self._fetcher = SimpleNamespace(maybe_start=_nothing, should_stop=False)
        self.async_exit_stack = SimpleNamespace(push_async_callback=_nothing_sync)
        self.start_offsets: Any = None
        self.writes: frozenset[str] = frozenset()
        self.write_marks = WriteMarks(name)
        self.pauses = Pauses(name)
        self.incidents = Incidents(name)
        self.consumer_generation_id = 0
        self.rebalancing_count = 0
        self.rebalancing = False
        self.agents: dict[str, Any] = {}
        self.timers: list[Callable[[], Awaitable[None]]] = []
        self.transport = SimpleNamespace(read=role.read, url=["simulation://"])
        self.producer: Any = Producer(role)
        self.consumer: Any = None

    def __getattr__(self, name: str) -> Any:
        """Everything that is not replaced here comes from the real app."""
        return getattr(self._app, name)

    @property
    def should_stop(self) -> bool:
        return self.role.worker.dead

    def on_rebalance_end(self) -> None:
        self.rebalancing = False

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        return await StreamApp.append(cast(Any, self), topic, partition, rows)

    def topic(self, *names: str, **kwargs: Any) -> Any:
        return SimpleNamespace(names=names)

    def agent(self, topic: Any, name: str) -> Callable[[Any], Any]:
        def register(run: Any) -> Any:
            stream = Stream(self)
            for topic_name in topic.names:
                self.topics._topic_name_index[topic_name] = [stream.channel]
            self.agents[name] = SimpleNamespace(run=run, name=name, _actors=[SimpleNamespace(stream=stream)])
            return run

        return register

    def timer(self, interval: float, *, name: str = "") -> Callable[[Any], Any]:
        def register(publish: Any) -> Any:
            if name:  # the unnamed timer watches the database file, which stays here
                self.timers.append(publish)
            return publish

        return register


def _nothing_sync(*args: Any) -> None:
    """Stands in for callbacks that the simulation never calls."""


class Channel:
    """The queue of an agent's events."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(QUEUE_SIZE)

    async def __anext__(self) -> Any:
        return await self.queue.get()


class Stream(BatchStream):
    """The real stream on a simulated channel: ``BatchStream`` decides what is acknowledged and what is returned."""

    def __init__(self, app: RoleApp) -> None:
        self.app, self.channel = cast(Any, app), cast(Any, Channel())
        self._processors: list[Any] = []
        self.current_event: Any = None
        self._finalized = False

    @property
    def should_stop(self) -> bool:
        return self.app.should_stop

    async def maybe_start(self) -> bool:
        return False

    def _on_stream_event_in(self, *args: Any) -> None: ...

    def _on_stream_event_out(self, *args: Any) -> None: ...

    def _on_message_out(self, *args: Any) -> None: ...

    def _channel_stop_iteration(self, channel: Any) -> None: ...

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events()


class _Quiet:
    """A logger that discards everything."""

    def info(self, *args: Any) -> None: ...

    warning = dev = critical = error = info


QUIET = _Quiet()


class Producer:
    """Writes as the Kafka producer does: in several requests, each retried until it is acknowledged."""

    def __init__(self, role: "Role") -> None:
        self._worker, self._broker = role.worker, role.worker.world.broker
        self.log_times: dict[str, ClockReading] = {}
        self.log_ahead_ms = 0
        self._unsettled: set[Any] = set()

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        spans = []
        for piece in self._pieces(rows):
            entries = [(key, value, time_ms or 0, tuple(headers)) for key, value, time_ms, headers in piece]
            while True:
                await self._worker.awake()
                sent_ms = int(self._worker.world.loop.time() * 1000)
                sending = self._broker.send(topic, partition, entries)
                hit(Failpoint.SENT, topic)
                try:
                    base, appended_ms = await self._worker.receive(sending)
                except AckLost:
                    continue
                break
            self.log_times["broker"] = ClockReading(appended_ms, sent_ms, int(self._worker.world.loop.time() * 1000))
            spans.append(range(base, base + len(entries)))
        return spans

    def _pieces(self, rows: Sequence[Outgoing]) -> list[Sequence[Outgoing]]:
        chance, share = self._broker.chance, self._broker.conditions.split
        if len(rows) < 2 or not share or chance.random() >= share:
            return [rows] if rows else []
        middle = chance.randrange(1, len(rows))
        return [rows[:middle], rows[middle:]]

    flush = BatchProducer.flush


class _Member(Consumer):
    """A member of a simulated group, as ``BatchConsumer`` sees Faust's consumer."""

    app: Any

    def __init__(self, app: RoleApp) -> None:  # Faust's own starts services
        self.app, self.transport = app, cast(Any, app.transport)
        self._unacked_messages = WeakSet()
        self._waiting_for_ack = None
        self._committed_offset = {}
        self._committing = asyncio.Lock()
        self.can_resume_flow, self.suspend_flow, self.not_waiting_next_records = (asyncio.Event() for _ in range(3))
        self._active_partitions, self._paused_partitions, self._buffered_partitions = set(), set(), set()
        self.flow_active = False
        self._on_message_in = lambda *args: None

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """As Faust does it: start nothing new, finish what was started, and commit it."""
        app = self.app
        self.stop_flow()
        app.flow_control.suspend()
        self.pause_partitions(revoked)
        for [channel] in app.topics._topic_name_index.values():
            while not channel.queue.empty():
                channel.queue.get_nowait()
        while any(not message.acked for message in [*self._unacked_messages]):
            self._waiting_for_ack = asyncio.get_running_loop().create_future()
            await self._waiting_for_ack
        await self.commit_in_turn()

    async def commit_in_turn(self) -> None:
        """Commit one at a time, as Faust does it."""
        async with self._committing:
            await cast(Any, self).force_commit()


class SimulatedConsumer(BatchConsumer, _Member):
    """Fetches from the simulated broker; all decisions are made by ``BatchConsumer``."""

    transient_errors = (NoAnswer,)

    def __init__(self, role: "Role", app: RoleApp) -> None:
        self._role, self._worker, self._broker = role, role.worker, role.worker.world.broker
        self._positions: dict[TP, int] = {}
        self.assigned: set[TP] = set()
        super().__init__(app)

    log = QUIET  # type: ignore[assignment]

    @property
    def should_stop(self) -> bool:
        return self._worker.dead

    async def sleep(self, n: Any, **kwargs: Any) -> None:
        await asyncio.sleep(min(float(n), 1.0))

    async def wait(self, *events: Any, **kwargs: Any) -> Any:
        await events[0].wait()

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        await self._worker.awake()
        wanted = sorted(active & self._positions.keys())
        log, ends = self._broker.log, self._broker.end_offsets
        if not any(ends[tp] > self._positions[tp] for tp in wanted):
            await self._broker.wait_for_append({tp.topic for tp in wanted}, timeout)
        max_records = self._broker.chance.randint(1, self._broker.conditions.max_fetch)
        start_offsets = {tp: offset for tp in wanted if (offset := self._positions[tp]) < ends[tp]}
        if not start_offsets:
            return {}
        try:
            records_read = await self._worker.request(
                lambda: {tp: log.read(*tp, offset, max_records) for tp, offset in start_offsets.items()}
            )
        except OffsetOutOfRange:  # the log was cut meanwhile
            for tp, offset in start_offsets.items():
                await self._require_offset(tp, offset)
            return {}
        fetched = {}
        for tp, records in records_read.items():
            if records and self._positions.get(tp) == start_offsets[tp]:
                self._positions[tp] = records[-1].offset + 1
                fetched[tp] = Fetch(start_offsets[tp], records, self._positions[tp])
        return fetched

    async def _seek(self, partition: Any, offset: int) -> None:
        self._positions[partition] = offset

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        generation = self._role.generation
        await self._worker.request(lambda: self._role.group.commit(self._role, generation, offsets, notes))

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        wanted, log = sorted(tps), self._broker.log
        found = await self._worker.request(lambda: log.notes(self._role.group.name, wanted))
        return {TP(*tp): note for tp, note in found.items()}

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        counts, leader_epochs = self._worker.world.partitions, self._broker.leader_epochs
        wanted = sorted(set(topics) & counts.keys())
        return await self._worker.request(
            lambda: {
                topic: LogId("", {number: leader_epochs[topic, number] for number in range(counts[topic])})
                for topic in wanted
            }
        )

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        wanted, log = sorted(tps), self._broker.log
        found = await self._worker.request(lambda: log.committed(self._role.group.name, wanted))
        return {TP(*tp): offset for tp, offset in found.items()}

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        counts = self._worker.world.partitions
        return {topic: counts[topic] for topic in sorted(topics)}

    async def earliest_offsets(self, *partitions: Any) -> Mapping[TP, int]:
        log = self._broker.log
        return await self._worker.request(lambda: {tp: log.earliest(*tp) for tp in sorted(partitions)})

    async def highwaters(self, *partitions: Any) -> Mapping[TP, int]:
        log = self._broker.log
        return await self._worker.request(lambda: {tp: log.end(*tp) for tp in sorted(partitions)})

    async def readable_ends(self, *partitions: Any) -> Mapping[TP, int]:
        return await self.highwaters(*partitions)


SimulatedConsumer.__abstractmethods__ = frozenset()  # the remaining abstract methods are never called here


class SimulatedRecovery(RangeRecovery):
    """The real recovery, started by a call instead of a signal."""

    def __init__(self, app: RoleApp) -> None:
        self.app, self.tables = app, cast(Any, app.tables)
        self.active_tps = set()
        self.completed = cast(Any, asyncio.Event())

    log = QUIET  # type: ignore[assignment]

    async def sleep(self, n: Any, **kwargs: Any) -> None:
        await asyncio.sleep(float(n))

    async def restore(self) -> None:
        """Restore the tables from the changelog."""
        await self._restore(set(self.active_tps))

    async def begin(self) -> None:
        """Start the streams."""
        await self._begin(self.app.consumer_generation_id, self.app.rebalancing_count)


class Role:
    """One stage of one worker, a member of its group."""

    def __init__(self, worker: Worker, name: str) -> None:
        self.worker, self.name = worker, name
        world = worker.world
        self.group: Group = world.groups[name]
        self.app = RoleApp(self, self.group.name)
        self.generation = 0
        self._start_task: asyncio.Task[None] | None = None
        self._revoke_lock = asyncio.Lock()
        retry_counts = RetryCounts(worker.home.directory / f"{name}.json")
        stage = Stage(
            cast(Any, self.app), world.topics, world.partitions[world.topics.legs], worker.metrics, retry_counts
        )
        self.store = None
        match name:
            case "intake":
                intake_agent.attach(stage, world.plan.sources or {}, clock_step_s=10, wall_votes=False)
            case "matching":
                matching_agent.attach(
                    stage, world.rules, 35, silence_limit_s=SILENCE_LIMIT_S, silence_floor_s=SILENCE_FLOOR_S
                )
            case _:
                sink_agent.attach(stage, world.new_store())
        self.consumer = SimulatedConsumer(self, self.app)  # type: ignore[abstract]
        self.app.consumer = self.consumer
        self.recovery = self.app.tables.recovery = SimulatedRecovery(self.app)

    def start(self) -> None:
        """Run the agents, and join the group."""
        spawn = self.worker.spawn
        for agent in self.app.agents.values():
            spawn(agent.run(agent._actors[0].stream))
        spawn(self.consumer._drain_messages(cast(Any, self.app._fetcher)))
        spawn(self._commit_loop())
        for publish in self.app.timers:
            spawn(self._publish_loop(publish))
        if self.worker.world.plan.surgery is not None:
            spawn(self._watch_loop())
        self.group.join(self)

    async def _commit_loop(self) -> None:
        while True:
            await asyncio.sleep(self.worker.world.commit_s)
            await self.worker.awake()
            await self.consumer.commit_in_turn()

    async def _watch_loop(self) -> None:
        """Check, as the watchdog does, that the log was not replaced."""
        while True:
            await asyncio.sleep(5.0)
            await self.worker.awake()
            if not self.app.rebalancing:
                with suppress(NoAnswer):
                    await self.consumer.same_log.watch(self.consumer.readings())

    async def _publish_loop(self, publish: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self.worker.world.progress_s)
            await self.worker.awake()
            await publish()

    # -- the group

    async def revoke(self) -> None:
        """Give up all partitions for a rebalance."""
        was_asleep, generation = self.worker.asleep, self.generation
        await self.worker.awake()
        if was_asleep or self not in self.group.members:
            # It was frozen, and has not yet noticed the rebalance.
            await asyncio.sleep(self.worker.world.chance.uniform(0, 1.5))
        async with self._revoke_lock:
            if generation == self.generation:
                await self._revoke()
        if self not in self.group.members:
            self.group.join(self)

    async def _revoke(self) -> None:
        if self._start_task is not None:
            self._start_task.cancel()
        self.app.rebalancing = True
        self.app.rebalancing_count += 1
        await self.consumer.on_partitions_revoked(self.consumer.assignment())

    def assign(self, tps: set[TP], generation: int) -> None:
        """Take over the partitions assigned by the group."""
        self.generation = self.app.consumer_generation_id = generation
        self._start_task = self.worker.spawn(self._begin(tps, generation))

    async def _begin(self, tps: set[TP], generation: int) -> None:
        await self.worker.awake()
        if generation != self.generation:
            return
        consumer, changelogs = self.consumer, self.app.tables.changelog_topics
        changelog_tps = {TP(topic, tp.partition) for topic in changelogs for tp in tps}
        consumer.assigned = tps | changelog_tps
        consumer._set_active_tps(tps)
        self.recovery.active_tps = changelog_tps
        while True:
            try:
                await self.recovery.restore()
                await self.recovery.begin()
            except NoAnswer:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def leave(self) -> None:
        """Leave the group in an orderly stop."""
        hit(Failpoint.STOPPING, self.app.conf.id)
        async with self._revoke_lock:
            await self._revoke()
        self.group.leave(self)
        hit(Failpoint.STOPPED, self.app.conf.id)

    # -- the log, beside the group

    async def read(
        self, spans: Mapping[TP, range], *, refuse_unreadable: bool = True
    ) -> AsyncIterator[tuple[TP, Sequence[Record]]]:
        """Read the records of each span, in several requests."""
        broker = self.worker.world.broker
        for tp in sorted(spans):
            span = spans[tp]
            offset = span.start
            while offset < span.stop:
                max_records = broker.chance.randint(1, 40)
                records = await self.worker.request(partial(broker.log.read, *tp, offset, max_records))
                wanted = [record for record in records if record.offset < span.stop]
                if not wanted:
                    break
                offset = records[-1].offset + 1
                yield tp, wanted


def table_from(prototype: Any, app: RoleApp) -> Any:
    """A copy of a table declared once on a real app, for another app and another home."""
    attributes = copy.copy(vars(prototype))
    table = object.__new__(type(prototype))
    vars(table).update(attributes)
    table.app, table._data, table._writes = app, app.role.worker.home.store, {}
    return table
