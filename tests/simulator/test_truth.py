"""The engine finds in every simulated trade exactly what was planted in it, and nothing else."""

from collections import Counter, defaultdict

import pytest
from msgspec.structs import replace

from traderecon.intake import Rows
from traderecon.matching import add, judge_facts
from traderecon.records import Fact, Hint, Origin, Outcome, Reason, RejectCode, Rejected, Source, State, Verdict
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING
from traderecon.simulator import PROFILES, Flaw, Planted, Profile, Terms, Trade, feed, header, trade_of
from traderecon.simulator.flaws import PNL_FLAWS, TERMS_FLAWS
from traderecon.simulator.rows import row_of

TYPICAL, HOSTILE = PROFILES["typical"], PROFILES["hostile"]

REASONS = {
    "ticker": Reason.TICKER_MISMATCH,
    "quantity": Reason.QUANTITY_MISMATCH,
    "price": Reason.PRICE_MISMATCH,
    "timestamp": Reason.TIMESTAMP_DRIFT,
    "pnl": Reason.PNL_INCONSISTENT,
}
WRONG = {
    Planted.TICKER: "ticker",
    Planted.STRANGE_TICKER: "ticker",
    Planted.QUANTITY: "quantity",
    Planted.PRICE: "price",
    Planted.DRIFT: "timestamp",
    Planted.PNL: "pnl",
    Planted.PNL_REALISED: "pnl",
}
TOLERATED = {Planted.PRICE_TOLERATED: "price", Planted.DRIFT_TOLERATED: "timestamp", Planted.PNL_TOLERATED: "pnl"}
CONTESTED = {
    Source.EXECUTIONS: ("quantity", "pnl"),
    Source.CONFIRMATIONS: ("quantity",),
    Source.PNL: ("pnl",),
}
CODES = {
    Flaw.COMMA: RejectCode.SCHEMA_INVALID,
    Flaw.NAN: RejectCode.VALUE_NOT_FINITE,
    Flaw.HUGE: RejectCode.VALUE_OUT_OF_RANGE,
    Flaw.TRUE: RejectCode.SCHEMA_INVALID,
    Flaw.LONG_NUMBER: RejectCode.SIZE_EXCEEDED,
    Flaw.FINE_NUMBER: RejectCode.NUMBER_PRECISION_EXCEEDED,
    Flaw.BLANK: RejectCode.FIELD_MISSING,
    Flaw.NO_DATE: RejectCode.TIMESTAMP_UNPARSEABLE,
    Flaw.NO_SUCH_DATE: RejectCode.TIMESTAMP_INVALID,
    Flaw.ANCIENT: RejectCode.TIMESTAMP_INVALID,
    Flaw.FAR: RejectCode.TIMESTAMP_INVALID,
    Flaw.NO_ID: RejectCode.KEY_MISSING,
    Flaw.CONTROL_ID: RejectCode.KEY_INVALID,
    Flaw.NOT_UTF8: RejectCode.SCHEMA_INVALID,
    Flaw.SHORT: RejectCode.FIELD_MISSING,
    Flaw.LONG: RejectCode.SCHEMA_INVALID,
    Flaw.UNCLOSED: RejectCode.SCHEMA_INVALID,
}

Finding = tuple[State, tuple[Reason, ...], dict[str, Outcome]]


def reconciled(seed: int, trades: int, profile: Profile) -> tuple[dict[str, Verdict], Counter[RejectCode]]:
    """The verdict on every trade of a day, and the reject codes of its rows."""
    readers = {source: Rows(source, header(source, profile)) for source in Source}
    facts: defaultdict[str, tuple[Fact, ...]] = defaultdict(tuple)
    rejects: Counter[RejectCode] = Counter()
    for message in feed(seed, trades, profile):
        origin = Origin(message.source, 0, message.position)
        decoded = readers[message.source].decode(message.row, origin)
        if isinstance(decoded, Rejected):
            rejects[decoded.code] += 1
        else:
            trade_id = decoded.leg.trade_id
            facts[trade_id], _ = add(facts[trade_id], decoded)
    return {trade_id: judge_facts(known, FOREVER_NS, FOUNDING) for trade_id, known in facts.items()}, rejects


def expected(trade: Trade) -> Finding:
    """The expected finding, given what was planted in the trade; PENDING if no side arrives."""
    planted = set(trade.planted)
    arriving = {statement.source for statement in trade.statements if statement.flaw is None}
    sides = arriving - {Source.PNL}
    unchecked = dict.fromkeys(REASONS, Outcome.NOT_CHECKED)
    conflict = {Reason.DUPLICATE_CONFLICT} if Planted.CONFLICT in planted else set()
    if not sides:
        return State.PENDING, (), {}
    if Planted.CANCELLED in planted:
        return State.CANCELLED, (), unchecked
    if Planted.CANCELLED_ONE_SIDE in planted:
        return State.MISMATCHED, (Reason.CANCELLED_ONE_SIDE,), unchecked
    if len(sides) == 1:
        missing = Reason.MISSING_CONFIRMATION if Source.EXECUTIONS in sides else Reason.MISSING_EXECUTION
        return State.UNMATCHED, tuple(sorted({missing} | conflict)), unchecked
    outcomes = dict.fromkeys(REASONS, Outcome.PASS)
    outcomes |= {TOLERATED[fault]: Outcome.WITHIN_TOLERANCE for fault in planted & TOLERATED.keys()}
    outcomes |= {WRONG[fault]: Outcome.FAIL for fault in planted & WRONG.keys()}
    if Source.PNL not in arriving:
        outcomes["pnl"] = Outcome.NOT_CHECKED
    if conflict:  # the conflicting statement is the last
        outcomes |= dict.fromkeys(CONTESTED[trade.statements[-1].source], Outcome.NOT_CHECKED)
    reasons = {REASONS[name] for name, outcome in outcomes.items() if outcome is Outcome.FAIL} | conflict
    return State.MISMATCHED if reasons else State.MATCHED, tuple(sorted(reasons)), outcomes


