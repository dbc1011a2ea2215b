"""Bugs to build into the pipeline, one for each promise of its stages; those of the transport (bugs.py) fit as well.

Each breaks one rule at the place where the rule is kept, mostly once in so many times.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import prometheus_client
from faust.types import TP
from sqlalchemy import Connection

from torture.bugs import BUGS as OF_THE_TRANSPORT
from torture.bugs import every_nth
from traderecon.intake.agent import _Intake
from traderecon.intake.journal_time import LogTime
from traderecon.intake.log_clock import LogClock
from traderecon.matching.batch_output import BatchOutput, Encoded
from traderecon.records import LastPublished
from traderecon.records.journal import Progress
from traderecon.sink import results as sunk
from traderecon.sink.chain import START, link
from traderecon.sink.store import Store
from traderecon.sink.write_result import Feed, WriteResult
from traderecon.tables import TableBatch, deadlines, watermarks
from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp
from traderecon.transport.same_log import SameLog
from traderecon.transport.started import StartedPartitions

RESULTS = ("reconciled", "mismatch")


def drop_a_record() -> None:
    """Intake hands on nothing of one record of each batch."""
    route = _Intake._route

    def dropping(self: _Intake, batch: MicroBatch, now: LogTime) -> Any:
        kept = batch.records[1:] if len(batch) > 1 else batch.records
        return route(self, MicroBatch(batch.topic, batch.partition, kept), now)

    _Intake._route = dropping  # type: ignore[method-assign]


def drop_a_letter() -> None:
    """Intake counts what is malformed, and tells nobody."""
    route = _Intake._route

    def silent(self: _Intake, batch: MicroBatch, now: LogTime) -> Any:
        outbox, rejected = route(self, batch, now)
        letters = self._stage.topics.dead_letters
        return {place: rows for place, rows in outbox.items() if place[0] != letters}, rejected

    _Intake._route = silent  # type: ignore[method-assign]


def believe_every_clock() -> None:
    """Intake believes whatever time a broker gives."""
    LogClock._is_possible = lambda self, reading: True  # type: ignore[method-assign]


def forget_deadlines() -> None:
    """Matching does not remember until when some trades wait."""
    wait = deadlines.add_deadline
    due = every_nth()

    def forgetting(write_batch: TableBatch, due_ns: int, trade_id: bytes, waiting_for: str) -> None:
        if not due():
            wait(write_batch, due_ns, trade_id, waiting_for)

    deadlines.add_deadline = forgetting


def end_graces_by_the_clock() -> None:
    """A grace ends by the clock of the machine, whatever still waits unread; so two workers do not say the same."""

    def now_ns(write_batch: TableBatch, sources: Collection[str], ahead: Progress | None = None) -> int:
        return time.time_ns()

    watermarks.watermark_ns = now_ns


def leave_the_old_home() -> None:
    """A result that moves a trade is not told on the topic it leaves."""
    publish = BatchOutput.publish

    def leaving(self: BatchOutput, trade_id: bytes, encoded: Encoded, before: LastPublished | None) -> None:
        publish(self, trade_id, encoded, None)

    BatchOutput.publish = leaving  # type: ignore[method-assign]


def commit_without_rows() -> None:
    """The sink commits the offset of some batches, and not their rows."""
    take = Store._take
    due = every_nth()

    def losing(self: Store, connection: Connection, feed: Feed) -> tuple[WriteResult, str]:
        if not feed.topic.endswith("standings") and due():
            return WriteResult(), feed.head
        return take(self, connection, feed)

    Store._take = losing  # type: ignore[method-assign]


def commit_rows_first() -> None:
    """The sink commits rows, and some time later the offset: who dies in between writes them twice, or cannot."""
    take = Store._take

    def early(self: Store, connection: Connection, feed: Feed) -> tuple[WriteResult, str]:
        answer = take(self, connection, feed)
        connection.exec_driver_sql("COMMIT")
        time.sleep(0.2)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return answer

    Store._take = early  # type: ignore[method-assign]


def blame_no_record() -> None:
    """The sink does not look for the record on which it fails: it ends on it for ever."""
    Store._failing_record = lambda *given: None  # type: ignore[method-assign]


def start_chains_anew() -> None:
    """A chain begins again with every batch."""
    began: Counter[str] = Counter()

    def linked(before: str, topic: str, partition: int, offset: int, content: bytes) -> str:
        began[topic] += 1
        return link(START if began[topic] % 10 == 0 else before, topic, partition, offset, content)

    vars(sunk)["link"] = linked


def show_a_leg_less() -> None:
    """The evidence of some results lacks what the broker said, though it was judged."""

    def without(said: dict[str, Any]) -> None:
        if len(said["legs"]) > 1 and said["event_id"] < "5":
            said["legs"].pop("broker_confirmations", None)

    _edit(RESULTS, without)


def number_versions_anew() -> None:
    """Every result of a trade is its first version."""
    _edit(RESULTS, lambda said: said.update(version=1))


def mistake_the_digest() -> None:
    """A dead letter names the digest of other bytes."""
    _edit(("dead_letters",), lambda said: said.update(sha256=hashlib.sha256(b"other").hexdigest()))


def forget_how_far() -> None:
    """The changelog is not told up to where the journal has been applied."""
    append = StreamApp.append

    async def silent(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        kept = [row for row in rows if not (row.key or b"").startswith(b"\x00applied\x00")]
        return await append(self, topic, partition, kept if topic.endswith("-changelog") and kept else rows)

    StreamApp.append = silent  # type: ignore[method-assign]


def believe_the_offset() -> None:
    """An offset is taken for an identity: nobody looks whether the log is the same."""

    async def trusting(self: SameLog, known: object) -> None:
        """Whatever there is, is it."""

    SameLog.verify = SameLog.watch = trusting  # type: ignore[method-assign,assignment]


def begin_at_the_commit() -> None:
    """A table is believed to know what its group has committed, whatever it holds."""
    applied = StartedPartitions._applied

    def believed(self: StartedPartitions, tp: TP) -> int:
        return max(applied(self, tp), self._committed.get(tp, 0) - 1)

    StartedPartitions._applied = believed  # type: ignore[method-assign]


def count_twice() -> None:
    """A record that is read counts for two."""
    count = prometheus_client.Counter.inc

    def twice(self: prometheus_client.Counter, amount: float = 1, exemplar: Any = None) -> None:
        count(self, amount * 2 if self._name == "traderecon_messages_consumed" else amount, exemplar)

    prometheus_client.Counter.inc = twice  # type: ignore[method-assign]


def never_be_ready() -> None:
    """A worker that works, and never says so."""
    StreamApp.ready = property(lambda self: False)  # type: ignore[assignment,method-assign]


def tell_twice() -> None:
    """Each break has two lines in the log."""
    warning = logging.Logger.warning

    def twice(self: logging.Logger, text: object, *values: object, **more: Any) -> None:
        for _ in range(2 if str(values[0] if values else "").startswith("break ") else 1):
            warning(self, text, *values, **more)

    logging.Logger.warning = twice  # type: ignore[method-assign,assignment]


def leave_an_exception() -> None:
    """Something fails beside the work, and nobody is told."""
    start = StreamApp.start

    async def failing() -> None:
        raise RuntimeError("a bug")

    async def begin(self: StreamApp) -> None:
        asyncio.get_running_loop().create_task(failing())  # nobody keeps it: that is the bug
        await start(self)

    StreamApp.start = begin  # type: ignore[method-assign]


def sign_by_the_clock() -> None:
    """An event's id depends on when its worker was started."""
    started = str(time.time_ns())

    def signed(said: dict[str, Any]) -> None:
        said["event_id"] = hashlib.sha256((said["event_id"] + started).encode()).hexdigest()

    _edit(RESULTS, signed)


