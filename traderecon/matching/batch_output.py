"""One micro-batch of the journal in matching: loads and stores its trades, collects the records to send.

    results, dead letters, an account of every offset  ->  outbox, by topic and partition        counts, for the metrics

Nothing is sent here: the agent sends the outbox, then calls ``clear``.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from traderecon.matching.closed import MAX_LATE_LEGS, claims_trade, leg_time_ns
from traderecon.matching.lifecycle import TradeStep, waiting_for
from traderecon.matching.results import to_last_published
from traderecon.matching.silence import SilenceTerms
from traderecon.matching.silences import Silences
from traderecon.records import (
    Fact,
    LastPublished,
    Leg,
    Origin,
    PnlSnapshot,
    Reason,
    RejectCode,
    Rejected,
    Result,
    Source,
    State,
    Transition,
    identity,
)
from traderecon.records.account import Account, Disposition, encode_account, runs_of
from traderecon.records.bounds import FACTS_PER_GROUP, GROUP_BYTES
from traderecon.records.dead_letter import dead_letter_key, encode_dead_letter
from traderecon.records.instants import received_ns
from traderecon.records.journal import encode_journal
from traderecon.records.match_keys import claims_namesake, is_ambiguous
from traderecon.tables import TableBatch, closed, deadlines, facts, orphans, trades, watermarks
from traderecon.telemetry.break_line import break_line
from traderecon.topics import Topics
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.unreadable import UnreadableBatch, widths_of

_NEVER_TOO_LARGE = 100
_encode = msgspec.json.Encoder().encode


class Encoded(NamedTuple):
    """A result, its record's value, and the highest journal offset among its facts."""

    result: Result
    value: bytes
    upto: int


class Incoming(NamedTuple):
    """A fact from the journal as it will be stored, and the value of its journal record."""

    stored: facts.StoredFact
    journal_record: bytes


def incoming_of(fact: Fact, offset: int, journal_record: bytes | None = None) -> Incoming:
    """A fact from the journal record at an offset; the record is encoded if it is not given."""
    return Incoming(
        facts.StoredFact(identity(fact.leg), fact, offset),
        encode_journal(fact) if journal_record is None else journal_record,
    )


