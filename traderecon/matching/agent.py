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
from traderecon.matching.batch_output import BatchOutput, Encoded, origin_of
from traderecon.matching.closed import MOST_LATE, closes_ns, is_claim, latest_ns, orphan
from traderecon.matching.facts import Arrival
from traderecon.matching.lifecycle import Awaited, TradeTransition, awaited, expire, join
from traderecon.matching.published_results import PublishedResults
from traderecon.records import Source, identity
from traderecon.records.account import Disposition
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
from traderecon.tables import MONOTONIC, BatchTable, closed, deadlines, facts, trades, watermarks
from traderecon.tables import rules as rules_rows
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.retry_counts import LIMIT
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
    table = BatchTable(app, name="trades", partitions=stage.partitions, rising=MONOTONIC)
    table.help = "facts, deadlines, watermarks, what was told"
    app.tables.add(table)
    matching = _Matching(stage, table, rules, retention_days)
    app.behind = matching.published.read_back
    app.agent(app.topic(stage.topics.legs, key_type=bytes, value_type=bytes), name="matching")(matching.run)


class _Matching:
    """The agent, and what it needs."""

    def __init__(self, stage: Stage, table: BatchTable, rules: Rules, retention_days: int) -> None:
        self._app, self._topics, self._metrics, self._strikes = (
            stage.app,
            stage.topics,
            stage.metrics,
            stage.retry_counts,
        )
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
            write_batch = self._table.write_batch(batch)
            last = rules_rows.last(write_batch)
            if last is not None and last != self._rules_row:
                await self.published.read_on(batch.partition)
                write_batch = self._table.write_batch(batch)
            output = BatchOutput(write_batch, self._memory.trades(write_batch), batch, self._topics)
            await self._say_rules(output)
            await self._follow_rules(output)
            for record in batch:
                if record.offset <= output.write_batch.applied:
                    continue  # a replay: what came of it has been delivered
                try:
                    if isinstance(record, UnreadableBatch):
                        text = record.sentence(batch.topic, batch.partition)
                        output.reject(unread(origin_of(batch, record), text, too_large=record.too_large), record)
                    elif record.key is None:
                        await self._pass_time(output, record)
                    else:
                        self._join(output, record.key, record)
                except OtherFormat:
                    raise
                except Exception as error:
                    if self._strikes.another(batch, record) < LIMIT:
                        raise
                    output.reject(failed(origin_of(batch, record), error), record)
            output.account(batch.span.stop, self._app.conf.topic_partitions)
            await self._publish(output)
            await output.write_batch.write()

    async def _say_rules(self, output: BatchOutput) -> None:
        """Where other rules judged this partition's last batch, that is on record before these judge anything."""
        if output.first >= output.batch.span.stop:
            return
        now = self._rules_row
        before = rules_rows.put(output.write_batch, now)
        if before is not None:
            places = (output.batch.partition, output.first)
            change = rules_change(*places, (before.sha256, before.content), (now.sha256, now.content))
            logger.warning(
                "%s[%s]: from offset %s on under the rules %s instead of %s: %s",
                output.batch.topic,
                output.batch.partition,
                change.offset,
                change.after,
                change.before,
                ", ".join(change.difference) or "only their name",
            )
            place = partition_for(change.key, self._app.conf.topic_partitions)
            await self._app.append(self._topics.actions, place, [Outgoing(change.key, encode_action(change))])

    def _join(self, output: BatchOutput, trade_id: bytes, record: Record) -> None:
        """A fact comes to its trade."""
        value = record.value or b""
        fact = decode_fact(value)
        trade = output.trades.of(trade_id)
        known = trade.facts
        if known and known[0].journal_offset < 0 and (shown := facts.read_back(known, fact.origin)) is not None:
            # The outputs show it already: no result comes of it.
            exact = msgspec.structs.replace(fact, origin=shown.fact.origin)
            output.trades.adopt(
                trade_id, shown, facts.StoredFact(identity(fact.leg), exact, record.offset), encode_journal(exact)
            )
            return
        if known and known[-1].journal_offset >= record.offset:
            if any(kept.journal_offset == record.offset for kept in known):
                return  # a replay that a worker stopped for too long made look new
            known = [kept for kept in known if kept.journal_offset < record.offset]
        new = facts.StoredFact(identity(fact.leg), fact, record.offset)
        if fact.origin.received_at_ns < output.watermark_ns:
            # Its time has passed already, by its producer's clock: it waits as long as any other all the same.
            origin = msgspec.structs.replace(fact.origin, received_at_ns=output.watermark_ns)
            fact = msgspec.structs.replace(fact, origin=origin)
            new, value = facts.StoredFact(new.identity, fact, record.offset), encode_journal(fact)
        if trade.closed is not None or not (known or trade.told or not output.forgotten(trade_id, fact, record)):
            self._join_closed(output, trade_id, (new, value), record)
        else:
            self._judge(output, trade_id, known, (new, value))

    def _judge(
        self,
        output: BatchOutput,
        trade_id: bytes,
        known: Sequence[facts.StoredFact],
        arrived: tuple[facts.StoredFact, bytes],
    ) -> None:
        """A fact joins those known of a trade, and what comes of it is published."""
        write_batch, (new, value) = output.write_batch, arrived
        fact, before = new.fact, output.trades.of(trade_id).told
        turn = join(known, before, new, output.watermark_ns, self._rules)
        if turn.arrival is Arrival.IDENTICAL:
            output.others.append((new.journal_offset, Disposition.DUPLICATE))
        if turn.arrival in _NOT_NEW:
            output.not_new[fact.leg.source, _NOT_NEW[turn.arrival]] += 1
        if turn.after is None:
            return
        telling = self._telling(output, turn)
        # Everything that may fail has been done: a record put aside leaves its trade as it was.
        if not known:
            closed.look_at(write_batch, closes_ns([fact], self._retention_ns), trade_id)
        output.trades.keep(trade_id, new, value)
        if turn.was_due_ns is not None and turn.was_due_ns != turn.due_ns:
            deadlines.forget(write_batch, turn.was_due_ns, trade_id)
        if turn.due_ns is not None:
            deadlines.await_until(write_batch, turn.due_ns, trade_id, awaited(turn.after.sides))
        if telling is not None:
            output.publish(trade_id, telling, before)
            if fact.leg.source is not Source.PNL:
                output.decided_ns.append(fact.origin.received_at_ns)

    def _join_closed(
        self, output: BatchOutput, trade_id: bytes, new: tuple[facts.StoredFact, bytes], record: Record
    ) -> None:
        """A leg comes for a trade that was closed: a break with the next version, once for each leg."""
        trade = output.trades.of(trade_id)
        row = trade.closed
        kept, value = new
        source = kept.fact.leg.source
        if row is None or record.offset <= row.offset:
            return  # it came before: a replay
        if any(each.identity == kept.identity for each in trade.facts) or not is_claim(kept.fact):
            # A snapshot alone opens no break, and the trade it is for is judged no more.
            kind = "identical" if is_claim(kept.fact) else "stale"
            output.others.append((record.offset, Disposition.DUPLICATE))
            output.not_new[source, kind] += 1
            return
        if len(trade.facts) >= MOST_LATE:
            output.reject_too_many(kept)
            return
        before = trade.told
        found = orphan(row.version, [*trade.facts, kept], before, self._stamp)
        telling = Encoded(found, encode_result(found), record.offset)
        output.trades.keep(trade_id, kept, value)
        output.publish(trade_id, telling, before)

    def _retire(self, output: BatchOutput, look: closed.Look, below: int, watermark_ns: int) -> None:
        """A trade's retention may be over: it is closed, or forgotten where it was closed long ago, or looked at again.

        What waits is not closed, however long its grace is. ``below``: the journal offset at which that is found.
        """
        write_batch, trade_id = output.write_batch, look.trade_id
        closed.looked_at(write_batch, look)
        trade = output.trades.of(trade_id)
        known = [kept.fact for kept in trade.facts]
        if trade.closed is not None:
            last_ns = max([trade.closed.closed_at_ns, *(fact.origin.received_at_ns for fact in known)])
            due_ns = last_ns + self._retention_ns
        elif known:
            due_ns = closes_ns(known, self._retention_ns)
        else:
            return  # put aside, or written by a worker that woke up late
        if due_ns > watermark_ns:
            closed.look_at(write_batch, due_ns, trade_id)
        elif trade.closed is not None or (trade.told is None and not any(map(is_claim, known))):
            output.forget(trade_id)
        elif trade.told is None:
            closed.look_at(write_batch, watermark_ns + self._retention_ns, trade_id)
        else:
            row = closed.Closed(trade.told.version, trade.told, below - 1, watermark_ns, latest_ns(known))
            output.trades.close(trade_id, row)
            closed.look_at(write_batch, watermark_ns + self._retention_ns, trade_id)

    async def _step(self, output: BatchOutput, record: Record) -> None:
        """A bounded part of what time does is published and written; the rest comes after, also in another life."""
        output.account(record.offset, self._app.conf.topic_partitions)
        await self._publish(output)
        await output.write_batch.write(upto=record.offset - 1)
        output.trades = self._memory.trades(output.write_batch)

    async def _pass_time(self, output: BatchOutput, record: Record) -> None:
        """Time has got further: graces end, and the partition tells how it stands."""
        progress = decode_progress(record.value or b"")
        write_batch = output.write_batch
        watermark_ns = watermarks.watermark_ns(write_batch, self._topics.inputs, progress)
        after: deadlines.Waiting | None = None
        while (over := deadlines.due(write_batch, watermark_ns, SWEPT_AT_ONCE, after)) or after is not None:
            for waiting in over:
                self._look(output, waiting, record.offset, watermark_ns)
            after = over[-1] if len(over) == SWEPT_AT_ONCE else None
            if after is not None:
                await self._step(output, record)
        last: closed.Look | None = None
        while (looks := closed.due(write_batch, watermark_ns, SWEPT_AT_ONCE, last)) or last is not None:
            for look in looks:
                self._retire(output, look, record.offset, watermark_ns)
            last = looks[-1] if len(looks) == SWEPT_AT_ONCE else None
            if last is not None:
                await self._step(output, record)
        output.others.append((record.offset, Disposition.CONTROL))
        watermarks.advance(write_batch, progress, self._topics.inputs)
        output.watermark_ns = watermark_ns
        partition = output.batch.partition
        if progress.epoch and not progress.reached:
            self._next_standing.pop(partition, None)  # time has gone back
        due_ns, due_s = self._next_standing.get(partition, (0, 0.0))
        if progress.at_ns >= due_ns or monotonic() >= due_s:  # the log's time may not advance while more trades wait
            output.standing = self._standing(output, partition, progress.at_ns)

    def _look(self, output: BatchOutput, waiting: deadlines.Waiting, below: int, watermark_ns: int) -> None:
        """Judge a trade that waits, by its facts below a journal offset: it is decided, or waits as the rules say."""
        trade, write_batch = output.trades.of(waiting.trade_id), output.write_batch
        known = [kept for kept in trade.facts if kept.journal_offset < below]
        before = trade.told
        turn = expire(known, before, watermark_ns, self._rules)
        telling = self._telling(output, turn)
        if turn.due_ns != waiting.due_ns:
            deadlines.forget(write_batch, waiting.due_ns, waiting.trade_id)
        if turn.due_ns is not None and turn.after is not None:
            deadlines.await_until(write_batch, turn.due_ns, waiting.trade_id, awaited(turn.after.sides))
        if telling is not None:
            output.publish(waiting.trade_id, telling, before)

    async def _follow_rules(self, output: BatchOutput) -> None:
        """Where other rules made the deadlines, judge what waits by ours, in steps: a crash resumes behind the last."""
        write_batch = output.write_batch
        rekeying = deadlines.rekeying(write_batch, self._stamp.sha256)
        until_s = monotonic() + REKEYING_S
        while rekeying.after is not None:
            if not rekeying.after:
                logger.info("partition %d: what waits is judged by rules %s", write_batch.partition, self._stamp.name)
            found, rekeying = deadlines.following(write_batch, rekeying, SWEPT_AT_ONCE)
            for waiting in found:
                self._look(output, waiting, write_batch.applied + 1, output.watermark_ns)
            deadlines.rekeyed(write_batch, rekeying)
            if found:
                await self._publish(output)
                await write_batch.write(upto=write_batch.applied)
                output.trades = self._memory.trades(write_batch)
            if monotonic() >= until_s:
                return

    def _telling(self, output: BatchOutput, turn: TradeTransition) -> Encoded | None:
        """The result of a turn as it is to be sent; None where there is nothing to tell."""
        result = turn.result(self._stamp, output.horizon[1])
        return None if result is None else Encoded(result, encode_result(result), turn.upto)

    def _standing(self, output: BatchOutput, partition: int, at_ns: int) -> bytes:
        """How the partition stands: the watermark, and who waits for what. Told more seldom where many wait."""
        began_s = monotonic()
        counts: Counter[str] = Counter(dict.fromkeys(Awaited, 0))
        oldest: list[deadlines.Waiting] = []
        for waiting in deadlines.waiting(output.write_batch):
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
        self._metrics.watermark.labels(partition).set(output.watermark_ns / NS_PER_S)
        status = PartitionStatus(
            partition,
            iso(output.watermark_ns) if output.watermark_ns else None,
            counts,
            tuple([WaitingTrade(one.trade_id.decode(), one.awaited, iso(one.due_ns)) for one in oldest]),
        )
        return encode_status(status)

    def _assigned(self) -> set[int]:
        consumer: Any = self._app.consumer
        return {partition for _, partition in consumer.readings()}

    async def _publish(self, output: BatchOutput) -> None:
        """Everything that came of the records so far, acknowledged; then counted and logged."""
        await asyncio.gather(*(self._app.append(*place, rows) for place, rows in output.outbox.items()))
        if output.standing is not None:
            partition = output.batch.partition
            standing = Outgoing(b"%d" % partition, output.standing)
            await self._app.append(self._topics.standings, partition, [standing])
        self._count(output)
        output.sent()

    def _count(self, output: BatchOutput) -> None:
        metrics = self._metrics
        now_ns = clock.now_ns()
        for state, count in output.states.items():
            metrics.results.labels(state).inc(count)
        for reason, count in output.reasons.items():
            metrics.reasons.labels(reason).inc(count)
        for (source, kind), count in output.not_new.items():
            metrics.duplicates.labels(source, kind).inc(count)
        for code, count in output.rejected.items():
            metrics.rejected.labels(self._topics.legs, code).inc(count)
        for received_at_ns in output.decided_ns:
            metrics.decision.observe(max(0, now_ns - received_at_ns) / NS_PER_S)
        for line in output.lines:
            logger.warning("%s", line)
