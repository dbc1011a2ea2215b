"""What a worker reports about its journal partitions: waiting trades, held trades, silent sources.

watermark, deadlines, held trades, activities  ->  PartitionStatus for ``standings``, gauges, incidents
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from math import inf
from time import monotonic, thread_time
from typing import Any, NamedTuple

from traderecon.matching.batch_output import BatchOutput
from traderecon.matching.clocks import Clocks
from traderecon.matching.lifecycle import WAITING_FOR, WaitingFor
from traderecon.matching.silence import SilenceTerms, SourceState, is_scheduled, should_speak, silent_since_ns
from traderecon.records import Hint
from traderecon.records.instants import NS_PER_S, iso
from traderecon.records.numbers import EXACT, ZERO
from traderecon.records.partition_status import PartitionStatus, SilentSource, WaitingTrade, encode_status
from traderecon.stage import Stage
from traderecon.tables import TableBatch, deadlines, held, orphans
from traderecon.transport.incidents import Kind

STATUS_INTERVAL_S = 2
"""How often a partition reports its status: by log time, or by the wall clock while log time stands still."""
WAITING_ASKED = 1_000
"""So many waiting trades are asked whether they wait for a silent source."""
OLDEST_SHOWN = 100
"""How many waiting trades the status of a partition lists: held ones, then those whose grace expires first."""
HELD_SHOWN = 50
"""How many of them may be held ones."""
SCAN_SHARE = 20
"""Counting the waiting trades takes at most one part in this many of the time."""
BRIEF_S = 0.02
"""Seconds of CPU time. After a longer count, only wall time starts the next: log time may run 100 times as fast."""


class _HeldFor(NamedTuple):
    """The trades that one source holds: how many, and the money at stake by currency."""

    trades: int
    stakes: Mapping[str, Decimal]


class StatusReport:
    """The statuses of this worker's partitions."""

    def __init__(self, stage: Stage, terms: SilenceTerms, clocks: Clocks) -> None:
        self._app, self._metrics, self._terms, self._clocks = stage.app, stage.metrics, terms, clocks
        self._next: dict[int, tuple[float, float]] = {}
        self._pending: dict[int, Counter[str]] = {}
        self._held: dict[int, Mapping[str, _HeldFor]] = {}
        self._silent: dict[int, Mapping[str, int]] = {}
        self._alone: dict[int, int] = {}
        self._watermark_ns = 0

    def reset(self, partition: int) -> None:
        """Report at the next progress: the log's time has gone back."""
        self._next.pop(partition, None)
        self._watermark_ns = 0

    def report(self, output: BatchOutput, at_ns: int) -> None:
        """Open and close the incidents of silent sources; if it is time, give the output the partition's status."""
        self._watermark_ns = max(self._watermark_ns, output.watermark_ns)
        silences, partition = output.silences, output.batch.partition
        silent, holding = self._silent.get(partition, {}), silences.holding
        if silent or holding or any(state.silent for state in silences.states.values()):
            self._silent[partition] = silent = self._silent_now(output, silent)
            self._report_incidents()
        due_ns, due_s = self._next.get(partition, (0, 0.0))
        if at_ns >= due_ns or monotonic() >= due_s:
            output.status = self._status(output, at_ns, silent)
            self._app.incidents.report(Kind.CLOCK_SUSPECT, self._clocks.drifting())
            self._clocks.forget()

    def _silent_now(self, output: BatchOutput, before: Mapping[str, int]) -> Mapping[str, int]:
        """Since when each source is silent that holds trades, or that they wait for while it should speak.

        A silence that nobody waits for matters to nobody: confirmations may go on after the last execution of a day.
        """
        activities, now_ns = output.silences.activities, output.watermark_ns
        return {
            name: silent_since_ns(name, activities, now_ns, self._terms)
            for name, state in output.silences.states.items()
            if state.silent
            and (
                name in output.silences.holding
                or (
                    (name in before or _is_waited_for(output.write_batch, name))
                    and should_speak(name, activities, now_ns, self._terms)
                )
            )
        }

    def _status(self, output: BatchOutput, at_ns: int, silent: Mapping[str, int]) -> bytes:
        """The partition's status, encoded. Schedules the next one."""
        partition, started_s, started_cpu_s = output.batch.partition, monotonic(), thread_time()
        counts: Counter[str] = Counter(dict.fromkeys(WaitingFor, 0))
        counts.update(deadlines.counts(output.write_batch))
        held_for, oldest = _held_for(output.write_batch)
        held_ids = {waiting.trade_id for waiting in oldest}
        for deadline in islice(deadlines.all_deadlines(output.write_batch), OLDEST_SHOWN):
            if len(oldest) < OLDEST_SHOWN and (trade_id := deadline.trade_id.decode()) not in held_ids:
                oldest.append(WaitingTrade(trade_id, deadline.waiting_for, iso(deadline.due_ns)))
        alone = list(self._orphans(output))
        oldest += [WaitingTrade(trade_id, "trade", hint=Hint.ORPHAN_PNL) for trade_id in alone[:OLDEST_SHOWN]]
        interval_s = max(STATUS_INTERVAL_S, SCAN_SHARE * (monotonic() - started_s))
        # By the processor's time, a count is not long because the machine interrupted it.
        is_brief = thread_time() - started_cpu_s < BRIEF_S
        self._next[partition] = at_ns + interval_s * NS_PER_S if is_brief else inf, monotonic() + interval_s
        self._set_gauges(partition, counts, held_for, output.watermark_ns, len(alone))
        status = PartitionStatus(
            partition,
            iso(output.watermark_ns) if output.watermark_ns else None,
            counts,
            tuple(oldest),
            tuple(self._silent_sources(output, silent, held_for)),
            len(alone),
        )
        return encode_status(status)

    def _orphans(self, output: BatchOutput) -> Iterator[str]:
        """The trades of which a grace after their snapshot nothing else has arrived."""
        by_ns = output.watermark_ns - max(self._terms.graces_ns.values())
        return (trade_id.decode() for trade_id in orphans.received_by(output.write_batch, by_ns))

    def _silent_sources(
        self, output: BatchOutput, silent: Mapping[str, int], held_for: Mapping[str, _HeldFor]
    ) -> Iterator[SilentSource]:
        for name in sorted({*silent, *held_for}):
            held_by, since_ns = held_for.get(name, _HeldFor(0, {})), silent.get(name)
            yield SilentSource(
                name,
                output.silences.states.get(name, SourceState.SPEAKING),
                None if since_ns is None else iso(since_ns),
                None if since_ns is None else iso(self._terms.until_ns(since_ns)),
                held_by.trades,
                {currency: str(amount) for currency, amount in sorted(held_by.stakes.items())},
            )

    def _set_gauges(
        self, partition: int, counts: Counter[str], held_for: Mapping[str, _HeldFor], watermark_ns: int, alone: int
    ) -> None:
        before = {name for each in self._held.values() for name in each}
        self._pending[partition], self._held[partition], self._alone[partition] = counts, held_for, alone
        consumer: Any = self._app.consumer
        assigned = {assigned for _, assigned in consumer.readings()}
        for revoked in self._pending.keys() - assigned:
            del self._pending[revoked], self._held[revoked], self._alone[revoked]
            self._metrics.watermark.remove(revoked)
            if self._silent.pop(revoked, None):
                self._report_incidents()  # the worker that has it now says so
        for waiting_for in WaitingFor:
            count = sum(pending[waiting_for] for pending in self._pending.values())
            self._metrics.pending.labels(waiting_for).set(count)
        self._metrics.orphan_snapshots.set(sum(self._alone.values()))
        totals: Counter[str] = Counter()
        for each in self._held.values():
            totals.update({name: held_by.trades for name, held_by in each.items()})
        for name in before - totals.keys():
            self._metrics.held_trades.remove(name)
        for name, count in totals.items():
            self._metrics.held_trades.labels(name).set(count)
        self._metrics.watermark.labels(partition).set(watermark_ns / NS_PER_S)

    def _report_incidents(self) -> None:
        """One incident for each silent source, whatever the number of partitions and trades."""
        since_ns: dict[str, int] = {}
        for silent in self._silent.values():
            for name, spoke_ns in silent.items():
                since_ns[name] = max(spoke_ns, since_ns.get(name, 0))
        self._metrics.silent_sources.set(len(since_ns))
        self._app.incidents.report(Kind.SOURCE_SILENT, {name: self._text(name, since_ns[name]) for name in since_ns})

    def _text(self, name: str, since_ns: int) -> str:
        count = sum(each[name].trades for each in self._held.values() if name in each)
        counted = f" ({count:,} in this worker)" if count else ""
        until_ns = self._terms.until_ns(since_ns)
        waiting = (
            f"Trades that wait for it are held{counted} until it has caught up, or until {iso(until_ns)}: then they "
            "are UNMATCHED."
            if self._watermark_ns < until_ns
            else f"Trades that wait for it are held no longer: since {iso(until_ns)} they are UNMATCHED."
        )
        return (
            f"{name} has been silent since {iso(since_ns)}, although {_expects(name, self._terms)}. {waiting} Find out "
            "why it does not send."
        )


