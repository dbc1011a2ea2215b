"""Namesakes: the trades that a record joins where a match key refines their trade_id.

    a record with its full key     ->  its trade; the first of a second trade makes what both share ambiguous
    a record with a partial key    ->  the one open trade there is, or each of several as ambiguous, else a closed one

A record with a partial key also lies under the trade_id itself, for later trades; there it claims no trade. What a
trade gets because of another record has the journal offset of that record, so that a replay finds the trade as it was.
Source: DOMAIN.md E20; ``records.match_keys``.
"""

from collections.abc import Iterable, Sequence

from traderecon.matching.batch_output import BatchOutput, Incoming, incoming_of
from traderecon.matching.closed import closes_at_ns
from traderecon.matching.facts import WITHOUT_EFFECT, Arrival, add
from traderecon.records.match_keys import (
    as_ambiguous,
    claims_namesake,
    has_partial_key,
    is_ambiguous,
    partial_id,
    partial_part,
)
from traderecon.tables import closed, facts, orphans, trades

Addition = tuple[bytes, Sequence[Incoming]]
"""The id of a trade, and the facts that it gets from one record."""


def additions(trades: trades.Trades, incoming: Incoming) -> Sequence[Addition]:
    """What each trade gets from a record; of one with its full key its own trade is the first."""
    fact, offset = incoming.stored.fact, incoming.stored.journal_offset
    shared_id, trade_id = _shared_id_of(incoming), fact.leg.trade_id.encode()
    if has_partial_key(fact.leg):
        known = trades.namesakes(shared_id, offset)
        twin = as_ambiguous(fact).leg
        joined = []
        for other in known or trades.closed_namesakes(shared_id):
            before = [row.fact.leg for row in trades.of(other).facts if row.journal_offset < offset]
            stays = twin in before  # even if the trades that it may have been about are closed by now
            joined.append((other, _copies([incoming.stored], offset, ambiguous=len(known) > 1 or stays)))
        return joined
    # A claim that was read back from results is not counted: its record, read again, is the first one.
    is_first = claims_namesake(fact) and not any(
        0 <= row.journal_offset < offset and claims_namesake(row.fact) for row in trades.of(trade_id).facts
    )
    partial = _partial_facts(trades, shared_id, offset) if is_first else []
    known = [other for other in trades.namesakes(shared_id, offset) if other != trade_id] if partial else []
    shared = _copies(partial, offset, ambiguous=bool(known))
    own = (trade_id, (incoming, *shared))
    return [own, (known[0], shared)] if len(known) == 1 else [own]


def store_shared(output: BatchOutput, incoming: Incoming, retention_ns: int) -> Arrival | None:
    """Store which trade has the record, or, with a partial key, the record itself for the trades to come.

    The arrival of a record that is stored here; None for any other.
    """
    trades, shared_id, offset = output.trades, _shared_id_of(incoming), incoming.stored.journal_offset
    if not has_partial_key(incoming.stored.fact.leg):
        trade_id = incoming.stored.fact.leg.trade_id.encode()
        if trades.of(trade_id).closed is None:
            trades.add_namesake(shared_id, trade_id)
            is_first = claims_namesake(incoming.stored.fact) and not trades.is_claimed(trade_id, offset)
            if is_first and _partial_facts(trades, shared_id, offset):
                orphans.forget(output.write_batch, shared_id)
        return None
    known = trades.namesakes(shared_id, offset)
    belongs_to_closed = not known and trades.closed_namesakes(shared_id)
    if shared_id in known or trades.of(shared_id).closed is not None or belongs_to_closed:
        return None
    loaded = output.load(shared_id, (incoming,))
    if loaded is None:
        return None
    (incoming,), existing = loaded
    fact = incoming.stored.fact
    _, arrival = add(tuple([row.fact for row in existing]), fact)
    if arrival not in WITHOUT_EFFECT:
        if not existing:
            closed.set_timer(output.write_batch, closes_at_ns([fact], retention_ns), shared_id)
        if not existing and not known:
            orphans.put(output.write_batch, shared_id, fact.origin.received_at_ns)
        trades.add_fact(shared_id, *incoming)
    return arrival


def may_need(trades: trades.Trades, trade_id: bytes, existing: Sequence[facts.StoredFact], before_offset: int) -> bool:
    """Whether these facts lie under a trade_id for a further trade that shares it with those that are open."""
    if not existing or not all(has_partial_key(row.fact.leg) for row in existing):
        return False
    return any(other != trade_id for other in trades.namesakes(trade_id, before_offset))


def forget(output: BatchOutput, trade_id: bytes) -> None:
    """A trade is forgotten: it shares its trade_id no longer."""
    if (part := partial_part(trade_id.decode())) is not None:
        output.trades.forget_namesake(part.encode(), trade_id)


def end_sharing(output: BatchOutput, trade_id: bytes, before_offset: int) -> None:
    """A trade is closed: if none of its namesakes is open, forget the records with a partial key."""
    part = partial_part(trade_id.decode())
    if part is None:
        return
    shared_id = part.encode()
    shared = output.trades.of(shared_id)
    if shared.facts and shared.closed is None and not output.trades.namesakes(shared_id, before_offset):
        output.forget(shared_id)


def _shared_id_of(incoming: Incoming) -> bytes:
    """The id under which a record's partial keys lie."""
    return partial_id(incoming.stored.fact.leg.sent_id or "").encode()


def _partial_facts(trades: trades.Trades, shared_id: bytes, before_offset: int) -> Sequence[facts.StoredFact]:
    """The records with a partial key that lie under an id from before a journal offset."""
    return [
        row
        for row in trades.of(shared_id).facts
        if row.journal_offset < before_offset and has_partial_key(row.fact.leg) and not is_ambiguous(row.fact.leg)
    ]


def _copies(rows: Iterable[facts.StoredFact], offset: int, *, ambiguous: bool) -> Sequence[Incoming]:
    """Facts of one trade as they are added to another, from a journal offset on."""
    return [incoming_of(as_ambiguous(row.fact) if ambiguous else row.fact, offset) for row in rows]
