"""A run over files, told in their lines: decoded, gathered and judged as if every grace had passed -> Summary."""

from collections.abc import Sequence

from traderecon.batch.summary import Reject, Summary
from traderecon.intake import Rows
from traderecon.matching import Arrival, add, judge, sides_of
from traderecon.matching.assess import assess
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
            summary.add_orphan(trade_id)
        else:
            summary.add_trade(trade_id, sides, verdict, assess(sides, verdict, rules))
    return summary


def clean() -> Summary:
    """Three trades that agree, one of them only within tolerance."""
    return summary_of(
        [f"T{i},AAPL,100,190.50,2025-07-26T10:0{i}:23Z" for i in range(3)],
        ["T0,AAPL,100,190.505,2025-07-26T10:00:23Z"]
        + [f"T{i},AAPL,100.0,190.5,2025-07-26T10:0{i}:23Z" for i in (1, 2)],
        [f"T{i},19049.50,0.5" for i in range(3)],
    )


def mixed() -> Summary:
    """A day with breaks of most kinds, duplicates, rejected rows and a snapshot of a trade nobody sent."""
    executions, confirmations, pnl = [], [], []
    for i in range(96):
        ticker, moment = "AAPL" if i % 3 else "BRK.B", f"2025-07-26T{8 + i // 8:02d}:{i % 8 * 7:02d}:23.000Z"
        leg = f"T{i:03d},{ticker},100,190.50,{moment},BUY"
        executions.append(leg)
        confirmations.append(leg)
        pnl.append(f"T{i:03d},19049.50,0.5")
    for i, (old, new) in enumerate(
        [
            ("190.50", "190.67"),
            ("190.50", "191.50"),
            (",100,", ",101,"),
            (",AAPL,", ",MSFT,"),
            ("23.000Z", "24.250Z"),
            ("190.50", "190.504"),
            ("BUY", "BUY,cancel,2"),
            (",100,", ",0,"),
            ("190.50", "190.50,5"),
        ],
        start=10,
    ):
        confirmations[3 * i + 1] = confirmations[3 * i + 1].replace(old, new)
    pnl[2], pnl[5], pnl[8] = "T002,95.00,0.5", "T005,19059.50,0.5", "T008,19049.50,"
    executions += [executions[4], executions[7].replace("190.50", "180.50")]
    del confirmations[11], executions[14]
    return summary_of(executions, confirmations, [*pnl, "T999,1,1"])


def odd() -> Summary:
    """What a hostile or careless sender may write, all of it legal enough to be reported."""
    return summary_of(
        [
            "<script>alert(1)</script>,<b>x,100,190.50,2025-07-26T10:01:23.000Z,BUY",
            "\u202e1T\u202c\"&',\u0410APL,0.3,190.50,2025-07-26T10:01:23.000Z",
            "\u05e9\u05dc\u05d5\u05dd,AAPL,0.3,1e-17,2025-07-26T10:01:23.000Z",
            f"{'T' * 512},AAPL,{'9' * 18}.{'9' * 18},-{'9' * 18}.{'9' * 18},2025-07-26T10:01:23.123456789Z",
            "{{ 7 * 7 }}{% x %},AAPL,100,190.50,2025-07-26T10:01:23,SELL,cancel,2",
        ],
        [
            "<script>alert(1)</script>,<b>y,100,190.506,2025-07-26T10:01:23.101Z,<i>SELL",
            "\u202e1T\u202c\"&',AAPL,0.30000000000000004,190.50,2025-07-26T10:01:23.100000001Z",
            "\u05e9\u05dc\u05d5\u05dd,AAPL,0.3,2,2025-07-27T10:01:23.000Z",
            f"{'T' * 512},AAPL,1,{'9' * 18}.{'9' * 18},2025-07-26T10:01:23.123456789Z",
            "T5,AAPL,100,190.50,2031-07-26T10:01:23",
            "</td><img src=x onerror=alert(1)>,A,<script>,1,2025-07-26T10:01:23",
        ],
    )


def long() -> Summary:
    """Eighty one-sided trades: forty the broker alone confirms, then forty that nobody confirms."""
    lines = [f"T{i:03d},AAPL,{100 - i},190.50,2025-07-26T10:01:{i % 60:02d}Z" for i in range(80)]
    return summary_of(lines[40:], lines[:40])
