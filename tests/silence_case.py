"""Feeds that stop, in simulated log time: the real matching agent and its table on an embedded log, no clock.

    schedule of legs  ->  Journal (facts and progress, as intake writes them)  ->  Matching.read  ->  results

The journal is built with intake's own parts, second by second. Where it is cut into batches is the caller's choice, and
so is a crash: the agent reads again what it had not written.
"""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from faust.types import TP
from tables_case import Row

from traderecon.intake.spoken import Spoken, spoken_by
from traderecon.matching import agent as matching_agent
from traderecon.records import Fact, Leg, Origin, State
from traderecon.records.account import Account, decode_account
from traderecon.records.instants import NS_PER_S
from traderecon.records.journal import Progress, decode_progress, encode_journal
from traderecon.records.result_head import decode_head, require_publishable
from traderecon.rules import FOUNDING, Rules
from traderecon.stage import Stage
from traderecon.telemetry import Metrics
from traderecon.topics import topics
from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp
from traderecon.transport.incidents import Kind
from traderecon.transport.retry_counts import RetryCounts

TOPICS = topics("")
START_S = 1_753_524_000
CHANGELOG = "traderecon-matching-trades-changelog"
LAG_S = 1
"""A progress is about the second before: everything received until then is in the journal."""


class Arrival(NamedTuple):
    """A leg, and when the log receives it, in seconds since the start."""

    at_s: float
    leg: Leg


class Journal:
    """One partition of the journal, written second by second of log time."""

    def __init__(self) -> None:
        self.records: list[Row] = []
        self.end = 0
        self.received: Counter[str] = Counter()

    def write(self, arrivals: Iterable[Arrival], until_s: int, since_s: int = 0, epoch: int = 0) -> "Journal":
        """Write legs in the order of their arrival, and a progress at the end of each second."""
        by_second: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            by_second[int(arrival.at_s)].append(arrival)
        spoken = Spoken()
        for second in range(since_s, until_s):
            facts: dict[str, list[Fact]] = defaultdict(list)
            for at_s, leg in sorted(by_second.get(second, ()), key=lambda arrival: arrival.at_s):
                self.received[leg.source] += 1
                at_ns = START_S * NS_PER_S + int(at_s * NS_PER_S)
                fact = Fact(leg, Origin(leg.source, 0, self.received[leg.source], at_ns))
                facts[leg.source].append(fact)
                self.append((leg.sent_id or leg.trade_id).encode(), encode_journal(fact))
            for each in facts.values():
                spoken.add(spoken_by(each))
            at_ns = (START_S + second + 1 - LAG_S) * NS_PER_S
            reached = {name: [0] for name in TOPICS.inputs}
            self.append(
                None,
                encode_journal(
                    Progress(
                        at_ns, reached, dict.fromkeys(TOPICS.inputs, 1), epoch, spoken=spoken.take(at_ns + NS_PER_S)
                    )
                ),
            )
        return self

    def reset(self, at_s: int, epoch: int) -> "Journal":
        """The log's time is reset."""
        self.append(None, encode_journal(Progress((START_S + at_s) * NS_PER_S, {}, {}, epoch)))
        return self

    def ns(self, at_s: int) -> int:
        """A second of log time in nanoseconds since 1970."""
        return (START_S + at_s) * NS_PER_S

    def append(self, key: bytes | None, value: bytes) -> None:
        """Append a record."""
        self.records.append(Row(self.end, 0, key, value))
        self.end += 1

    def drop(self) -> None:
        """Remove the records, as retention does; offsets go on."""
        self.records = []

    def batches(self, size: int) -> Iterator[MicroBatch]:
        """The journal in batches of ``size`` records."""
        for start in range(0, len(self.records), size):
            yield MicroBatch(TOPICS.legs, 0, self.records[start : start + size])


class Published(NamedTuple):
    """A published result; it was published by the second ``at_s`` of log time."""

    trade_id: str
    version: int
    state: State
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    at_s: int
    outcomes: tuple[tuple[str, str], ...] = ()
    """Of each check."""


class Crash(Exception):
    """The worker dies."""


