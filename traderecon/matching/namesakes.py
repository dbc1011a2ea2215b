"""Namesakes: the trades that a record joins where a match key refines their trade_id.

    a record with its full key     ->  its trade; the first of a second trade makes what both share ambiguous
    a record with a partial key    ->  the one trade there is, or each of several as ambiguous

A record with a partial key also lies under the trade_id itself, for the trades that come later; there it claims no
trade. Whatever a trade gets from another record has the offset of the record that it came with, so that a replay finds
the trade as it was. Source: DOMAIN.md E20; ``records.match_keys``.
"""

from collections.abc import Iterable, Iterator, Sequence

from traderecon.matching.batch_output import BatchOutput, Incoming, incoming_of
from traderecon.matching.closed import closes_at_ns
from traderecon.matching.facts import WITHOUT_EFFECT, Arrival, add
from traderecon.records.match_keys import as_ambiguous, has_partial_key, partial_id
from traderecon.tables import closed, facts, orphans, trades

Addition = tuple[bytes, Sequence[Incoming]]
"""The id of a trade, and the facts that it gets from one record."""


def additions(output: BatchOutput, incoming: Incoming) -> Iterator[Addition]:
    """What each trade gets from a record. Add it before the next is asked for: the trade may turn out to be closed."""
    trades = output.trades
    leg, offset = incoming.stored.fact.leg, incoming.stored.journal_offset
    sent_id, trade_id = sent_id_of(incoming), leg.trade_id.encode()
    known = trades.namesakes(sent_id, offset)
    if has_partial_key(leg):
        for other in known:
            yield other, _copies([incoming.stored], offset, ambiguous=len(known) > 1)
        return
    waiting = [] if trade_id in known else trades.of(sent_id).facts
    partial = [row for row in waiting if row.journal_offset < offset and has_partial_key(row.fact.leg)]
    shared = _copies(partial, offset, ambiguous=bool(known))
    yield trade_id, (incoming, *shared)
    if trades.of(trade_id).closed is None:
        trades.add_namesake(sent_id, trade_id)
        if shared:
            orphans.forget(output.write_batch, sent_id)
        if shared and len(known) == 1:
            yield known[0], shared


def store_partial(output: BatchOutput, incoming: Incoming, retention_ns: int) -> Arrival | None:
    """Store a record with a partial key for the trades to come; None if it lies there already."""
    trades, sent_id = output.trades, sent_id_of(incoming)
    known = trades.namesakes(sent_id, incoming.stored.journal_offset)
    if sent_id in known:
        return None  # a trade from before the match key
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
    if not existing or not has_partial_key(existing[0].fact.leg):
        return False
    return any(other != trade_id for other in trades.namesakes(trade_id, before_offset))


def forget(output: BatchOutput, trade_id: bytes, existing: Sequence[facts.StoredFact], before_offset: int) -> None:
    """Forget that a closed or forgotten trade had namesakes; the last one takes along what they shared."""
    if not existing or existing[0].fact.leg.sent_id is None:
        return
    sent_id = partial_id(existing[0].fact.leg.sent_id).encode()
    output.trades.forget_namesake(sent_id, trade_id)
    if trade_id != sent_id and not output.trades.namesakes(sent_id, before_offset):
        output.forget(sent_id)


def sent_id_of(incoming: Incoming) -> bytes:
    """The id that a record shares with its namesakes, as it is stored."""
    return partial_id(incoming.stored.fact.leg.sent_id or "").encode()


def _copies(rows: Iterable[facts.StoredFact], offset: int, *, ambiguous: bool) -> Sequence[Incoming]:
    """Facts of one trade as they are added to another, from a journal offset on."""
    return [incoming_of(as_ambiguous(row.fact) if ambiguous else row.fact, offset) for row in rows]