class BatchOutput:
    """What the records of one micro-batch have produced so far."""

    def __init__(
        self,
        write_batch: TableBatch,
        trades: trades.Trades,
        batch: MicroBatch,
        topics: Topics,
        silence_terms: SilenceTerms,
    ) -> None:
        self.write_batch, self.trades, self.batch, self._topics = write_batch, trades, batch, topics
        self.watermark_ns = watermarks.watermark_ns(write_batch, topics.inputs)
        self.silences = Silences(write_batch, silence_terms, self.watermark_ns)
        self.first = max(batch.span.start, write_batch.applied + 1)  # the first offset that is not accounted for
        self.dispositions: list[tuple[int, Disposition]] = []  # of the records that are not a new leg
        self._horizon: closed.Horizon | None = None
        self.clear()

    def clear(self) -> None:
        """Start again with an empty outbox."""
        self.outbox: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        self.states: Counter[State] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.decided_ns: list[int] = []  # when each leg that decided a trade was received
        self.break_lines: list[str] = []
        self.duplicates: Counter[tuple[Source, str]] = Counter()
        self.rejected: Counter[RejectCode] = Counter()
        self.status: bytes | None = None

    @property
    def horizon(self) -> closed.Horizon:
        """The horizon of all forgotten trades."""
        if self._horizon is None:
            self._horizon = closed.horizon(self.write_batch)
        return self._horizon

    def load(
        self, trade_id: bytes, incoming: Sequence[Incoming]
    ) -> tuple[Sequence[Incoming], Sequence[facts.StoredFact]] | None:
        """Facts from one journal record as their trade takes them, and those it has from before.

        None if published results show them, or if they were rejected: their group has too many.

        A fact that is stored already is added again as it is stored: the write that stored it may have been cut off, or
        have come late from another worker, and its trade must have its deadline. A new one that was received before the
        watermark is dated to it: it gets a full grace. An unknown trade is closed if it may be a forgotten one.
        """
        trade, offset = self.trades.of(trade_id), incoming[0].stored.journal_offset
        if trade.facts and trade.facts[0].journal_offset == facts.READ_BACK:
            incoming = [it for it in incoming if not self._adopt(trade_id, it)]
            if not incoming:
                return None
        existing: Sequence[facts.StoredFact] = trade.facts
        again: Mapping[str, facts.StoredFact] = {}
        if existing and existing[-1].journal_offset >= offset:
            again = {row.identity: row for row in existing if row.journal_offset == offset}
            existing = [row for row in existing if row.journal_offset < offset]
        if len(incoming) > 1:
            before = {row.identity for row in existing}
            incoming = [it for it in incoming if it.stored.identity not in before] or incoming[:1]
        incoming = [self._as_stored(it, again) for it in incoming]
        first = incoming[0].stored
        if not trade.facts and trade.closed is None and trade.last_published is None:
            self._close_if_forgotten(trade_id, first.fact, offset)
        rejected = first.identity not in again and self._rejects_member(first, existing)
        return None if rejected else (incoming, existing)

    def _adopt(self, trade_id: bytes, incoming: Incoming) -> bool:
        """Whether a published result shows this fact, so that it gives no new one; it replaces the one read back."""
        stored, _record = incoming
        shown = facts.find_read_back(self.trades.of(trade_id).facts, stored.fact.origin)
        if shown is None:
            return False
        if stored.fact.leg.sent_id is not None and shown.identity != stored.identity:
            return not is_ambiguous(stored.fact.leg)  # by then the result shows it as ambiguous
        fact = msgspec.structs.replace(stored.fact, origin=shown.fact.origin)
        exact = facts.StoredFact(stored.identity, fact, stored.journal_offset)
        self.trades.adopt(trade_id, shown, exact, encode_journal(fact))
        orphans.forget(self.write_batch, trade_id)
        return True

    def _as_stored(self, incoming: Incoming, again: Mapping[str, facts.StoredFact]) -> Incoming:
        """The fact as it is stored, or will be: never received before the watermark."""
        stored, _record = incoming
        if (before := again.get(stored.identity)) is not None:
            return Incoming(before, encode_journal(before.fact))
        if (fact := stored.fact).origin.received_at_ns >= self.watermark_ns or _keeps_its_time(fact.leg):
            return incoming
        origin = msgspec.structs.replace(fact.origin, received_at_ns=self.watermark_ns)
        fact = msgspec.structs.replace(fact, origin=origin)
        return Incoming(facts.StoredFact(stored.identity, fact, stored.journal_offset), encode_journal(fact))

    def add_facts(self, trade_id: bytes, incoming: Sequence[Incoming], existing: Sequence[facts.StoredFact]) -> None:
        """Add facts to their trade, and note whether the trade is a snapshot alone."""
        fact = incoming[0].stored.fact
        if not claims_trade(fact):
            if not existing:
                orphans.put(self.write_batch, trade_id, fact.origin.received_at_ns)
        elif existing and not any(claims_trade(row.fact) for row in existing):
            orphans.forget(self.write_batch, trade_id)
        for it in incoming:
            self.trades.add_fact(trade_id, *it)

    def store(self, trade_id: bytes, step: TradeStep, previous_due_ns: int | None, encoded: Encoded | None) -> None:
        """Store what a step changed: the trade's deadline, and its result in the outbox."""
        if previous_due_ns is not None and previous_due_ns != step.due_ns:
            deadlines.forget(self.write_batch, previous_due_ns, trade_id)
        if step.due_ns is not None and step.judgement is not None:
            deadlines.add_deadline(self.write_batch, step.due_ns, trade_id, waiting_for(step.judgement.sides))
        if encoded is not None:
            self.publish(trade_id, encoded, step.last_published)

    def _close_if_forgotten(self, trade_id: bytes, fact: Fact, offset: int) -> None:
        """Close an unknown trade if its leg, by the leg's own time, may belong to a forgotten trade.

        Its version is above that of every forgotten trade. ``offset`` is the leg's, in the journal.
        """
        leg_ns, (latest_ns, version) = leg_time_ns(fact), self.horizon
        if claims_namesake(fact) and leg_ns is not None and leg_ns <= latest_ns:
            self.trades.close(trade_id, closed.Closed(version, None, offset - 1, self.watermark_ns, leg_ns))
            closed.set_timer(self.write_batch, self.watermark_ns, trade_id)

    def forget(self, trade_id: bytes) -> None:
        """Delete every row of a trade."""
        self.trades.forget(trade_id)
        orphans.forget(self.write_batch, trade_id)
        self._horizon = None

    def publish(self, trade_id: bytes, encoded: Encoded, before: LastPublished | None) -> None:
        """Send a result to the topic of its state, and to the topic its trade leaves."""
        result, verdict = encoded.result, encoded.result.verdict
        row = Outgoing(trade_id, encoded.value)
        self.trades.set_last_published(trade_id, to_last_published(result, encoded.upto))
        topic, partition = self._topic(verdict.state), self.batch.partition
        self.outbox[topic, partition].append(row)
        if before is not None and (previous_topic := self._topic(before.state)) != topic:
            self.outbox[previous_topic, partition].append(row)
        self.states[verdict.state] += 1
        if verdict.reasons:
            self.reasons.update(verdict.reasons)
        if result.break_.transition is not Transition.NONE:
            self.break_lines.append(break_line(result))

    def account(self, stop: int, partitions: int) -> None:
        """Account for every offset before ``stop``, except those applied before this batch."""
        first, batch = self.first, self.batch
        if first < stop:
            offsets = [record.offset for record in batch if first <= record.offset < stop]
            runs = runs_of(first, stop, offsets, self.dispositions, widths_of(batch) if self.rejected else {})
            account = Account(batch.topic, batch.partition, first, runs)
            partition = partition_for(account.key, partitions)
            self.outbox[self._topics.accounts, partition].append(Outgoing(account.key, encode_account(account)))
            self.first, self.dispositions = stop, []

    def reject(self, rejected: Rejected, record: Record) -> None:
        """Send a journal record to the dead letters: once, even if it joins several trades."""
        if self.dispositions[-1:] == [(record.offset, Disposition.REJECTED)]:
            return
        self.rejected[rejected.code] += 1
        self.dispositions.append((record.offset, Disposition.REJECTED))
        if isinstance(record, UnreadableBatch):
            row = Outgoing(None, encode_dead_letter(rejected, None, record.content, whole=False))
        else:
            value = encode_dead_letter(rejected, record.key, record.value, record.headers)
            row = Outgoing(dead_letter_key(record.key), value)
        self.outbox[self._topics.dead_letters, self.batch.partition].append(row)

    def _rejects_member(self, stored: facts.StoredFact, existing: Sequence[facts.StoredFact]) -> bool:
        """Reject a leg of a group that has as many as it may have; whether it was."""
        leg = stored.fact.leg
        if leg.member_id is None or any(row.identity == stored.identity for row in existing):
            return False
        if sum(row.fact.leg.source is leg.source for row in existing) >= FACTS_PER_GROUP:
            found = f"group {leg.trade_id!r} has {FACTS_PER_GROUP} records of its source already"
        elif _too_large([leg, *[row.fact.leg for row in existing]]):
            found = f"the records of group {leg.trade_id!r} have {GROUP_BYTES} bytes already"
        else:
            return False
        self._reject_leg(stored, f"{found}, and no more are added up", "Find out why so many records name it.")
        return True

    def reject_late(self, late: facts.StoredFact) -> None:
        """Reject a late leg of a closed trade that has as many as it may have."""
        self._reject_leg(
            late,
            f"trade {late.fact.leg.trade_id!r} was closed at the end of its retention and has {MAX_LATE_LEGS} late "
            "legs already",
            "Find the sender of legs for old trades.",
        )

    def _reject_leg(self, stored: facts.StoredFact, found: str, advice: str) -> None:
        (record,) = [record for record in self.batch if record.offset == stored.journal_offset]
        origin = stored.fact.origin
        text = (
            f"{found}: the leg from {origin.topic}[{origin.partition}] at offset {origin.offset} was rejected. {advice}"
        )
        leg = stored.fact.leg
        origin = origin_of(self.batch, record)
        self.reject(Rejected(RejectCode.TOO_MANY_FACTS, text, origin, leg.sent_id or leg.trade_id), record)

    def _topic(self, state: State) -> str:
        return self._topics.mismatch if state.is_break else self._topics.reconciled


def _too_large(legs: Sequence[Leg]) -> bool:
    """Whether these legs of a group have too many bytes; a few never have."""
    return len(legs) > _NEVER_TOO_LARGE and sum(len(_encode(leg)) for leg in legs) > GROUP_BYTES


def _keeps_its_time(leg: Leg) -> bool:
    """Whether a fact keeps the time it was received: a snapshot with a match key starts no grace."""
    return leg.sent_id is not None and isinstance(leg, PnlSnapshot)


def origin_of(batch: MicroBatch, record: Record) -> Origin:
    """The coordinates of a record."""
    return Origin(batch.topic, batch.partition, record.offset, received_ns(record.timestamp))
