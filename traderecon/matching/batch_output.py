"""One micro-batch of the journal, as matching works through it: what its records have come to, and what is to be sent.

    results, dead letters, an account of every offset  ->  outbox, by topic and partition        counts, for the metrics

Nothing is sent here: the agent sends the outbox, and tells by ``sent`` that nothing is on its way any more.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from traderecon.matching.closed import MOST_LATE, is_claim, own_ns
from traderecon.matching.results import told as told_by
from traderecon.records import (
    Fact,
    LastPublished,
    Origin,
    Reason,
    RejectCode,
    Rejected,
    Result,
    Source,
    State,
    Transition,
)
from traderecon.records.account import Account, Disposition, encode_account, runs_of
from traderecon.records.dead_letter import dead_letter, dead_letter_key
from traderecon.records.instants import received_ns
from traderecon.tables import TableBatch, closed, facts, trades, watermarks
from traderecon.telemetry.break_line import break_line
from traderecon.topics import Topics
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.unreadable import UnreadableBatch, widths_of


class Encoded(NamedTuple):
    """A result, its record's value, and the highest journal offset among its facts."""

    result: Result
    value: bytes
    upto: int


class BatchOutput:
    """What the records of one micro-batch have come to so far."""

    def __init__(self, write_batch: TableBatch, trades: trades.Trades, batch: MicroBatch, topics: Topics) -> None:
        self.write_batch, self.trades, self.batch, self._topics = write_batch, trades, batch, topics
        self.watermark_ns = watermarks.watermark_ns(write_batch, topics.inputs)
        self.first = max(batch.span.start, write_batch.applied + 1)
        self.others: list[tuple[int, Disposition]] = []
        self._horizon: tuple[int, int] | None = None
        self.sent()

    def sent(self) -> None:
        """Nothing is on its way."""
        self.outbox: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        self.states: Counter[State] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.decided_ns: list[int] = []  # when the legs that decided were received
        self.lines: list[str] = []
        self.not_new: Counter[tuple[Source, str]] = Counter()
        self.rejected: Counter[RejectCode] = Counter()
        self.standing: bytes | None = None

    def reject_too_many(self, kept: facts.StoredFact) -> None:
        """A fact that its trade has no room for."""
        (record,) = [one for one in self.batch if one.offset == kept.journal_offset]
        self.reject(too_many(kept.fact, origin_of(self.batch, record)), record)

    @property
    def horizon(self) -> tuple[int, int]:
        """Of all trades that were forgotten: the latest time of a leg (ns), the highest version; 0 where none was."""
        if self._horizon is None:
            self._horizon = closed.horizon(self.write_batch)
        return self._horizon

    def forgotten(self, trade_id: bytes, fact: Fact, record: Record) -> bool:
        """Whether a leg is for a trade that may have been forgotten, by the time it gives itself: closed from now on.

        Its version is above that of every trade that was forgotten.
        """
        own, (latest, version) = own_ns(fact), self.horizon
        if not is_claim(fact) or own is None or own > latest:
            return False
        row = closed.Closed(version, None, record.offset - 1, self.watermark_ns, own)
        self.trades.close(trade_id, row)
        closed.look_at(self.write_batch, self.watermark_ns, trade_id)
        return True

    def forget(self, trade_id: bytes) -> None:
        """Nothing is left of a trade."""
        self.trades.forget(trade_id)
        self._horizon = None

    def publish(self, trade_id: bytes, encoded: Encoded, before: LastPublished | None) -> None:
        """To the topic of its state, and to the one it leaves."""
        result, verdict = encoded.result, encoded.result.verdict
        row = Outgoing(trade_id, encoded.value)
        self.trades.tell(trade_id, told_by(result, encoded.upto))
        home, partition = self._home(verdict.state), self.batch.partition
        self.outbox[home, partition].append(row)
        if before is not None and (left := self._home(before.state)) != home:
            self.outbox[left, partition].append(row)
        # Of a result that is on its way only this is kept.
        self.states[verdict.state] += 1
        if verdict.reasons:
            self.reasons.update(verdict.reasons)
        if result.broken.transition is not Transition.NONE:
            self.lines.append(break_line(result))

    def account(self, ended: int, partitions: int) -> None:
        """What became of the offsets below ``ended``; those at or below the applied one were accounted for then."""
        first, batch = self.first, self.batch
        if first < ended:
            offsets = [record.offset for record in batch if first <= record.offset < ended]
            runs = runs_of(first, ended, offsets, self.others, widths_of(batch) if self.rejected else {})
            account = Account(batch.topic, batch.partition, first, runs)
            place = self._topics.accounts, partition_for(account.key, partitions)
            self.outbox[place].append(Outgoing(account.key, encode_account(account)))
            self.first, self.others = ended, []

    def reject(self, rejected: Rejected, record: Record) -> None:
        """A journal record that no trade takes."""
        self.rejected[rejected.code] += 1
        self.others.append((record.offset, Disposition.REJECTED))
        if isinstance(record, UnreadableBatch):
            letter = Outgoing(None, dead_letter(rejected, None, record.content, whole=False))
        else:
            letter = Outgoing(
                dead_letter_key(record.key), dead_letter(rejected, record.key, record.value, record.headers)
            )
        self.outbox[self._topics.dead_letters, self.batch.partition].append(letter)

    def _home(self, state: State) -> str:
        return self._topics.mismatch if state.is_break else self._topics.reconciled


def origin_of(batch: MicroBatch, record: Record) -> Origin:
    """Where a record lies."""
    return Origin(batch.topic, batch.partition, record.offset, received_ns(record.timestamp))


def too_many(fact: Fact, place: Origin) -> Rejected:
    """A leg for a closed trade that has as many late legs as it may have."""
    leg, origin = fact.leg, fact.origin
    return Rejected(
        RejectCode.TOO_MANY_FACTS,
        f"trade {leg.trade_id!r} was closed at the end of its retention and has {MOST_LATE} late legs: the one from "
        f"{origin.topic}[{origin.partition}] at {origin.offset} is not taken. Find out who sends legs of old trades.",
        place,
    )
