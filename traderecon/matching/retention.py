"""The end of a retention: a trade is closed, or forgotten if it was closed long ago.

a timer is due  ->  a closed row in place of the trade's facts, no row at all, or another timer
"""

from traderecon.matching import namesakes
from traderecon.matching.batch_output import BatchOutput
from traderecon.matching.closed import closes_at_ns, latest_leg_time_ns
from traderecon.matching.lifecycle import is_undecided
from traderecon.records.match_keys import claims_namesake
from traderecon.tables import closed


def end_retention(
    output: BatchOutput, timer: closed.RetentionTimer, before_offset: int, watermark_ns: int, *, retention_ns: int
) -> None:
    """Close a trade whose retention has expired, or forget one closed long ago; otherwise set its timer again.

    A trade that still waits is not closed, however long its grace is. Its facts end before ``before_offset``, a
    journal offset.
    """
    write_batch, trade_id = output.write_batch, timer.trade_id
    closed.clear_timer(write_batch, timer)
    trade = output.trades.of(trade_id)
    rows = [*trade.facts]
    existing = [row.fact for row in rows]
    if trade.closed is not None:
        last_ns = max([trade.closed.closed_at_ns, *(fact.origin.received_at_ns for fact in existing)])
        due_ns = last_ns + retention_ns
    elif existing:
        due_ns = closes_at_ns(existing, retention_ns)
    else:
        return  # its only record was rejected, or a worker that had been stopped wrote this row late
    if due_ns > watermark_ns:
        closed.set_timer(write_batch, due_ns, trade_id)
    elif trade.closed is None and namesakes.may_need(output.trades, trade_id, rows, before_offset):
        closed.set_timer(write_batch, watermark_ns + retention_ns, trade_id)
    elif trade.closed is not None or (trade.last_published is None and not any(map(claims_namesake, existing))):
        output.forget(trade_id)
        namesakes.forget(output, trade_id)
    elif trade.last_published is None or is_undecided(trade.facts, trade.last_published):
        closed.set_timer(write_batch, watermark_ns + retention_ns, trade_id)
    else:
        row = closed.Closed(
            trade.last_published.version,
            trade.last_published,
            before_offset - 1,
            watermark_ns,
            latest_leg_time_ns(existing),
        )
        output.trades.close(trade_id, row)
        closed.set_timer(write_batch, watermark_ns + retention_ns, trade_id)
        namesakes.end_sharing(output, trade_id, before_offset)
