"""Matching: the journal's agent. Facts join their trades, time passes, and what comes of it is published.

    legs -> facts, deadlines, watermark (tables) -> the pure core -> reconciled, mismatch, dead_letters, standings

Per batch: results acknowledged, then the changelog, then one write of the local store, then the acknowledgement. So
what is in the tables has had its results delivered, and a record at or below the applied offset is a replay. Each
record is judged by itself, over the facts up to it: what is published never depends on where a batch was cut.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

import msgspec
from faust.types import StreamT

from traderecon import clock
from traderecon.matching.closed import MOST_LATE, closes_ns, is_claim, latest_ns, orphan
from traderecon.matching.course import Awaited, Turn, awaited, expire, join
from traderecon.matching.facts import Arrival
from traderecon.matching.journal_batch import Encoded, JournalBatch, origin_of
from traderecon.matching.published_results import PublishedResults
from traderecon.records import Source, identity
from traderecon.records.account import Became
from traderecon.records.action import encode_action, rules_change
from traderecon.records.dead_letter import failed, unread
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import NS_PER_S, iso
from traderecon.records.journal import decode_fact, decode_progress, encode_journal
from traderecon.records.partition_status import PartitionStatus, WaitingTrade, encode_status
from traderecon.records.result_message import encode_result
from traderecon.rules import Rules
from traderecon.rules.content import content
from traderecon.stage import Stage
from traderecon.tables import RISING, BatchTable, closed, deadlines, facts, trades, watermarks
from traderecon.tables import rules as rules_rows
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.strikes import LIMIT
from traderecon.transport.unreadable import UnreadableBatch

SWEPT_AT_ONCE = 2_000
"""Trades whose grace is over are published in steps, however many there are."""
REKEYING_S = 1
"""After a change of rules, what waits is judged by the new ones for this long with every batch, in whole steps."""
STANDING_S = 2
"""A partition reports its status this often: by the log's time, by this machine's while that does not advance."""
OLDEST_SHOWN = 100
DAY_NS = 86_400 * NS_PER_S
SCAN_SHARE = 20
"""Counting who waits takes one part in this many of the time."""

logger = logging.getLogger(__name__)

_NOT_NEW = {
    Arrival.IDENTICAL: "identical",
    Arrival.STALE: "stale",
    Arrival.OUTRANKED: "stale",
    Arrival.CONFLICTING: "conflicting",
}


def attach(stage: Stage, rules: Rules, retention_days: int) -> None:
    """Give the stage's app the matching agent and its table."""
    app = stage.app
    table = BatchTable(app, name="trades", partitions=stage.partitions, rising=RISING)
    table.help = "facts, deadlines, watermarks, what was told"
    app.tables.add(table)
    matching = _Matching(stage, table, rules, retention_days)
    app.behind = matching.published.read_back
    app.agent(app.topic(stage.topics.legs, key_type=bytes, value_type=bytes), name="matching")(matching.run)