@pytest.mark.parametrize("seed", [0, 7, 20250725])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_the_engine_finds_what_was_planted(profile: Profile, seed: int) -> None:
    count = 3000
    verdicts, rejects = reconciled(seed, count, profile)
    trades = [trade_of(seed, index, profile) for index in range(count)]
    found = {}
    for trade in trades:
        verdict = verdicts.get(trade.trade_id, Verdict(State.PENDING))
        found[trade] = verdict.state, verdict.reasons, {check.name: check.outcome for check in verdict.checks}
    assert found == {trade: expected(trade) for trade in trades}
    assert verdicts.keys() <= {trade.trade_id for trade in trades}
    flaws = Counter(statement.flaw for trade in trades for statement in trade.statements if statement.flaw)
    assert rejects.total() == flaws.total()
    assert rejects == sum((Counter({CODES[flaw]: times}) for flaw, times in flaws.items()), Counter())


def test_a_realised_pnl_is_suspected() -> None:
    verdicts, _ = reconciled(7, 5000, TYPICAL)
    realised = [
        trade.trade_id
        for trade in (trade_of(7, index, TYPICAL) for index in range(5000))
        if Planted.PNL_REALISED in trade.planted and verdicts[trade.trade_id].state is not State.UNMATCHED
    ]
    assert realised
    assert all(Hint.PNL_BASIS_SUSPECT in verdicts[trade_id].hints for trade_id in realised)


def test_every_kind_of_break_is_typical() -> None:
    verdicts, rejects = reconciled(7, 20_000, TYPICAL)
    reasons = Counter(reason for verdict in verdicts.values() for reason in verdict.reasons)
    assert reasons.keys() == {*REASONS.values(), Reason.MISSING_CONFIRMATION, Reason.MISSING_EXECUTION}
    assert min(reasons.values()) >= 20
    assert not rejects
    states = Counter(verdict.state for verdict in verdicts.values())
    broken = states[State.MISMATCHED] + states[State.UNMATCHED]
    assert states.total() == 20_000
    assert 20_000 * 3 // 100 < broken < 20_000 * 8 // 100
    assert any(len(verdict.reasons) > 1 for verdict in verdicts.values())
    outcomes = {(check.name, check.outcome) for verdict in verdicts.values() for check in verdict.checks}
    assert {(name, Outcome.WITHIN_TOLERANCE) for name in TOLERATED.values()} <= outcomes


def test_differences_on_the_limit_and_just_beyond_it_are_typical() -> None:
    prices, drifts = Counter[int](), Counter[int]()
    for index in range(20_000):
        sides = {statement.source: statement.content for statement in trade_of(7, index, TYPICAL).statements}
        ours, theirs = sides.get(Source.EXECUTIONS), sides.get(Source.CONFIRMATIONS)
        if isinstance(ours, Terms) and isinstance(theirs, Terms):
            prices[theirs.price_mills - ours.price_mills] += 1
            drifts[theirs.at_ms - ours.at_ms] += 1
    assert all(prices[mills] for mills in (-6, -5, 5, 6))
    assert all(drifts[ms] for ms in (-101, -100, 100, 101))


def test_everything_happens_on_a_hostile_day() -> None:
    trades = [trade_of(7, index, HOSTILE) for index in range(20_000)]
    assert {fault for trade in trades for fault in trade.planted} == set(Planted)
    struck = {(statement.source, statement.flaw) for trade in trades for statement in trade.statements}
    assert struck == {
        *((source, flaw) for source in (Source.EXECUTIONS, Source.CONFIRMATIONS) for flaw in (None, *TERMS_FLAWS)),
        *((Source.PNL, flaw) for flaw in (None, *PNL_FLAWS)),
    }


def test_nothing_happens_on_a_clean_day() -> None:
    verdicts, rejects = reconciled(7, 1000, PROFILES["clean"])
    assert {verdict.state for verdict in verdicts.values()} == {State.MATCHED}
    assert {check.outcome for verdict in verdicts.values() for check in verdict.checks} == {Outcome.PASS}
    assert (len(verdicts), rejects.total()) == (1000, 0)


@pytest.mark.parametrize("flaw", Flaw)
def test_a_flawed_row_is_rejected_with_its_code(flaw: Flaw) -> None:
    trade = next(whole for index in range(50) if len((whole := trade_of(7, index, HOSTILE)).statements) == 3)
    for statement in trade.statements:
        if statement.source is Source.PNL and flaw not in PNL_FLAWS:
            continue
        row = row_of(trade.trade_id, replace(statement, flaw=flaw), HOSTILE)
        reader = Rows(statement.source, header(statement.source, HOSTILE))
        decoded = reader.decode(row, Origin(statement.source, 0, 2))
        assert isinstance(decoded, Rejected)
        assert decoded.code is CODES[flaw]
