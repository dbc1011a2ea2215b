"""The matching agent: reads the journal, adds facts to their trades, ends graces, publishes results.

    legs -> facts, deadlines, watermark (tables) -> the pure core -> reconciled, mismatch, dead_letters, standings

Order per batch: results acknowledged, changelog acknowledged, one write of the local store, source acknowledged. So the
results of everything in the tables have been delivered, and a record at or below the applied offset is a replay. Each
record is judged on the facts up to its own offset: results never depend on where a batch was cut.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from faust.types import StreamT

from traderecon import clock
from traderecon.matching import namesakes
from traderecon.matching.batch_output import BatchOutput, Encoded, Incoming, incoming_of, origin_of
from traderecon.matching.clocks import Clocks
from traderecon.matching.closed import MAX_LATE_LEGS, claims_trade, late_leg_result
from traderecon.matching.facts import Arrival
from traderecon.matching.lifecycle import TradeStep, expire, join
from traderecon.matching.prepared import Prepared, PreparedLateLeg, PreparedStep, store
from traderecon.matching.published_results import ResultReader
from traderecon.matching.retention import end_retention
from traderecon.matching.silence import SilenceTerms
from traderecon.matching.status_report import StatusReport
from traderecon.records import Source
from traderecon.records.account import Disposition
from traderecon.records.action import encode_action, rules_change
from traderecon.records.business_time import cut_offs
from traderecon.records.dead_letter import reject_failing, reject_unreadable
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import NS_PER_DAY, NS_PER_S
from traderecon.records.journal import decode_fact, decode_progress
from traderecon.records.match_keys import has_partial_key
from traderecon.records.result_message import encode_result
from traderecon.rules import Rules
from traderecon.rules.content import as_json, content
from traderecon.stage import Stage
from traderecon.tables import MONOTONIC, BatchTable, TableBatch, closed, deadlines, held, trades, watermarks
from traderecon.tables import rules as rules_rows
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.retry_counts import LIMIT
from traderecon.transport.unreadable import UnreadableBatch

SWEEP_ROWS = 2_000
"""Due trades are handled this many at a time; these are published and written before the next."""
WITHIN_GRACE_NS = 0
"""A watermark at which no grace is over."""
REJUDGEMENT_S = 1
"""After a change of rules, each batch spends about this long on judging waiting trades by the new ones."""

logger = logging.getLogger(__name__)

_DUPLICATES = frozenset({Arrival.IDENTICAL, Arrival.CLOSED})
_COUNTED = frozenset({*_DUPLICATES, Arrival.CONFLICTING, Arrival.STALE, Arrival.OUTRANKED})
"""The arrivals that the metric counts as duplicates."""

_Due = TypeVar("_Due", deadlines.Deadline, closed.RetentionTimer, held.HeldTrade)


def attach(stage: Stage, rules: Rules, retention_days: int, *, silence_limit_s: int, silence_floor_s: int) -> None:
    """Give the stage's app the matching agent and its table.

    ``silence_limit_s``: how long a silent source holds trades at most, 0 for never. ``silence_floor_s``: no pause of a
    source up to this long is a silence.
    """
    app = stage.app
    table = BatchTable(app, name="trades", partitions=stage.partitions, monotonic=MONOTONIC)
    table.help = "facts, deadlines, watermarks, last published results"
    app.tables.add(table)
    terms = SilenceTerms(
        silence_limit_s * NS_PER_S,
        silence_floor_s * NS_PER_S,
        {source: rules.grace_for(source) for source in Source},
        {it.source: it.calendar for it in rules.source_schedules or ()},
        cut_offs(rules.calendar or None),
    )
    matching = _Matching(stage, table, rules, retention_days, terms)
    app.catch_up = matching.result_reader.read_back
    app.agent(app.topic(stage.topics.legs, key_type=bytes, value_type=bytes), name="matching")(matching.run)


class _Matching:
    """The agent and its dependencies."""

    def __init__(self, stage: Stage, table: BatchTable, rules: Rules, retention_days: int, terms: SilenceTerms) -> None:
        self._app, self._topics, self._metrics = stage.app, stage.topics, stage.metrics
        self._retry_counts = stage.retry_counts
        self._table, self._rules, self._stamp = table, rules, rules.stamp()
        self._retention_ns = retention_days * NS_PER_DAY
        rules_content = {**content(rules), "retention_days": retention_days, "silence": terms.content()}
        self._rules_row = rules_rows.RulesRow(rules.name, self._stamp.sha256, rules_content, recorded=True)
        self._whole_rules = as_json(rules)
        self.result_reader = ResultReader(stage.app, stage.topics, table)
        self._trade_cache = trades.TradeCache()
        self._clocks = Clocks()
        self._terms, self._status_report = terms, StatusReport(stage, terms, self._clocks)

    async def run(self, batches: StreamT[MicroBatch]) -> None:
        """Handle the journal batch by batch: facts and progress."""
        async for batch in batches:
            write_batch = self._table.write_batch(batch)
            last_rules = rules_rows.get(write_batch)
            if last_rules is not None and last_rules.differs(self._rules_row):
                await self.result_reader.read_on(batch.partition)
                write_batch = self._table.write_batch(batch)
            output = BatchOutput(write_batch, self._trade_cache.trades(write_batch), batch, self._topics, self._terms)
            await self._record_rules_change(output)
            await self._rejudge_waiting(output)
            for record in batch:
                if record.offset <= output.write_batch.applied:
                    continue  # a replay: its results have been delivered
                try:
                    if isinstance(record, UnreadableBatch):
                        text = record.describe(batch.topic, batch.partition)
                        output.reject(
                            reject_unreadable(origin_of(batch, record), text, too_large=record.too_large), record
                        )
                    elif record.key is None:
                        await self._advance_time(output, record)
                    else:
                        self._add_fact(output, record.key, record)
                except OtherFormat:
                    raise
                except Exception as error:
                    if self._retry_counts.count_failure(batch, record) < LIMIT:
                        raise
                    output.reject(reject_failing(origin_of(batch, record), error), record)
            output.account(batch.span.stop, self._app.conf.topic_partitions)
            await self._publish(output)
            await output.write_batch.write()

    async def _record_rules_change(self, output: BatchOutput) -> None:
        """If other rules judged this partition's last batch, publish the change before these rules judge anything.

        The first rules that judge are published, too, so that the text of the rules of any result is on record.
        """
        if output.first >= output.batch.span.stop:
            return
        current, previous = self._rules_row, rules_rows.get(output.write_batch)
        if previous == current:
            return
        rules_rows.put(output.write_batch, current)
        changed = previous is not None and previous.differs(current)
        change = rules_change(
            output.batch.partition,
            output.first,
            (previous.sha256, previous.content) if previous is not None and changed else None,
            (current.sha256, current.content),
            self._whole_rules,
        )
        if changed:
            self._metrics.rules_changed.set(clock.now_ns() / NS_PER_S)
            logger.warning(
                "%s[%s]: rules changed from %s to %s at offset %s: %s",
                output.batch.topic,
                output.batch.partition,
                change.before,
                change.after,
                change.offset,
                ", ".join(change.difference) or "only the name differs",
            )
        partition = partition_for(change.key, self._app.conf.topic_partitions)
        await self._app.append(self._topics.actions, partition, [Outgoing(change.key, encode_action(change))])

    def _add_fact(self, output: BatchOutput, trade_id: bytes, record: Record) -> None:
        """Add the fact of a journal record to its trade, or to each trade that it may be about."""
        value = record.value or b""
        incoming = incoming_of(fact := decode_fact(value), record.offset, value)
        if fact.leg.sent_id is None:
            arrival = store(self._prepare(output, trade_id, (incoming,)), output, self._retention_ns)
        else:
            arrival = self._add_namesake(output, incoming)
        if arrival in _DUPLICATES:
            output.dispositions.append((record.offset, Disposition.DUPLICATE))
        if arrival in _COUNTED:
            output.duplicates[fact.leg.source, arrival] += 1

    def _add_namesake(self, output: BatchOutput, incoming: Incoming) -> Arrival | None:
        """Add a fact whose trade_id several trades may have; it is a duplicate only if it is one to all of them."""
        prepared = []
        for trade_id, joining in namesakes.additions(output.trades, incoming):
            prepared.append(self._prepare(output, trade_id, joining))
            if output.trades.of(trade_id).closed is not None and not has_partial_key(incoming.stored.fact.leg):
                break  # a late leg changes no other trade
        stored = namesakes.store_shared(output, incoming, self._retention_ns)
        arrivals = [store(it, output, self._retention_ns) for it in prepared]
        return stored or next((it for it in arrivals if it not in _DUPLICATES), next(iter(arrivals), None))

    def _prepare(self, output: BatchOutput, trade_id: bytes, incoming: Sequence[Incoming]) -> Prepared:
        """Load a trade, and take the next step of its lifecycle with facts from one record."""
        loaded = output.load(trade_id, incoming)
        if loaded is None:
            return None
        incoming, existing = loaded
        trade, stored = output.trades.of(trade_id), incoming[0].stored
        if trade.closed is not None:
            return self._prepare_late_leg(output, trade_id, incoming[0])
        also = [it.stored for it in incoming[1:]]
        step = join(existing, trade.last_published, stored, output.watermark_ns, self._rules, also=also)
        if step.judgement is None:
            return step.arrival
        previous_due_ns = step.previous_due_ns
        held_trade = output.silences.find(trade_id) if trade.facts else None
        if held_trade is not None:
            if output.silences.sources_of(step):  # it waits on; the next progress decides whether it is held further
                step = join(existing, trade.last_published, stored, WITHIN_GRACE_NS, self._rules, also=also)
            else:
                previous_due_ns = held_trade.held.latest_ns
        encoded = self._encode(output, step)
        return PreparedStep(trade_id, incoming, existing, step, encoded, held_trade, previous_due_ns)

    def _prepare_late_leg(self, output: BatchOutput, trade_id: bytes, incoming: Incoming) -> Prepared:
        """A leg of a closed trade: a break with the next version, once for each leg."""
        trade = output.trades.of(trade_id)
        row, stored = trade.closed, incoming.stored
        if row is None or stored.journal_offset <= row.offset:
            return None  # a replay from before the trade was closed
        if any(late.journal_offset == stored.journal_offset for late in trade.facts):
            return None  # a replay: its result was published before it was stored
        if not claims_trade(stored.fact):
            return Arrival.CLOSED
        if any(late.identity == stored.identity for late in trade.facts):
            return Arrival.IDENTICAL
        if len(trade.facts) >= MAX_LATE_LEGS:
            output.reject_late(stored)
            return None
        last_published = trade.last_published
        result = late_leg_result(trade_id.decode(), row.version, [*trade.facts, stored], last_published, self._rules)
        encoded = Encoded(result, encode_result(result), stored.journal_offset)
        return PreparedLateLeg(trade_id, incoming, encoded, last_published)

    async def _advance_time(self, output: BatchOutput, record: Record) -> None:
        """Advance the watermark: end graces and retentions, report the partition's status when it is due."""
        progress = decode_progress(record.value or b"")
        write_batch = output.write_batch
        watermark_ns = watermarks.watermark_ns(write_batch, self._topics.inputs, progress)
        output.silences.advance(progress, watermark_ns)
        await self._sweep(output, record, watermark_ns, deadlines.due, self._expire)
        for source in output.silences.released():
            await self._sweep(output, record, watermark_ns, partial(_held_by, source), self._release)
        retention = partial(end_retention, retention_ns=self._retention_ns)
        await self._sweep(output, record, watermark_ns, closed.due, retention)
        output.dispositions.append((record.offset, Disposition.CONTROL))
        watermarks.advance(write_batch, progress, self._topics.inputs)
        output.watermark_ns = watermark_ns
        if progress.epoch and not progress.reached:
            self._status_report.reset(output.batch.partition)
        self._status_report.report(output, progress.at_ns)

    async def _sweep(
        self,
        output: BatchOutput,
        record: Record,
        watermark_ns: int,
        due: Callable[[TableBatch, int, int, _Due | None], list[_Due]],
        handle: Callable[[BatchOutput, _Due, int, int], None],
    ) -> None:
        """Handle every trade that is due, a bounded number at a time; a crash resumes after the last ones written."""
        last: _Due | None = None
        while (rows := due(output.write_batch, watermark_ns, SWEEP_ROWS, last)) or last is not None:
            for row in rows:
                handle(output, row, record.offset, watermark_ns)
            last = rows[-1] if len(rows) == SWEEP_ROWS else None
            if last is not None:
                output.account(record.offset, self._app.conf.topic_partitions)
                await self._flush(output, upto=record.offset - 1)

    async def _flush(self, output: BatchOutput, upto: int) -> None:
        """Publish and write what there is so far, applied up to a journal offset."""
        await self._publish(output)
        await output.write_batch.write(upto=upto)
        output.trades = self._trade_cache.trades(output.write_batch)

    def _expire(
        self,
        output: BatchOutput,
        deadline: deadlines.Deadline,
        before_offset: int,
        watermark_ns: int,
        latest_ns: int | None = None,
    ) -> None:
        """Judge a waiting trade by its facts before a journal offset: it is decided, held, or waits by the rules.

        ``latest_ns``: see ``Silences.hold``.
        """
        trade = output.trades.of(deadline.trade_id)
        existing = [row for row in trade.facts if row.journal_offset < before_offset]
        step = expire(existing, trade.last_published, watermark_ns, self._rules)
        if not output.silences.hold(deadline, step, latest_ns):
            step = output.silences.with_hint(step)
            output.store(deadline.trade_id, step, deadline.due_ns, self._encode(output, step))

    def _release(self, output: BatchOutput, trade: held.HeldTrade, before_offset: int, watermark_ns: int) -> None:
        """Judge a trade whose source holds it no longer."""
        latest_ns = trade.held.latest_ns
        output.silences.release(trade)
        deadline = deadlines.Deadline(latest_ns, trade.trade_id, trade.held.waiting_for)
        self._expire(output, deadline, before_offset, watermark_ns, latest_ns)

    async def _rejudge_waiting(self, output: BatchOutput) -> None:
        """If other rules set the deadlines, judge the waiting trades again, a bounded number at a time.

        A crash resumes after the last ones written.
        """
        write_batch = output.write_batch
        rejudgement = deadlines.rejudgement(write_batch, self._stamp.sha256)
        until_s = monotonic() + REJUDGEMENT_S
        while rejudgement.after is not None:
            if not rejudgement.after:
                logger.info(
                    "partition %d: judging waiting trades by the rules %s", write_batch.partition, self._stamp.name
                )
            waiting, rejudgement = deadlines.rejudgement_rows(write_batch, rejudgement, SWEEP_ROWS)
            for deadline in waiting:
                self._expire(output, deadline, write_batch.applied + 1, output.watermark_ns)
            deadlines.put_rejudgement(write_batch, rejudgement)
            if waiting:
                await self._flush(output, upto=write_batch.applied)
            if monotonic() >= until_s:
                return

    def _encode(self, output: BatchOutput, step: TradeStep) -> Encoded | None:
        """The result of a step, encoded; None if there is nothing to publish."""
        result = step.result(self._stamp, output.horizon.version)
        if result is None:
            return None
        if step.judgement is not None and step.judgement.sides.have_attributes:
            self._clocks.add(step.judgement.sides, step.judgement.verdict)
        return Encoded(result, encode_result(result), step.upto)

    async def _publish(self, output: BatchOutput) -> None:
        """Send the outbox and wait until it is acknowledged; then report it."""
        await asyncio.gather(
            *(self._app.append(topic, partition, rows) for (topic, partition), rows in output.outbox.items())
        )
        if output.status is not None:
            partition = output.batch.partition
            status = Outgoing(b"%d" % partition, output.status)
            await self._app.append(self._topics.standings, partition, [status])
        self._report(output)
        output.clear()

    def _report(self, output: BatchOutput) -> None:
        """Count what was sent, and log a line for each transition of a break."""
        metrics = self._metrics
        now_ns = clock.now_ns()
        for state, count in output.states.items():
            metrics.results.labels(state).inc(count)
        for reason, count in output.reasons.items():
            metrics.reasons.labels(reason).inc(count)
        for (source, kind), count in output.duplicates.items():
            metrics.duplicates.labels(source, kind).inc(count)
        for code, count in output.rejected.items():
            metrics.rejected.labels(self._topics.legs, code).inc(count)
        for received_at_ns in output.decided_ns:
            metrics.decision.observe(max(0, now_ns - received_at_ns) / NS_PER_S)
        for line in output.break_lines:
            logger.warning("%s", line)


def _held_by(
    source: str, write_batch: TableBatch, watermark_ns: int, at_most: int, after: held.HeldTrade | None
) -> list[held.HeldTrade]:
    """The next trades that a source holds; every one is due."""
    return held.held_by(write_batch, source, at_most, after)
