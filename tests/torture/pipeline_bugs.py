"""Seeded bugs of the pipeline, one for each guarantee of its stages, besides those of the transport (bugs.py).

Each patches the code that implements one guarantee, and mostly takes effect once in several calls.
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
from traderecon.transport.assigned import AssignedPartitions
from traderecon.transport.same_log import SameLog

RESULTS = ("reconciled", "mismatch")


def drop_a_record() -> None:
    """Intake drops one record of each batch."""
    route = _Intake._route

    def dropping(self: _Intake, batch: MicroBatch, now: LogTime) -> Any:
        remaining = batch.records[1:] if len(batch) > 1 else batch.records
        return route(self, MicroBatch(batch.topic, batch.partition, remaining), now)

    _Intake._route = dropping  # type: ignore[method-assign]


def drop_a_letter() -> None:
    """Intake counts malformed records, but publishes no dead letters."""
    route = _Intake._route

    def silent(self: _Intake, batch: MicroBatch, now: LogTime) -> Any:
        outbox, rejected, facts = route(self, batch, now)
        dead_letters = self._stage.topics.dead_letters
        return {tp: rows for tp, rows in outbox.items() if tp[0] != dead_letters}, rejected, facts

    _Intake._route = silent  # type: ignore[method-assign]


def believe_every_clock() -> None:
    """Intake believes any time a broker gives."""
    LogClock._is_possible = lambda self, reading: True  # type: ignore[method-assign]


def forget_deadlines() -> None:
    """Matching forgets the deadlines of some trades."""
    wait = deadlines.add_deadline
    due = every_nth()

    def forgetting(write_batch: TableBatch, due_ns: int, trade_id: bytes, waiting_for: str) -> None:
        if not due():
            wait(write_batch, due_ns, trade_id, waiting_for)

    deadlines.add_deadline = forgetting


def end_graces_by_the_clock() -> None:
    """A grace ends by the machine's clock, whatever is still unread; so two workers may disagree."""

    def now_ns(write_batch: TableBatch, sources: Collection[str], ahead: Progress | None = None) -> int:
        return time.time_ns()

    watermarks.watermark_ns = now_ns


def leave_the_old_home() -> None:
    """A result that moves a trade to the other topic is not published on the topic it leaves."""
    publish = BatchOutput.publish

    def leaving(self: BatchOutput, trade_id: bytes, encoded: Encoded, before: LastPublished | None) -> None:
        publish(self, trade_id, encoded, None)

    BatchOutput.publish = leaving  # type: ignore[method-assign]


def commit_without_rows() -> None:
    """The sink commits the offset of some batches without their rows."""
    take = Store._take
    due = every_nth()

    def losing(self: Store, connection: Connection, feed: Feed) -> tuple[WriteResult, str]:
        if not feed.topic.endswith("standings") and due():
            return WriteResult(), feed.head
        return take(self, connection, feed)

    Store._take = losing  # type: ignore[method-assign]


def commit_rows_first() -> None:
    """The sink commits rows, and later the offset: after a crash in between, rows are written twice or rejected."""
    take = Store._take

    def early(self: Store, connection: Connection, feed: Feed) -> tuple[WriteResult, str]:
        outcome = take(self, connection, feed)
        connection.exec_driver_sql("COMMIT")
        time.sleep(0.2)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return outcome

    Store._take = early  # type: ignore[method-assign]


def blame_no_record() -> None:
    """The sink does not look for the record on which it fails: it ends on it for ever."""
    Store._failing_record = lambda *given: None  # type: ignore[method-assign]


def start_chains_anew() -> None:
    """A chain restarts at every tenth link."""
    links: Counter[str] = Counter()

    def restarting_link(previous: str, topic: str, partition: int, offset: int, content: bytes) -> str:
        links[topic] += 1
        return link(START if links[topic] % 10 == 0 else previous, topic, partition, offset, content)

    vars(sunk)["link"] = restarting_link