class _Matching:
    """The agent, and what it needs."""

    def __init__(self, stage: Stage, table: BatchTable, rules: Rules, retention_days: int) -> None:
        self._app, self._topics, self._metrics, self._strikes = stage.app, stage.topics, stage.metrics, stage.strikes
        self._table, self._rules, self._stamp = table, rules, rules.stamp()
        self._retention_ns = retention_days * DAY_NS
        said = {**content(rules), "retention_days": retention_days}
        self._rules_row = rules_rows.RulesRow(rules.name, self._stamp.sha256, said)
        self.published = PublishedResults(stage.app, stage.topics, table)
        self._memory = trades.Memory()
        self._next_standing: dict[int, tuple[int, float]] = {}
        self._pending: dict[int, Counter[str]] = {}

    async def run(self, batches: StreamT[MicroBatch]) -> None:
        """The journal: facts join their trades, time passes."""
        async for batch in batches:
            draft = self._table.draft(batch)
            last = rules_rows.last(draft)
            if last is not None and last != self._rules_row:
                await self.published.read_on(batch.partition)
                draft = self._table.draft(batch)
            turns = JournalBatch(draft, self._memory.trades(draft), batch, self._topics)
            await self._say_rules(turns)
            await self._follow_rules(turns)
            for record in batch:
                if record.offset <= turns.draft.applied:
                    continue  # a replay: what came of it has been delivered
                try:
                    if isinstance(record, UnreadableBatch):
                        text = record.sentence(batch.topic, batch.partition)
                        turns.reject(unread(origin_of(batch, record), text, too_large=record.too_large), record)
                    elif record.key is None:
                        await self._pass_time(turns, record)
                    else:
                        self._join(turns, record.key, record)
                except OtherFormat:
                    raise
                except Exception as error:
                    if self._strikes.another(batch, record) < LIMIT:
                        raise
                    turns.reject(failed(origin_of(batch, record), error), record)
            turns.account(batch.span.stop, self._app.conf.topic_partitions)
            await self._publish(turns)
            await turns.draft.write()

    async def _say_rules(self, turns: JournalBatch) -> None:
        """Where other rules judged this partition's last batch, that is on record before these judge anything."""
        if turns.first >= turns.batch.span.stop:
            return
        now = self._rules_row
        before = rules_rows.put(turns.draft, now)
        if before is not None:
            places = (turns.batch.partition, turns.first)
            change = rules_change(*places, (before.sha256, before.content), (now.sha256, now.content))
            logger.warning(
                "%s[%s]: from offset %s on under the rules %s instead of %s: %s",
                turns.batch.topic,
                turns.batch.partition,
                change.offset,
                change.after,
                change.before,
                ", ".join(change.difference) or "only their name",
            )
            place = partition_for(change.key, self._app.conf.topic_partitions)
            await self._app.append(self._topics.actions, place, [Outgoing(change.key, encode_action(change))])

    def _join(self, turns: JournalBatch, trade_id: bytes, record: Record) -> None:
        """A fact comes to its trade."""
        value = record.value or b""
        fact = decode_fact(value)
        trade = turns.trades.of(trade_id)
        known = trade.facts
        if known and known[0].journal_offset < 0 and (shown := facts.read_back(known, fact.origin)) is not None:
            # The outputs show it already: no result comes of it.
            exact = msgspec.structs.replace(fact, origin=shown.fact.origin)
            turns.trades.adopt(
                trade_id, shown, facts.Kept(identity(fact.leg), exact, record.offset), encode_journal(exact)
            )
            return
        if known and known[-1].journal_offset >= record.offset:
            if any(kept.journal_offset == record.offset for kept in known):
                return  # a replay that a worker stopped for too long made look new
            known = [kept for kept in known if kept.journal_offset < record.offset]
        new = facts.Kept(identity(fact.leg), fact, record.offset)
        if fact.origin.received_at_ns < turns.watermark_ns:
            # Its time has passed already, by its producer's clock: it waits as long as any other all the same.
            origin = msgspec.structs.replace(fact.origin, received_at_ns=turns.watermark_ns)
            fact = msgspec.structs.replace(fact, origin=origin)
            new, value = facts.Kept(new.identity, fact, record.offset), encode_journal(fact)
        if trade.closed is not None or not (known or trade.told or not turns.forgotten(trade_id, fact, record)):
            self._join_closed(turns, trade_id, (new, value), record)
        else:
            self._judge(turns, trade_id, known, (new, value))

    def _judge(
        self, turns: JournalBatch, trade_id: bytes, known: Sequence[facts.Kept], arrived: tuple[facts.Kept, bytes]
    ) -> None:
        """A fact joins those known of a trade, and what comes of it is published."""
        draft, (new, value) = turns.draft, arrived
        fact, before = new.fact, turns.trades.of(trade_id).told
        turn = join(known, before, new, turns.watermark_ns, self._rules)
        if turn.arrival is Arrival.IDENTICAL:
            turns.others.append((new.journal_offset, Became.DUPLICATE))
        if turn.arrival in _NOT_NEW:
            turns.not_new[fact.leg.source, _NOT_NEW[turn.arrival]] += 1
        if turn.after is None:
            return
        telling = self._telling(turns, turn)
        # Everything that may fail has been done: a record put aside leaves its trade as it was.
        if not known:
            closed.look_at(draft, closes_ns([fact], self._retention_ns), trade_id)
        turns.trades.keep(trade_id, new, value)
        if turn.was_due_ns is not None and turn.was_due_ns != turn.due_ns:
            deadlines.forget(draft, turn.was_due_ns, trade_id)
        if turn.due_ns is not None:
            deadlines.await_until(draft, turn.due_ns, trade_id, awaited(turn.after.sides))
        if telling is not None:
            turns.publish(trade_id, telling, before)
            if fact.leg.source is not Source.PNL:
                turns.decided_ns.append(fact.origin.received_at_ns)

    def _join_closed(self, turns: JournalBatch, trade_id: bytes, new: tuple[facts.Kept, bytes], record: Record) -> None:
        """A leg comes for a trade that was closed: a break with the next version, once for each leg."""
        trade = turns.trades.of(trade_id)
        row = trade.closed
        kept, value = new
        source = kept.fact.leg.source
        if row is None or record.offset <= row.offset:
            return  # it came before: a replay
        if any(each.identity == kept.identity for each in trade.facts) or not is_claim(kept.fact):
            # A snapshot alone opens no break, and the trade it is for is judged no more.
            kind = "identical" if is_claim(kept.fact) else "stale"
            turns.others.append((record.offset, Became.DUPLICATE))
            turns.not_new[source, kind] += 1
            return
        if len(trade.facts) >= MOST_LATE:
            turns.reject_too_many(kept)
            return
        before = trade.told
        found = orphan(row.version, [*trade.facts, kept], before, self._stamp)
        telling = Encoded(found, encode_result(found), record.offset)
        turns.trades.keep(trade_id, kept, value)
        turns.publish(trade_id, telling, before)

    def _retire(self, turns: JournalBatch, look: closed.Look, below: int, watermark_ns: int) -> None:
        """A trade's retention may be over: it is closed, or forgotten where it was closed long ago, or looked at again.

        What waits is not closed, however long its grace is. ``below``: the journal offset at which that is found.
        """
        draft, trade_id = turns.draft, look.trade_id
        closed.looked_at(draft, look)
        trade = turns.trades.of(trade_id)
        known = [kept.fact for kept in trade.facts]
        if trade.closed is not None:
            last_ns = max([trade.closed.closed_at_ns, *(fact.origin.received_at_ns for fact in known)])
            due_ns = last_ns + self._retention_ns
        elif known:
            due_ns = closes_ns(known, self._retention_ns)
        else:
            return  # put aside, or written by a worker that woke up late
        if due_ns > watermark_ns:
            closed.look_at(draft, due_ns, trade_id)
        elif trade.closed is not None or (trade.told is None and not any(map(is_claim, known))):
            turns.forget(trade_id)
        elif trade.told is None:
            closed.look_at(draft, watermark_ns + self._retention_ns, trade_id)
        else:
            row = closed.Closed(trade.told.version, trade.told, below - 1, watermark_ns, latest_ns(known))
            turns.trades.close(trade_id, row)
            closed.look_at(draft, watermark_ns + self._retention_ns, trade_id)

    async def _step(self, turns: JournalBatch, record: Record) -> None:
        """A bounded part of what time does is published and written; the rest comes after, also in another life."""
        turns.account(record.offset, self._app.conf.topic_partitions)
        await self._publish(turns)
        await turns.draft.write(upto=record.offset - 1)
        turns.trades = self._memory.trades(turns.draft)

    async def _pass_time(self, turns: JournalBatch, record: Record) -> None:
        """Time has got further: graces end, and the partition tells how it stands."""
        progress = decode_progress(record.value or b"")
        draft = turns.draft
        watermark_ns = watermarks.watermark_ns(draft, self._topics.inputs, progress)
        after: deadlines.Waiting | None = None
        while (over := deadlines.due(draft, watermark_ns, SWEPT_AT_ONCE, after)) or after is not None:
            for waiting in over:
                self._look(turns, waiting, record.offset, watermark_ns)
            after = over[-1] if len(over) == SWEPT_AT_ONCE else None
            if after is not None:
                await self._step(turns, record)
        last: closed.Look | None = None
        while (looks := closed.due(draft, watermark_ns, SWEPT_AT_ONCE, last)) or last is not None:
            for look in looks:
                self._retire(turns, look, record.offset, watermark_ns)
            last = looks[-1] if len(looks) == SWEPT_AT_ONCE else None
            if last is not None:
                await self._step(turns, record)
        turns.others.append((record.offset, Became.CONTROL))
        watermarks.advance(draft, progress, self._topics.inputs)
        turns.watermark_ns = watermark_ns
        partition = turns.batch.partition
        if progress.epoch and not progress.reached:
            self._next_standing.pop(partition, None)  # time has gone back
        due_ns, due_s = self._next_standing.get(partition, (0, 0.0))
        if progress.at_ns >= due_ns or monotonic() >= due_s:  # the log's time may not advance while more trades wait
            turns.standing = self._standing(turns, partition, progress.at_ns)

    def _look(self, turns: JournalBatch, waiting: deadlines.Waiting, below: int, watermark_ns: int) -> None:
        """Judge a trade that waits, by its facts below a journal offset: it is decided, or waits as the rules say."""
        trade, draft = turns.trades.of(waiting.trade_id), turns.draft
        known = [kept for kept in trade.facts if kept.journal_offset < below]
        before = trade.told
        turn = expire(known, before, watermark_ns, self._rules)
        telling = self._telling(turns, turn)
        if turn.due_ns != waiting.due_ns:
            deadlines.forget(draft, waiting.due_ns, waiting.trade_id)
        if turn.due_ns is not None and turn.after is not None:
            deadlines.await_until(draft, turn.due_ns, waiting.trade_id, awaited(turn.after.sides))
        if telling is not None:
            turns.publish(waiting.trade_id, telling, before)

    async def _follow_rules(self, turns: JournalBatch) -> None:
        """Where other rules made the deadlines, judge what waits by ours, in steps: a crash resumes behind the last."""
        draft = turns.draft
        rekeying = deadlines.rekeying(draft, self._stamp.sha256)
        until_s = monotonic() + REKEYING_S
        while rekeying.after is not None:
            if not rekeying.after:
                logger.info("partition %d: what waits is judged by rules %s", draft.partition, self._stamp.name)
            found, rekeying = deadlines.following(draft, rekeying, SWEPT_AT_ONCE)
            for waiting in found:
                self._look(turns, waiting, draft.applied + 1, turns.watermark_ns)
            deadlines.rekeyed(draft, rekeying)
            if found:
                await self._publish(turns)
                await draft.write(upto=draft.applied)
                turns.trades = self._memory.trades(draft)
            if monotonic() >= until_s:
                return

    def _telling(self, turns: JournalBatch, turn: Turn) -> Encoded | None:
        """The result of a turn as it is to be sent; None where there is nothing to tell."""
        result = turn.result(self._stamp, turns.horizon[1])
        return None if result is None else Encoded(result, encode_result(result), turn.upto)

    def _standing(self, turns: JournalBatch, partition: int, at_ns: int) -> bytes:
        """How the partition stands: the watermark, and who waits for what. Told more seldom where many wait."""
        began_s = monotonic()
        counts: Counter[str] = Counter(dict.fromkeys(Awaited, 0))
        oldest: list[deadlines.Waiting] = []
        for waiting in deadlines.waiting(turns.draft):
            counts[waiting.awaited] += 1
            if len(oldest) < OLDEST_SHOWN:
                oldest.append(waiting)
        pause_s = max(STANDING_S, SCAN_SHARE * (monotonic() - began_s))
        self._next_standing[partition] = at_ns + int(pause_s * NS_PER_S), monotonic() + pause_s
        self._pending[partition] = counts
        for gone in self._pending.keys() - self._assigned():
            del self._pending[gone]
            self._metrics.watermark.remove(gone)
        for awaited_leg in Awaited:
            self._metrics.pending.labels(awaited_leg).set(sum(each[awaited_leg] for each in self._pending.values()))
        self._metrics.watermark.labels(partition).set(turns.watermark_ns / NS_PER_S)
        status = PartitionStatus(
            partition,
            iso(turns.watermark_ns) if turns.watermark_ns else None,
            counts,
            tuple([WaitingTrade(one.trade_id.decode(), one.awaited, iso(one.due_ns)) for one in oldest]),
        )
        return encode_status(status)

    def _assigned(self) -> set[int]:
        consumer: Any = self._app.consumer
        return {partition for _, partition in consumer.readings()}

    async def _publish(self, turns: JournalBatch) -> None:
        """Everything that came of the records so far, acknowledged; then counted and logged."""
        await asyncio.gather(*(self._app.append(*place, rows) for place, rows in turns.outbox.items()))
        if turns.standing is not None:
            partition = turns.batch.partition
            standing = Outgoing(b"%d" % partition, turns.standing)
            await self._app.append(self._topics.standings, partition, [standing])
        self._count(turns)
        turns.sent()

    def _count(self, turns: JournalBatch) -> None:
        metrics = self._metrics
        now_ns = clock.now_ns()
        for state, count in turns.states.items():
            metrics.results.labels(state).inc(count)
        for reason, count in turns.reasons.items():
            metrics.reasons.labels(reason).inc(count)
        for (source, kind), count in turns.not_new.items():
            metrics.duplicates.labels(source, kind).inc(count)
        for code, count in turns.rejected.items():
            metrics.rejected.labels(self._topics.legs, code).inc(count)
        for received_at_ns in turns.decided_ns:
            metrics.decision.observe(max(0, now_ns - received_at_ns) / NS_PER_S)
        for line in turns.lines:
            logger.warning("%s", line)
