"""Bugs to build into the pipeline, one for each promise of its stages; those of the transport (bugs.py) fit as well.

Each breaks one rule at the place where the rule is kept, mostly once in so many times.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection

from torture.bugs import BUGS as OF_THE_TRANSPORT
from torture.bugs import turns
from traderecon.intake.agent import _Intake
from traderecon.matching.agent import _Telling, _Turns
from traderecon.records import Told
from traderecon.records.journal import Progress
from traderecon.sink import results as sunk
from traderecon.sink.chain import START, link
from traderecon.sink.store import Store
from traderecon.sink.taken import Feed, Taken
from traderecon.tables import Draft, deadlines, watermarks
from traderecon.transport import MicroBatch


def drop_a_record() -> None:
    """Intake hands on nothing of one record of each batch."""
    sort = _Intake._sorted

    def dropping(self: _Intake, batch: MicroBatch) -> Any:
        kept = batch.records[1:] if len(batch) > 1 else batch.records
        return sort(self, MicroBatch(batch.topic, batch.partition, kept))

    _Intake._sorted = dropping  # type: ignore[method-assign]


def drop_a_letter() -> None:
    """Intake counts what is malformed, and tells nobody."""
    sort = _Intake._sorted

    def silent(self: _Intake, batch: MicroBatch) -> Any:
        outbox, rejected = sort(self, batch)
        letters = self._stage.topics.dead_letters
        return {place: rows for place, rows in outbox.items() if place[0] != letters}, rejected

    _Intake._sorted = silent  # type: ignore[method-assign]


def forget_deadlines() -> None:
    """Matching does not remember until when some trades wait."""
    wait = deadlines.await_until
    turn = turns()

    def forgetting(draft: Draft, due_ns: int, trade_id: bytes, awaited: str) -> None:
        if not turn():
            wait(draft, due_ns, trade_id, awaited)

    deadlines.await_until = forgetting


def end_graces_by_the_clock() -> None:
    """A grace ends by the clock of the machine, whatever still waits unread; so two workers do not say the same."""

    def now_ns(draft: Draft, sources: Collection[str], ahead: Progress | None = None) -> int:
        return time.time_ns()

    watermarks.watermark_ns = now_ns


def leave_the_old_home() -> None:
    """A result that moves a trade is not told on the topic it leaves."""
    publish = _Turns.publish

    def leaving(self: _Turns, telling: _Telling, before: Told | None, received_at_ns: int | None) -> None:
        publish(self, telling, None, received_at_ns)

    _Turns.publish = leaving  # type: ignore[method-assign]


def commit_without_rows() -> None:
    """The sink commits the offset of some batches, and not their rows."""
    take = Store._take
    turn = turns()

    def losing(self: Store, connection: Connection, feed: Feed) -> tuple[Taken, str]:
        if not feed.topic.endswith("standings") and turn():
            return Taken(), feed.head
        return take(self, connection, feed)

    Store._take = losing  # type: ignore[method-assign]


def commit_rows_first() -> None:
    """The sink commits rows, and some time later the offset: who dies in between writes them twice, or cannot."""
    take = Store._take

    def early(self: Store, connection: Connection, feed: Feed) -> tuple[Taken, str]:
        answer = take(self, connection, feed)
        connection.exec_driver_sql("COMMIT")
        time.sleep(0.2)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return answer

    Store._take = early  # type: ignore[method-assign]


def start_chains_anew() -> None:
    """A chain begins again with every batch."""
    began: Counter[str] = Counter()

    def linked(before: str, topic: str, partition: int, offset: int, content: bytes) -> str:
        began[topic] += 1
        return link(START if began[topic] % 50 == 0 else before, topic, partition, offset, content)

    vars(sunk)["link"] = linked


BUGS: dict[str, Callable[[], None]] = OF_THE_TRANSPORT | {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        drop_a_record,
        drop_a_letter,
        forget_deadlines,
        end_graces_by_the_clock,
        leave_the_old_home,
        commit_without_rows,
        commit_rows_first,
        start_chains_anew,
    )
}