def show_a_leg_less() -> None:
    """The evidence of some results lacks the confirmation that was matched."""

    def without(result: dict[str, Any]) -> None:
        if len(result["legs"]) > 1 and result["event_id"] < "5":
            result["legs"].pop("broker_confirmations", None)

    _edit(RESULTS, without)


def number_versions_anew() -> None:
    """Every result of a trade has version 1."""
    _edit(RESULTS, lambda result: result.update(version=1))


def mistake_the_digest() -> None:
    """A dead letter has the digest of other bytes."""
    _edit(("dead_letters",), lambda dead_letter: dead_letter.update(sha256=hashlib.sha256(b"other").hexdigest()))


def forget_how_far() -> None:
    """The applied offset of the journal is not written to the changelog."""
    append = StreamApp.append

    async def silent(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        other_rows = [row for row in rows if not (row.key or b"").startswith(b"\x00applied\x00")]
        return await append(self, topic, partition, other_rows if topic.endswith("-changelog") and other_rows else rows)

    StreamApp.append = silent  # type: ignore[method-assign]


def believe_the_offset() -> None:
    """Offsets are trusted without checking that the log is the same."""

    async def trusting(self: SameLog, known: object) -> None:
        """Accept any log."""

    SameLog.verify = SameLog.watch = trusting  # type: ignore[method-assign,assignment]


def begin_at_the_commit() -> None:
    """A table is assumed to contain what its group has committed, whatever it holds."""
    applied = AssignedPartitions._applied

    def believed(self: AssignedPartitions, tp: TP) -> int:
        return max(applied(self, tp), self._committed.get(tp, 0) - 1)

    AssignedPartitions._applied = believed  # type: ignore[method-assign]


def count_twice() -> None:
    """Every consumed record is counted twice."""
    count = prometheus_client.Counter.inc

    def twice(self: prometheus_client.Counter, amount: float = 1, exemplar: Any = None) -> None:
        count(self, amount * 2 if self._name == "traderecon_messages_consumed" else amount, exemplar)

    prometheus_client.Counter.inc = twice  # type: ignore[method-assign]


def never_be_ready() -> None:
    """A worker never reports to be ready."""
    StreamApp.ready = property(lambda self: False)  # type: ignore[assignment,method-assign]


def tell_twice() -> None:
    """Every break is logged twice."""
    warning = logging.Logger.warning

    def twice(self: logging.Logger, text: object, *values: object, **options: Any) -> None:
        for _ in range(2 if str(values[0] if values else "").startswith("break ") else 1):
            warning(self, text, *values, **options)

    logging.Logger.warning = twice  # type: ignore[method-assign,assignment]


def leave_an_exception() -> None:
    """A background task fails, and its exception is never retrieved."""
    start = StreamApp.start

    async def failing() -> None:
        raise RuntimeError("a bug")

    async def start_with_failure(self: StreamApp) -> None:
        asyncio.get_running_loop().create_task(failing())  # not awaited: that is the bug
        await start(self)

    StreamApp.start = start_with_failure  # type: ignore[method-assign]


def sign_by_the_clock() -> None:
    """Event ids depend on when the worker was started."""
    started_at = str(time.time_ns())

    def signed(result: dict[str, Any]) -> None:
        result["event_id"] = hashlib.sha256((result["event_id"] + started_at).encode()).hexdigest()

    _edit(RESULTS, signed)


def _edit(topics: Sequence[str], change: Callable[[dict[str, Any]], object]) -> None:
    """Change every value written to these topics."""
    append = StreamApp.append

    def edited(row: Outgoing) -> Outgoing:
        value = json.loads(row.value or b"")
        change(value)
        return Outgoing(row.key, json.dumps(value, separators=(",", ":")).encode())

    async def editing(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        matches = topic.endswith(tuple(topics))
        return await append(self, topic, partition, [edited(row) for row in rows] if matches else rows)

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
"""A bug for each invariant that shows in every run. I14 is reserved for access logs; I15 is violated by
``begin-at-the-commit`` if a changelog is lost: see the simulation."""
