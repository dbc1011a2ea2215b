"""The silences of one journal partition within one write batch: what its sources have spoken, and the trades held.

    progress -> states of the sources -> hold (a grace is over), find and release (a leg arrives), released (to sweep)

Decided from the journal alone: wherever a batch is cut, the same trades are held and decided.
"""

from collections.abc import Iterator, Mapping

import msgspec

from traderecon.matching.lifecycle import TradeStep, waiting_for
from traderecon.matching.silence import SilenceTerms, SourceState, awaited, hear, names_of, restarted, states_of
from traderecon.records import Hint, Leg
from traderecon.records.activity import Activity, source_name
from traderecon.records.journal import Progress
from traderecon.tables import TableBatch, activities, deadlines, held

LATE_STEP_NS = 1_000_000_000
"""How finely the time of the last late leg is stored."""


class Silences:
    """``watermark_ns``: the one stored, until ``advance``."""

    def __init__(self, write_batch: TableBatch, terms: SilenceTerms, watermark_ns: int) -> None:
        self._write_batch, self._terms, self._watermark_ns = write_batch, terms, watermark_ns
        self._states: Mapping[str, SourceState] | None = None
        self._holding: tuple[str, ...] | None = None
        self._next_late_ns: dict[str, int] = {}

    # -- time

    def advance(self, progress: Progress, watermark_ns: int) -> None:
        """Store what the sources have spoken; after a reset of the log's time each counts as heard then."""
        rows = {row.name: row for row in activities.rows(self._write_batch)}
        for row in [*rows.values()]:
            if progress.epoch > row.epoch:
                rows[row.name] = row._replace(epoch=progress.epoch, activity=restarted(row.activity, progress.at_ns))
                activities.put(self._write_batch, rows[row.name])
        for name in map(source_name, self._terms.schedules):
            if name not in rows:  # it should speak from now on
                rows[name] = activities.ActivityRow(name, progress.epoch, Activity(progress.at_ns))
                activities.put(self._write_batch, rows[name])
        for name, at_ns in progress.spoken.items():
            before = rows.get(name)
            if (before is None and len(rows) >= activities.MAX_SOURCES) or (before and before.epoch > progress.epoch):
                continue
            heard = hear(name, before and before.activity, at_ns, watermark_ns, self._terms)
            if before is None or heard != before.activity:
                rows[name] = activities.ActivityRow(name, progress.epoch, heard)
                activities.put(self._write_batch, rows[name])
        self._watermark_ns, self._states, self._holding = watermark_ns, None, None
        self._next_late_ns = {}

    @property
    def activities(self) -> Mapping[str, Activity]:
        """When each source last spoke."""
        return {row.name: row.activity for row in activities.rows(self._write_batch)}

    @property
    def states(self) -> Mapping[str, SourceState]:
        """The state of each source at the watermark; none has one if silences hold nothing."""
        if self._states is None:
            is_on = self._terms.limit_ns > 0
            self._states = states_of(self.activities, self._watermark_ns, self._terms) if is_on else {}
        return self._states

    def released(self) -> Iterator[str]:
        """The sources that hold trades and no longer may."""
        for name in self.holding:
            if not self.states.get(name, SourceState.SPEAKING).holds:
                yield name

    # -- trades

    @property
    def holding(self) -> tuple[str, ...]:
        """The sources that may hold trades."""
        if self._holding is None:
            any_held = held.any_held(self._write_batch)
            self._holding = held.holding(self._write_batch, self.activities) if any_held else ()
        return self._holding

    def find(self, trade_id: bytes) -> held.HeldTrade | None:
        """The trade, if it is held."""
        return held.find(self._write_batch, self.holding, trade_id) if self.holding else None

    def sources_of(self, step: TradeStep) -> tuple[str, ...]:
        """The sources whose silence would explain the break of this step; none for any other step."""
        judgement = step.judgement
        if judgement is None or step.already_published:
            return ()
        last = step.last_published
        if last is not None and (last.state.is_break or not judgement.sides.grouped):
            return ()  # it was decided; a group that matched may get further records on both sides
        source = awaited(judgement.sides, judgement.verdict)
        return () if source is None else names_of(source, judgement.sides)

    def hold(self, deadline: deadlines.Deadline, step: TradeStep, latest_ns: int | None = None) -> bool:
        """Hold the trade of an expired deadline if its source is silent, until its latest time; whether it is held.

        ``step``: what it would be decided to. ``latest_ns``: the latest time, if it was held before and is not now.
        """
        before, names = self.find(deadline.trade_id), self.sources_of(step)
        if before is not None:
            latest_ns = before.held.latest_ns
        if latest_ns is None:
            latest_ns = self._terms.latest_ns(deadline.due_ns)
        elif latest_ns <= self._watermark_ns:
            names = ()
        holder = next((name for name in names if self.states.get(name, SourceState.SPEAKING).holds), None)
        if before is not None and before.held_by != holder:
            self.release(before)
        if holder is None or step.judgement is None:
            return False
        assessment = step.judgement.assessment
        stake = None if assessment is None else assessment.stake
        row = held.Held(
            latest_ns,
            waiting_for(step.judgement.sides),
            None if stake is None or stake.amount is None else str(stake.amount),
            None if stake is None else stake.currency,
        )
        held.put(self._write_batch, held.HeldTrade(holder, deadline.trade_id, row))
        if self._holding is not None and holder not in self._holding:
            self._holding = (*self._holding, holder)
        if deadline.due_ns != latest_ns:
            deadlines.forget(self._write_batch, deadline.due_ns, deadline.trade_id)
            deadlines.add_deadline(self._write_batch, latest_ns, deadline.trade_id, row.waiting_for)
        return True

    def release(self, trade: held.HeldTrade) -> None:
        """Hold a trade no longer."""
        held.forget(self._write_batch, trade.held_by, trade.trade_id)

    def hear_late(self, trade: held.HeldTrade, leg: Leg, received_at_ns: int) -> None:
        """Note that a leg has arrived for a held trade: if its source sent it, the source is still catching up."""
        name = trade.held_by
        if received_at_ns < self._next_late_ns.get(name, 0) or name.partition("/")[0] != leg.source:
            return
        row = activities.get(self._write_batch, name)
        if row is not None and received_at_ns >= row.activity.late_ns + LATE_STEP_NS:
            activities.put(self._write_batch, row._replace(activity=row.activity._replace(late_ns=received_at_ns)))
            self._states = None
            self._next_late_ns[name] = received_at_ns + LATE_STEP_NS

    def with_hint(self, step: TradeStep) -> TradeStep:
        """The step, with a hint if it decides a trade whose source is silent."""
        names = self.sources_of(step)
        if step.judgement is None or not any(self.states.get(name, SourceState.SPEAKING).silent for name in names):
            return step
        verdict = step.judgement.verdict
        hints = tuple(sorted({*verdict.hints, Hint.SOURCE_WAS_SILENT}))
        judgement = msgspec.structs.replace(step.judgement, verdict=msgspec.structs.replace(verdict, hints=hints))
        return msgspec.structs.replace(step, judgement=judgement)