class Matching:
    """The matching agent on the log of a directory."""

    def __init__(self, app: StreamApp, run: Any, metrics: Metrics) -> None:
        self.app, self._run, self.metrics = app, run, metrics
        self.published: list[Published] = []
        self.largest = 0
        """Of the results, in bytes."""
        self.statuses: list[dict[str, Any]] = []
        self.accounts: list[Account] = []
        self.at_s = 0
        self.crash_at: tuple[int, float] | None = None
        """In which write it crashes, and after how many rows of it; below 1, after which share of them."""
        self.changelog_writes: dict[int, int] = {}
        """How many rows each write of the changelog has."""
        self._append, self._writes = app.append, 0
        app.append = self._noting  # type: ignore[method-assign]

    async def recover(self) -> None:
        """Restore the table from the changelog, as after a crash."""
        table: Any = self.app.tables["trades"]
        tp = TP(CHANGELOG, 0)
        span = range(table.next_changelog_offset(0), self.app.transport.log.end(CHANGELOG, 0))
        async for _, records in self.app.transport.read({tp: span} if span else {}):
            table.restore(tp, records, records[-1].offset + 1)

    async def _noting(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        self._writes += 1
        if topic == CHANGELOG:
            self.changelog_writes[self._writes] = len(rows)
        if self.crash_at is not None and self.crash_at[0] == self._writes:
            after = self.crash_at[1]
            if written := rows[: int(after if after >= 1 else after * len(rows))]:
                await self._append(topic, partition, written)
                self._note(topic, written)
            raise Crash
        spans = await self._append(topic, partition, rows)
        self._note(topic, rows)
        return spans

    async def read(self, batches: Iterable[MicroBatch]) -> None:
        """Let the agent read these batches of the journal."""

        async def each() -> AsyncIterator[MicroBatch]:
            for batch in batches:
                for record in batch:
                    if record.key is None:
                        self.at_s = decode_progress(record.value or b"").at_ns // NS_PER_S - START_S
                yield batch

        await self._run(each())

    def newest(self) -> dict[str, Published]:
        """The newest result of each trade."""
        return {result.trade_id: result for result in sorted(self.published, key=lambda result: result.version)}

    def states(self) -> Counter[str]:
        """How many trades have each state by their newest result."""
        return Counter(result.state for result in self.newest().values())

    def keys(self, prefix: bytes) -> list[bytes]:
        """The keys of the table's rows with a prefix."""
        table: Any = self.app.tables["trades"]
        return [key for key, _ in table.write_batch(MicroBatch(TOPICS.legs, 0, [Row(0)])).scan(prefix)]

    def incidents(self) -> dict[str, str]:
        """The open incidents."""
        return dict(self.app.incidents.open(Kind.SOURCE_SILENT))

    def _note(self, topic: str, rows: Sequence[Outgoing]) -> None:
        """Remember what is published."""
        for row in rows:
            if topic in {TOPICS.reconciled, TOPICS.mismatch}:
                self.largest = max(self.largest, len(row.value or b""))
                require_publishable(decode_head(row.value or b""))
                result = json.loads(row.value or b"")
                self.published.append(
                    Published(
                        result["trade_id"],
                        result["version"],
                        State(result["state"]),
                        tuple(result["reasons"]),
                        tuple(result.get("hints", ())),
                        self.at_s,
                        tuple((check["name"], check["outcome"]) for check in result["checks"]),
                    )
                )
            elif topic == TOPICS.accounts:
                self.accounts.append(decode_account(row.value or b""))
            elif topic == TOPICS.standings:
                self.statuses.append(json.loads(row.value or b""))


class _Consumer:
    """What matching asks of a consumer, of an embedded log."""

    def __init__(self, app: StreamApp) -> None:
        self._app: Any = app

    def readings(self) -> dict[tuple[str, int], None]:
        return {("legs", 0): None}

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return {tp: self._app.transport.log.end(tp.topic, tp.partition) for tp in tps}


@asynccontextmanager
async def matching_on(
    directory: Path, rules: Rules = FOUNDING, *, limit_s: int = 900, floor_s: int = 30
) -> AsyncIterator[Matching]:
    """A matching agent, its table restored from the changelog in the directory as after a crash."""
    app = StreamApp("traderecon-matching", broker=f"embedded://{directory}", data_dir=directory, partitions=1)
    app.consumer = cast(Any, _Consumer(app))
    metrics = Metrics()
    stage = Stage(app, TOPICS, 1, metrics, RetryCounts(directory / "retry-counts.json"))
    agents: list[Any] = []
    cast(Any, app).agent = lambda *_, **__: agents.append  # no stream: the test hands over the batches
    matching_agent.attach(stage, rules, 35, silence_limit_s=limit_s, silence_floor_s=floor_s)
    app.transport.open(worker=False)
    await app.producer.start()
    for name in (CHANGELOG, *TOPICS):
        if name not in app.transport.log.topics():
            app.transport.log.create(name, 1, compacted=name == CHANGELOG)
    matching = Matching(app, agents[0], metrics)
    await matching.recover()
    try:
        yield matching
    finally:
        await app.producer.stop()
        await app.tables["trades"].data.stop()
        app.transport.close()


async def move_results(old: Matching, new: Matching) -> None:
    """Give a log without a changelog the results of another one, and read them back into the table."""
    for name in (TOPICS.reconciled, TOPICS.mismatch):
        span = range(old.app.transport.log.end(name, 0))
        async for _, records in old.app.transport.read({TP(name, 0): span} if span else {}):
            await new.app.append(name, 0, [Outgoing(record.key, record.value) for record in records])
    new.published.clear()
    app: Any = new.app
    async for _ in app.catch_up(TP(TOPICS.legs, 0)):
        pass