def _expects(name: str, terms: SilenceTerms) -> str:
    """What says that the source should have spoken."""
    return "its schedule expected it to send" if is_scheduled(name, terms) else "the other side has not"


def _is_waited_for(write_batch: TableBatch, name: str) -> bool:
    """Whether a trade within its grace waits for the topic of a source, among those that are due first.

    Nobody waits for a source that a later version knows.
    """
    topic = name.partition("/")[0]
    wanted = next((waiting_for for source, waiting_for in WAITING_FOR.items() if source == topic), None)
    due_first = islice(deadlines.all_deadlines(write_batch), WAITING_ASKED)
    return any(deadline.waiting_for == wanted for deadline in due_first)


def _held_for(write_batch: TableBatch) -> tuple[Mapping[str, _HeldFor], list[WaitingTrade]]:
    """The held trades by the source that holds them, and some of them."""
    counts: Counter[str] = Counter()
    shown: list[WaitingTrade] = []
    stakes: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for trade in held.all_held(write_batch):
        counts[trade.held_by] += 1
        if len(shown) < HELD_SHOWN:
            latest = iso(trade.held.latest_ns)
            shown.append(WaitingTrade(trade.trade_id.decode(), trade.held.waiting_for, latest, trade.held_by))
        if trade.held.stake is not None:
            currency = trade.held.currency or ""
            before = stakes[trade.held_by].get(currency, ZERO)
            stakes[trade.held_by][currency] = EXACT.add(before, Decimal(trade.held.stake))
    return {name: _HeldFor(count, stakes[name]) for name, count in counts.items()}, shown
