"""Prepared steps: what one record does to one trade, computed and not stored yet.

A record may join several trades (``namesakes``). Every step is prepared before any is stored, and storing cannot fail:
so a record that fails leaves all of its trades as they were, and can become a dead letter.
"""

from collections.abc import Sequence
from typing import NamedTuple

from traderecon.matching.batch_output import BatchOutput, Encoded, Incoming
from traderecon.matching.closed import closes_at_ns
from traderecon.matching.facts import Arrival
from traderecon.matching.lifecycle import TradeStep
from traderecon.records import LastPublished, Source
from traderecon.tables import closed, facts, held


class PreparedStep(NamedTuple):
    """A step of an open trade; ``previous_due_ns``: the deadline that it replaces, ``held_trade``: if it is held."""

    trade_id: bytes
    incoming: Sequence[Incoming]
    existing: Sequence[facts.StoredFact]
    step: TradeStep
    encoded: Encoded | None
    held_trade: held.HeldTrade | None
    previous_due_ns: int | None

    def store(self, output: BatchOutput, retention_ns: int) -> Arrival | None:
        """Store the facts, the deadline and the result."""
        fact = self.incoming[0].stored.fact
        if self.held_trade is not None:
            output.silences.hear_late(self.held_trade, fact.leg, fact.origin.received_at_ns)
            if self.step.due_ns is None:
                output.silences.release(self.held_trade)
        if not self.existing:
            closed.set_timer(output.write_batch, closes_at_ns([fact], retention_ns), self.trade_id)
        output.add_facts(self.trade_id, self.incoming, self.existing)
        output.store(self.trade_id, self.step, self.previous_due_ns, self.encoded)
        if self.encoded is not None and fact.leg.source is not Source.PNL:
            output.decided_ns.append(fact.origin.received_at_ns)
        return self.step.arrival


class PreparedLateLeg(NamedTuple):
    """A leg of a closed trade, with its result."""

    trade_id: bytes
    incoming: Incoming
    encoded: Encoded
    last_published: LastPublished | None

    def store(self, output: BatchOutput) -> Arrival:
        """Store the leg and the result."""
        output.trades.add_fact(self.trade_id, *self.incoming)
        output.publish(self.trade_id, self.encoded, self.last_published)
        return Arrival.NEW


Prepared = PreparedStep | PreparedLateLeg | Arrival | None
"""An arrival, or None: there is nothing to store."""


def store(prepared: Prepared, output: BatchOutput, retention_ns: int) -> Arrival | None:
    """Store what was prepared, and say how the record arrived."""
    if isinstance(prepared, PreparedStep):
        return prepared.store(output, retention_ns)
    return prepared.store(output) if isinstance(prepared, PreparedLateLeg) else prepared