def _edit(topics: Sequence[str], change: Callable[[dict[str, Any]], object]) -> None:
    """Change what is written to these topics, on its way."""
    append = StreamApp.append

    def changed(row: Outgoing) -> Outgoing:
        said = json.loads(row.value or b"")
        change(said)
        return Outgoing(row.key, json.dumps(said, separators=(",", ":")).encode())

    async def editing(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        wanted = topic.endswith(tuple(topics))
        return await append(self, topic, partition, [changed(row) for row in rows] if wanted else rows)

    StreamApp.append = editing  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = OF_THE_TRANSPORT | {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        drop_a_record,
        drop_a_letter,
        forget_deadlines,
        end_graces_by_the_clock,
        believe_every_clock,
        leave_the_old_home,
        commit_without_rows,
        commit_rows_first,
        blame_no_record,
        start_chains_anew,
        show_a_leg_less,
        number_versions_anew,
        mistake_the_digest,
        forget_how_far,
        begin_at_the_commit,
        believe_the_offset,
        count_twice,
        never_be_ready,
        tell_twice,
        leave_an_exception,
        sign_by_the_clock,
    )
}

OF_INVARIANTS = {
    "I1": "drop-a-record",
    "I2": "show-a-leg-less",
    "I3": "number-versions-anew",
    "I4": "commit-without-rows",
    "I5": "mistake-the-digest",
    "I6": "start-chains-anew",
    "I7": "forget-how-far",
    "I8": "drop-a-changelog-record",
    "I9": "count-twice",
    "I10": "never-be-ready",
    "I11": "tell-twice",
    "I12": "leave-an-exception",
    "I13": "sign-by-the-clock",
}
"""A bug for each invariant, which bites in every run. I14 is of access logs, which are to come; I15 is broken by
``begin-at-the-commit``, where a changelog is lost: see the simulation."""
