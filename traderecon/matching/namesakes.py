"""Namesakes: the trades that a record joins where a match key refines their trade_id.

    a record with its full key     ->  its trade; the first of a second trade makes what both share ambiguous
    a record with a partial key    ->  the one open trade there is, or each of several as ambiguous, else a closed one

A record with a partial key also lies under the trade_id itself, for the trades that come later; there it claims no
trade. Whatever a trade gets from another record has the offset of the record that it came with, so that a replay finds
the trade as it was. Source: DOMAIN.md E20; ``records.match_keys``.
"""

from collections.abc import Iterable, Iterator, Sequence

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


def additions(output: BatchOutput, incoming: Incoming) -> Iterator[Addition]:
    """What each trade gets from a record. Add it before the next is asked for: the trade may turn out to be closed."""
    fact, offset, trades = incoming.stored.fact, incoming.stored.journal_offset, output.trades
    sent_id, trade_id = sent_id_of(incoming), fact.leg.trade_id.encode()
    if has_partial_key(fact.leg):
        known = trades.namesakes(sent_id, offset)
        twin = as_ambiguous(fact).leg
        for other in known or trades.closed_namesakes(sent_id):
            before = [row.fact.leg for row in trades.of(other).facts if row.journal_offset < offset]
            stays = twin in before  # even if the trades that it may have been about are closed by now
            yield other, _copies([incoming.stored], offset, ambiguous=len(known) > 1 or stays)
        return
    # A claim that was read back from results is not counted: its record tells what the others share, if it comes again.
    is_first = claims_namesake(fact) and not any(
        0 <= row.journal_offset < offset and claims_namesake(row.fact) for row in trades.of(trade_id).facts
    )
    rows = [row for row in trades.of(sent_id).facts if row.journal_offset < offset] if is_first else []
    partial = [row for row in rows if has_partial_key(row.fact.leg) and not is_ambiguous(row.fact.leg)]
    known = [other for other in trades.namesakes(sent_id, offset) if other != trade_id] if partial else []
    shared = _copies(partial, offset, ambiguous=bool(known))
    yield trade_id, (incoming, *shared)
    if trades.of(trade_id).closed is None:
        trades.add_namesake(sent_id, trade_id)
        if shared:
            orphans.forget(output.write_batch, sent_id)
        if shared and len(known) == 1:
            yield known[0], shared


def store_partial(output: BatchOutput, incoming: Incoming, retention_ns: int) -> Arrival | None:
    """Store a record with a partial key for the trades to come; None if a trade with that very id has it."""
    trades, sent_id = output.trades, sent_id_of(incoming)
    known = trades.namesakes(sent_id, incoming.stored.journal_offset)
    if sent_id in known or trades.of(sent_id).closed is not None or (not known and trades.closed_namesakes(sent_id)):
        return None
    loaded = output.load(sent_id, (incoming,))
    if loaded is None:
        return None
    (incoming,), existing = loaded
    fact = incoming.stored.fact
    _, arrival = add(tuple([row.fact for row in existing]), fact)
    if arrival not in WITHOUT_EFFECT:
        if not existing:
            closed.set_timer(output.write_batch, closes_at_ns([fact], retention_ns), sent_id)
        if not existing and not known:
            orphans.put(output.write_batch, sent_id, fact.origin.received_at_ns)
        trades.add_fact(sent_id, *incoming)
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
    lies_there = output.trades.of(part.encode())
    if lies_there.facts and lies_there.closed is None and not output.trades.namesakes(part.encode(), before_offset):
        output.forget(part.encode())


def sent_id_of(incoming: Incoming) -> bytes:
    """The id that a record shares with its namesakes, as it is stored."""
    return partial_id(incoming.stored.fact.leg.sent_id or "").encode()


def _copies(rows: Iterable[facts.StoredFact], offset: int, *, ambiguous: bool) -> Sequence[Incoming]:
    """Facts of one trade as they are added to another, from a journal offset on."""
    return [incoming_of(as_ambiguous(row.fact) if ambiguous else row.fact, offset) for row in rows]
