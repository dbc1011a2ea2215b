"""A run over files, told in their lines: decoded, gathered and judged as if every grace had passed -> Summary."""

from collections.abc import Sequence

from traderecon.batch.summary import Reject, Summary
from traderecon.intake import Rows
from traderecon.matching import Arrival, add, judge, sides_of
from traderecon.records import Fact, Origin, Rejected, Source, State
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING, Rules

HEADERS = {
    Source.EXECUTIONS: "trade_id,ticker,quantity,price,timestamp,side,kind,version",
    Source.CONFIRMATIONS: "trade_id,ticker,quantity,price,timestamp,side,kind,version",
    Source.PNL: "trade_id,pnl_impact,commission",
}


def summary_of(
    executions: Sequence[str] = (), confirmations: Sequence[str] = (), pnl: Sequence[str] = (), rules: Rules = FOUNDING
) -> Summary:
    """Lines of each file, without its header; a line may leave out its last cells."""
    summary = Summary()
    trades: dict[str, tuple[Fact, ...]] = {}
    for source, lines in zip(Source, (executions, confirmations, pnl), strict=True):
        rows = Rows(source, HEADERS[source])
        for number, line in enumerate(lines, start=2):
            summary.rows[source] += 1
            fact = rows.decode(line, Origin(f"{source}.csv", 0, number))
            if isinstance(fact, Rejected):
                summary.reject(Reject(fact.origin.topic, number, fact.code, fact.text))
                continue
            trade_id = fact.leg.trade_id
            trades[trade_id], arrival = add(trades.get(trade_id, ()), fact)
            summary.duplicates[source] += arrival is Arrival.IDENTICAL
    for trade_id, facts in trades.items():
        sides = sides_of(facts)
        verdict = judge(sides, FOREVER_NS, rules)
        if verdict.state is State.PENDING:
            summary.pnl_alone += 1
        else:
            summary.judged(trade_id, sides, verdict)
    return summary
