"""Properties that hold for every trade. Source: DOMAIN.md 6.3."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import oracle
import pytest
import strategies as rows
from hypothesis import given
from hypothesis import strategies as st
from legs import judgement_of
from strategies import Row, Sent, facts_of

from traderecon.intake import decode
from traderecon.matching import Arrival, add, event_id, judge_facts, result_of
from traderecon.records import (
    Check,
    Confirmation,
    Execution,
    Fact,
    Hint,
    Kind,
    Leg,
    Origin,
    Outcome,
    PnlSnapshot,
    Reason,
    Rejected,
    RulesStamp,
    Source,
    State,
    Verdict,
    identity,
)
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import (
    FOUNDING,
    Absolute,
    Band,
    Base,
    Bound,
    Capped,
    Override,
    Pnl,
    Precision,
    Price,
    Quantity,
    Relative,
    Rule,
    Rules,
    Ticker,
    Timestamp,
    Tolerance,
)
from traderecon.rules.amounts import compare
from traderecon.rules.overrides import ambiguous

STAMP = FOUNDING.stamp()
NO_PNL = msgspec.structs.replace(FOUNDING, checks=FOUNDING.checks[:-1])
PROVEN = {Outcome.PASS, Outcome.WITHIN_TOLERANCE}

small_amounts = st.integers(-5_000, 5_000).map(lambda units: Decimal(units).scaleb(-3))
amounts = small_amounts | st.decimals(-(10**18) + 1, 10**18 - 1, places=18)
limits = small_amounts.map(abs) | st.decimals(0, 10**6, places=9)
watermarks = st.integers(0, 200 * rows.NS_PER_S)


def fact_set_of(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    fact_set: tuple[Fact, ...] = ()
    for fact in facts:
        fact_set, _ = add(fact_set, fact)
    return fact_set


def judged(facts: Sequence[Fact], rules: Rules = FOUNDING, watermark_ns: int = FOREVER_NS) -> Verdict:
    return judge_facts(facts, watermark_ns, rules)


@st.composite
def tolerances(draw: st.DrawFn) -> Tolerance:
    bound = draw(st.sampled_from(Bound))
    match draw(st.sampled_from(("absolute", "relative", "capped", "band"))):
        case "absolute":
            return Absolute(amount=draw(limits), bound=bound)
        case "relative":
            return Relative(share=draw(limits), base=draw(st.sampled_from(Base)), bound=bound)
        case "capped":
            return Capped(share=draw(limits), base=draw(st.sampled_from(Base)), at_most=draw(limits), bound=bound)
        case _:
            return Band(below=draw(limits), above=draw(limits), bound=bound)


@st.composite
def rule_sets(draw: st.DrawFn) -> Rules:
    checks: list[Rule] = [
        Ticker(),
        Quantity(tolerance=draw(tolerances())),
        Price(tolerance=draw(tolerances())),
        Timestamp(
            tolerance_ns=draw(st.integers(0, rows.NS_PER_S)),
            bound=draw(st.sampled_from(Bound)),
            precision=draw(st.sampled_from(Precision)),
        ),
        Pnl(tolerance=draw(tolerances())),
    ]
    return Rules(
        name="drawn",
        checks=tuple(draw(st.permutations(checks))[: draw(st.integers(0, len(checks)))]),
        grace_ns=draw(st.integers(0, 100 * rows.NS_PER_S)),
        pnl_required=draw(st.booleans()),
    )


def widened(tolerance: Tolerance, by: Decimal) -> Tolerance:
    """The same tolerance, this much wider."""
    match tolerance:
        case Absolute():
            return msgspec.structs.replace(tolerance, amount=tolerance.amount + by)
        case Capped():
            return msgspec.structs.replace(tolerance, share=tolerance.share + by, at_most=tolerance.at_most + by)
        case Relative():
            return msgspec.structs.replace(tolerance, share=tolerance.share + by)
        case Band():
            return msgspec.structs.replace(tolerance, below=tolerance.below + by, above=tolerance.above + by)


@st.composite
def extreme_legs(draw: st.DrawFn) -> Leg:
    """Legs at the limits of what decoding accepts."""
    version = draw(st.integers(0, 10**9))
    currency = draw(st.none() | st.sampled_from(("USD", "EUR")))
    if draw(st.integers(0, 3)) == 0:
        maybe = st.none() | amounts
        return PnlSnapshot("T1", draw(maybe), draw(maybe), version=version, currency=currency)
    leg_type: type[Execution] | type[Confirmation] = Execution if draw(st.booleans()) else Confirmation
    return leg_type(
        "T1",
        draw(st.sampled_from(("AAPL", "MSFT"))),
        draw(amounts.map(abs)),
        draw(amounts),
        draw(st.integers(1, 2**63 - 1)),
        draw(st.integers(0, 9)),
        version=version,
        kind=draw(st.sampled_from(Kind)),
        currency=currency,
        hints=draw(st.sampled_from(((), (Hint.TIMESTAMP_NO_TIMEZONE,)))),
    )


class TestConfluence:
    """P1: permutations, duplicates and batches change neither the verdict nor the event id."""

    @pytest.mark.matrix("D1", "D3")
    @given(rows.trades(), st.data())
    def test_any_order_with_any_duplicates_gives_the_same_result(self, sent: list[Sent], data: st.DataObject) -> None:
        facts = facts_of(sent)
        once = fact_set_of(facts)
        again = [
            msgspec.structs.replace(fact, origin=Origin("elsewhere", 3, 100 + i, 7))
            for i, fact in enumerate(data.draw(st.lists(st.sampled_from(facts), max_size=5)))
        ]
        other = fact_set_of(data.draw(st.permutations([*facts, *again])))
        assert judged(other) == judged(once)
        here, there = (
            result_of(judgement_of(once, judged(once)), STAMP),
            result_of(judgement_of(other, judged(other)), STAMP),
        )
        assert (there.event_id, there.version, there.event_time_ns) == (here.event_id, here.version, here.event_time_ns)
        assert [fact.leg for fact in there.facts] == [fact.leg for fact in here.facts]

    @given(rows.trades(), st.data())
    def test_gathering_in_batches_gives_the_same_result(self, sent: list[Sent], data: st.DataObject) -> None:
        facts = facts_of(sent)
        cut = data.draw(st.integers(0, len(facts)))
        batches = [fact_set_of(facts[cut:]), fact_set_of(facts[:cut])]
        together = fact_set_of([fact for batch in batches for fact in batch])
        whole = fact_set_of(facts)
        assert judged(together) == judged(whole)
        here, there = judgement_of(together, judged(together)), judgement_of(whole, judged(whole))
        assert result_of(here, STAMP).event_id == result_of(there, STAMP).event_id

    @given(rows.trades(), rule_sets(), watermarks, st.data())
    def test_before_the_grace_is_over_the_order_is_irrelevant_too(
        self, sent: list[Sent], rules: Rules, watermark_ns: int, data: st.DataObject
    ) -> None:
        arrived = st.integers(0, 100 * rows.NS_PER_S)
        facts = [
            rows.fact(source, row, offset=i, received_at_ns=data.draw(arrived)) for i, (source, row) in enumerate(sent)
        ]
        facts = list(fact_set_of(facts))
        other = data.draw(st.permutations(facts))
        assert judged(other, rules, watermark_ns) == judged(facts, rules, watermark_ns)


class TestIdempotence:
    """P2: a fact that arrived before changes nothing."""

    @given(rows.trades(), st.data())
    def test_adding_a_fact_again_changes_nothing(self, sent: list[Sent], data: st.DataObject) -> None:
        facts = facts_of(sent)
        existing = fact_set_of(facts)
        again = msgspec.structs.replace(data.draw(st.sampled_from(facts)), origin=Origin("elsewhere", 1, 99))
        assert add(existing, again) == (existing, Arrival.IDENTICAL)

    @given(rows.trades())
    def test_the_set_holds_each_content_once(self, sent: list[Sent]) -> None:
        facts = facts_of(sent)
        identities = [identity(fact.leg) for fact in fact_set_of(facts)]
        assert Counter(identities) == Counter({identity(fact.leg) for fact in facts})


MIRRORED_REASONS = {
    Reason.MISSING_CONFIRMATION: Reason.MISSING_EXECUTION,
    Reason.MISSING_EXECUTION: Reason.MISSING_CONFIRMATION,
}
MIRRORED_SOURCES = {Source.EXECUTIONS: Source.CONFIRMATIONS, Source.CONFIRMATIONS: Source.EXECUTIONS}


def mirrored(checks: Sequence[Check]) -> tuple[Check, ...]:
    return tuple(
        msgspec.structs.replace(check, execution=check.confirmation, confirmation=check.execution) for check in checks
    )


class TestSymmetry:
    """P3: under the founding rules without pnl, neither side takes precedence."""

    @given(rows.trades(snapshots=False))
    def test_swapping_the_sides_mirrors_the_verdict(self, sent: list[Sent]) -> None:
        here = judged(facts_of(sent), NO_PNL)
        there = judged(facts_of([(MIRRORED_SOURCES[source], row) for source, row in sent]), NO_PNL)
        assert there.state is here.state
        conflict = {Reason.MULTIPLE_CONFIRMATIONS: Reason.DUPLICATE_CONFLICT}  # only a confirmation has a broker's word
        assert {conflict.get(reason, reason) for reason in there.reasons} == {
            conflict.get(mirror, mirror) for mirror in (MIRRORED_REASONS.get(reason, reason) for reason in here.reasons)
        }
        assert there.checks == mirrored(here.checks)

    @given(rows.trades(snapshots=False).filter(lambda sent: len({source for source, _ in sent}) == len(sent)))
    def test_swapping_the_sides_keeps_the_hints_but_causality(self, sent: list[Sent]) -> None:
        here = judged(facts_of(sent), NO_PNL)
        there = judged(facts_of([(MIRRORED_SOURCES[source], row) for source, row in sent]), NO_PNL)
        causality = {Hint.CONFIRM_BEFORE_EXECUTION}
        assert set(there.hints) - causality == set(here.hints) - causality


class TestMonotonicity:
    """P4: a wider tolerance never turns agreement into a break."""

    @given(amounts, amounts, tolerances(), limits)
    def test_amounts(self, ours: Decimal, theirs: Decimal, tolerance: Tolerance, by: Decimal) -> None:
        narrow = compare("price", Reason.PRICE_MISMATCH, ours, theirs, tolerance)
        wide = compare("price", Reason.PRICE_MISMATCH, ours, theirs, widened(tolerance, by))
        assert wide.outcome in PROVEN or narrow.outcome is Outcome.FAIL
        inclusive = msgspec.structs.replace(tolerance, bound=Bound.INCLUSIVE)
        assert compare("price", Reason.PRICE_MISMATCH, ours, theirs, inclusive).outcome in PROVEN or (
            narrow.outcome is Outcome.FAIL
        )

    @given(amounts, st.integers(-3, 3), limits, st.sampled_from(Bound))
    def test_around_the_limit_only_the_bound_decides(
        self, ours: Decimal, units: int, limit: Decimal, bound: Bound
    ) -> None:
        exact = Fraction(ours) + Fraction(limit) + Fraction(units, 10**18)
        theirs = Decimal(rows.digits(int(exact * 10**18)))
        tolerance = Absolute(amount=limit, bound=bound)
        apart = abs(Fraction(theirs) - Fraction(ours))
        agrees = apart == 0 or (apart < Fraction(limit) if bound is Bound.STRICT else apart <= Fraction(limit))
        check = compare("price", Reason.PRICE_MISMATCH, ours, theirs, tolerance)
        assert (check.outcome in PROVEN) is agrees
        assert check.difference is not None
        assert Fraction(check.difference) == apart

    @given(
        rows.bases().flatmap(lambda base: st.tuples(rows.term_rows(base), rows.term_rows(base))),
        st.integers(0, rows.NS_PER_S),
        st.integers(0, rows.NS_PER_S),
        st.sampled_from(Bound),
        st.sampled_from(Precision),
    )
    def test_drift(
        self, pair: tuple[Row, Row], tolerance_ns: int, by_ns: int, bound: Bound, precision: Precision
    ) -> None:
        execution = rows.fact(Source.EXECUTIONS, pair[0]).leg
        confirmation = rows.fact(Source.CONFIRMATIONS, pair[1]).leg
        assert isinstance(execution, Execution)
        assert isinstance(confirmation, Confirmation)
        rule = Timestamp(tolerance_ns=tolerance_ns, bound=bound, precision=precision)
        if rule.check(execution, confirmation, None).outcome not in PROVEN:  # a cancel may lack the time
            return
        for wider in (
            msgspec.structs.replace(rule, tolerance_ns=tolerance_ns + by_ns),
            msgspec.structs.replace(rule, bound=Bound.INCLUSIVE),
            msgspec.structs.replace(rule, precision=Precision.GRANULARITY_AWARE),
        ):
            assert wider.check(execution, confirmation, None).outcome in PROVEN

    @given(rows.trades(), tolerances(), limits)
    def test_a_whole_trade(self, sent: list[Sent], tolerance: Tolerance, by: Decimal) -> None:
        facts = facts_of(sent)
        narrow = judged(facts, Rules(name="narrow", checks=(Price(tolerance=tolerance), Pnl(tolerance=tolerance))))
        wider = widened(tolerance, by)
        wide = judged(facts, Rules(name="wide", checks=(Price(tolerance=wider), Pnl(tolerance=wider))))
        assert set(wide.reasons) <= set(narrow.reasons)


class TestRepresentation:
    """P5: how a value is written does not matter."""

    @given(rows.bases(), st.data())
    def test_the_same_values_are_the_same_leg(self, base: dict[str, int], data: st.DataObject) -> None:
        plain = {
            "trade_id": "T1",
            "ticker": "AAPL",
            "quantity": rows.digits(base["quantity"]),
            "price": rows.digits(base["price"]),
            "timestamp": f"{rows.iso(base['instant_ns'])}Z",
        }
        written = {
            "trade_id": data.draw(st.sampled_from(("T1", " T1", "T1  "))),
            "ticker": data.draw(st.sampled_from(("AAPL", "AAPL ", " AAPL"))),
            "quantity": data.draw(rows.spelled(plain["quantity"])),
            "price": data.draw(rows.spelled(plain["price"])),
            "timestamp": data.draw(rows.told(base["instant_ns"])),
        }
        numbers = {name: data.draw(rows.json_number(plain[name])) for name in ("quantity", "price")}
        messages = [
            rows.as_json(plain),
            rows.as_json(written),
            rows.as_json(plain | numbers, tuple(numbers)),
            rows.as_json(dict(data.draw(st.permutations(list(written.items()))))),
        ]
        legs = set()
        for message in messages:
            fact = decode(Source.EXECUTIONS, message, Origin("executions", 0, 1))
            assert isinstance(fact, Fact), fact
            leg = fact.leg
            assert isinstance(leg, Execution)
            legs.add(msgspec.structs.replace(leg, hints=(), granularity=0))
        assert len(legs) == 1

        confirmation = rows.fact(Source.CONFIRMATIONS, written)
        agreed = judged([rows.fact(Source.EXECUTIONS, plain), confirmation])
        assert agreed.state is State.MATCHED
        assert [check.outcome for check in agreed.checks[:4]] == [Outcome.PASS] * 4

    @given(rows.bases(), st.data())
    def test_a_zone_that_was_sent_leaves_no_hint(self, base: dict[str, int], data: st.DataObject) -> None:
        sent = data.draw(rows.told(base["instant_ns"]))
        row = {"trade_id": "T1", "ticker": "AAPL", "quantity": "1", "price": "1", "timestamp": sent}
        leg = rows.fact(Source.EXECUTIONS, row).leg
        text = sent.strip().upper()
        fix = text[4] != "-"
        naive = not fix and not text.endswith("Z") and not ({"+", "-"} & set(text[19:]))
        assert leg.hints == ((Hint.TIMESTAMP_NO_TIMEZONE,) if naive else ())


CENT = rows.ONE // 100
NOON_NS = rows.DAY_START_NS + 43_200 * rows.NS_PER_S


@st.composite
def named_trades(draw: st.DrawFn) -> list[Sent]:
    """A pair that may name broker and account, around noon, a cent or so apart; sometimes with a row too many."""
    sent: list[Sent] = []
    for source in (*rows.SIDES, *draw(st.sampled_from(((), (), (), *[[side] for side in rows.SIDES])))):
        apart = draw(st.sampled_from((0, CENT // 2, CENT // 2 + 1, CENT, CENT + 1, 2 * CENT)))
        instant_ns = NOON_NS + draw(st.sampled_from((-1, 0, 1, 150_000_000)))
        row = {
            "trade_id": "T1",
            "ticker": draw(st.sampled_from(("AAPL", "AAPL", "AAPL", "MSFT"))),
            "quantity": "100",
            "price": rows.digits(190 * rows.ONE + (apart if source is Source.CONFIRMATIONS else 0)),
            "timestamp": f"{rows.iso(instant_ns)}Z",
        }
        names = {name: draw(st.sampled_from(("a", "a", "a", "b", ""))) for name in ("broker", "account")}
        sent.append((source, {**row, **names}))
    return draw(st.permutations(sent))


@st.composite
def exemptions(draw: st.DrawFn) -> list[oracle.Exemption]:
    """Overrides as the oracle has them, of which never two are equally strong for one trade."""
    one = st.builds(
        oracle.Exemption,
        st.fixed_dictionaries(
            {},
            optional={"ticker": st.just("AAPL"), "broker": st.sampled_from("aaab"), "account": st.sampled_from("aaab")},
        ),
        st.none() | st.integers(-1, 1).map(lambda apart: Fraction(NOON_NS + apart, rows.NS_PER_S)),
        st.sampled_from((None, Fraction(0), Fraction(1, 200), Fraction(1, 100), Fraction(2, 100))),
        st.sampled_from((None, None, Fraction(0), Fraction(15, 100))),
    )
    found: list[oracle.Exemption] = []
    for drawn in draw(st.lists(one, min_size=1, max_size=5)):
        if not list(ambiguous([override_of(other) for other in (*found, drawn)])):
            found.append(drawn)
    return found


def under(exempted: Sequence[oracle.Exemption]) -> Rules:
    """The founding rules with these overrides."""
    return msgspec.structs.replace(FOUNDING, overrides=tuple([override_of(one) for one in exempted]))


def override_of(exemption: oracle.Exemption) -> Override:
    """The same in the words of the product."""
    checks: list[Price | Timestamp] = []
    if exemption.price is not None:
        checks.append(Price(tolerance=Absolute(amount=Decimal(rows.digits(int(exemption.price * rows.ONE))))))
    if exemption.drift_s is not None:
        checks.append(Timestamp(tolerance_ns=int(exemption.drift_s * rows.NS_PER_S)))
    since = None if exemption.since is None else int(exemption.since * rows.NS_PER_S)
    return Override(checks=tuple(checks), effective_from_ns=since, **exemption.names)


def oracle_finding(sent: Sequence[Sent], exemptions: Sequence[oracle.Exemption] = ()) -> oracle.Finding:
    by_source = {source: [row for sender, row in sent if sender is source] for source in Source}
    executions, confirmations, snapshots = (
        by_source[source] for source in (Source.EXECUTIONS, Source.CONFIRMATIONS, Source.PNL)
    )
    return oracle.find(executions, confirmations, snapshots, oracle.FOUNDING, exemptions)


class TestOracle:
    """P6: the verdict is what exact fractions say; MATCHED only if proven."""

    @given(rows.trades())
    def test_the_verdict_agrees_with_the_oracle(self, sent: list[Sent]) -> None:
        here, there = judged(facts_of(sent)), oracle_finding(sent)
        assert here.state == there.state
        assert list(here.reasons) == there.reasons
        assert {check.name: check.outcome for check in here.checks} == there.outcomes

    @given(rows.bases(), st.data())
    def test_and_at_every_boundary_of_a_plain_trade(self, base: dict[str, int], data: st.DataObject) -> None:
        price = base["price"] + data.draw(rows.near(rows.PRICE_LIMIT))
        instant_ns = base["instant_ns"] + data.draw(rows.near(rows.DRIFT_LIMIT_NS))
        impact = base["price"] * base["quantity"] // rows.ONE - base["commission"] + data.draw(rows.near(rows.ONE))
        common = {"trade_id": "T1", "ticker": "AAPL", "quantity": rows.digits(base["quantity"])}
        sent: list[Sent] = [
            (
                Source.EXECUTIONS,
                common | {"price": rows.digits(base["price"]), "timestamp": rows.iso(base["instant_ns"]) + "Z"},
            ),
            (Source.CONFIRMATIONS, common | {"price": rows.digits(price), "timestamp": rows.iso(instant_ns) + "Z"}),
            (
                Source.PNL,
                {"trade_id": "T1", "pnl_impact": rows.digits(impact), "commission": rows.digits(base["commission"])},
            ),
        ]
        here, there = judged(facts_of(sent)), oracle_finding(sent)
        assert (here.state, list(here.reasons)) == (there.state, there.reasons)
        assert {check.name: check.outcome for check in here.checks} == there.outcomes

    @given(named_trades(), exemptions())
    def test_and_under_overrides(self, sent: list[Sent], exempted: list[oracle.Exemption]) -> None:
        here, there = judged(facts_of(sent), under(exempted)), oracle_finding(sent, exempted)
        assert here.state == there.state
        assert list(here.reasons) == there.reasons
        assert {check.name: check.outcome for check in here.checks} == there.outcomes

    @given(named_trades(), exemptions())
    def test_a_wider_override_never_breaks_a_trade(self, sent: list[Sent], exempted: list[oracle.Exemption]) -> None:
        """P4 for overrides."""
        wider = [
            replace(one, price=one.price and one.price * 3, drift_s=one.drift_s and one.drift_s * 3) for one in exempted
        ]
        narrow, wide = judged(facts_of(sent), under(exempted)), judged(facts_of(sent), under(wider))
        assert set(wide.reasons) <= set(narrow.reasons)

    @given(rows.trades(), rule_sets())
    def test_a_state_has_the_reasons_it_needs(self, sent: list[Sent], rules: Rules) -> None:
        trade_verdict = judged(facts_of(sent), rules)
        assert bool(trade_verdict.reasons) is (trade_verdict.state in {State.MISMATCHED, State.UNMATCHED})
        assert trade_verdict.reasons == tuple(sorted(set(trade_verdict.reasons)))
        assert trade_verdict.hints == tuple(sorted(set(trade_verdict.hints)))
        failed = {check.reason for check in trade_verdict.checks if check.outcome is Outcome.FAIL}
        assert failed <= set(trade_verdict.reasons)

    @given(rows.bases().flatmap(lambda base: st.tuples(rows.trade_rows(base), rows.trade_rows(base))), rule_sets())
    def test_matched_means_every_check_is_proven(self, pair: tuple[Row, Row], rules: Rules) -> None:
        trade_verdict = judged(
            facts_of([(side, TERMS | row) for side, row in zip(rows.SIDES, pair, strict=True)]), rules
        )
        unproven = {check.name for check in trade_verdict.checks if check.outcome not in PROVEN}
        assert (trade_verdict.state is State.MATCHED) is (unproven <= {"pnl"} and not rules.pnl_required)
        assert [check.name for check in trade_verdict.checks] == [rule.name for rule in rules.checks]


one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
junk = st.sampled_from(
    ("", " ", "abc", "NaN", "-inf", "1e400", "1e-19", "1,5", "0x10", "-0", "١", "9" * 200, "x" * 513)
)


@st.composite
def rows_of_any_kind(draw: st.DrawFn) -> tuple[Source, Row]:
    """A row that may be wrong in any field."""
    base = draw(rows.bases())
    source = draw(st.sampled_from(Source))
    row = draw(rows.pnl_rows(base) if source is Source.PNL else rows.term_rows(base))
    for name in draw(st.lists(st.sampled_from(sorted(row)), max_size=2)):
        row[name] = draw(junk | one_line)
    if draw(st.booleans()):
        row["schema_version"] = draw(st.sampled_from(("", "1", "1.0", "2", "x")))
    return source, row


class TestParity:
    """P9: a message and a line with the same fields are the same leg, or wrong in the same way."""

    @given(rows_of_any_kind())
    def test_json_and_csv_read_alike(self, sent: Sent) -> None:
        source, row = sent
        message = decode(source, rows.as_json(row), Origin("t", 0, 1))
        line = rows.read_line(source, row)
        if isinstance(message, Rejected):
            assert isinstance(line, Rejected)
            assert (line.code, line.text) == (message.code, message.text)
        else:
            assert isinstance(line, Fact)
            assert line.leg == message.leg


class TestTotality:
    """P12: every set of decoded legs gets a verdict."""

    @given(st.lists(extreme_legs(), min_size=1, max_size=6), rule_sets(), watermarks | st.just(FOREVER_NS))
    def test_a_verdict_never_raises(self, legs: list[Leg], rules: Rules, watermark_ns: int) -> None:
        facts = fact_set_of([Fact(leg, Origin("t", 0, i)) for i, leg in enumerate(legs)])
        trade_verdict = judged(facts, rules, watermark_ns)
        assert result_of(judgement_of(facts, trade_verdict), rules.stamp()).version == len(facts)


class TestTime:
    """Time can only end PENDING."""

    @given(st.lists(extreme_legs(), min_size=1, max_size=4), rule_sets(), watermarks, watermarks)
    def test_once_decided_only_facts_change_a_verdict(
        self, legs: list[Leg], rules: Rules, first_ns: int, second_ns: int
    ) -> None:
        facts = fact_set_of([Fact(leg, Origin("t", 0, i, i * rows.NS_PER_S)) for i, leg in enumerate(legs)])
        sooner, later = (judged(facts, rules, watermark_ns) for watermark_ns in sorted((first_ns, second_ns)))
        assert later == sooner or sooner == Verdict(State.PENDING)

    @given(st.lists(extreme_legs(), min_size=1, max_size=4), rule_sets())
    def test_forever_ends_every_wait_for_a_partner(self, legs: list[Leg], rules: Rules) -> None:
        pending = judged(fact_set_of([Fact(leg, Origin("t", 0, 0)) for leg in legs]), rules).state is State.PENDING
        assert pending is all(isinstance(leg, PnlSnapshot) for leg in legs)


class TestEventId:
    """An event id is made from content, and from all of it."""

    @given(rows.trades())
    def test_it_ignores_hints_and_origins(self, sent: list[Sent]) -> None:
        facts = fact_set_of(facts_of(sent))
        trade_verdict = judged(facts)
        hinted = msgspec.structs.replace(trade_verdict, hints=(Hint.ALIAS,))
        moved = [msgspec.structs.replace(fact, origin=Origin("elsewhere", 5, 6, 7)) for fact in facts]
        assert (
            result_of(judgement_of(moved, hinted), STAMP).event_id
            == result_of(judgement_of(facts, trade_verdict), STAMP).event_id
        )

    @given(rows.trades(), st.data())
    def test_it_changes_with_everything_else(self, sent: list[Sent], data: st.DataObject) -> None:
        facts = fact_set_of(facts_of(sent))
        trade_verdict = judged(facts)
        identities = [identity(fact.leg) for fact in facts]

        def claim(claimed: Verdict = trade_verdict, trade_id: str = "T1", **other: Any) -> str:
            return event_id(trade_id, claimed, other.get("facts", identities), other.get("rules", STAMP.sha256))

        ids = {
            claim(),
            claim(trade_id="T2"),
            claim(rules="0" * 64),
            claim(facts=identities[1:]),
            claim(facts=[*identities, "0" * 64]),
            claim(
                msgspec.structs.replace(
                    trade_verdict, state=data.draw(st.sampled_from(sorted(set(State) - {trade_verdict.state})))
                )
            ),
            claim(msgspec.structs.replace(trade_verdict, reasons=(*trade_verdict.reasons, Reason.MANUAL_UNMATCH))),
        }
        assert len(ids) == 7
        for i, check in enumerate(trade_verdict.checks):
            outcome = data.draw(st.sampled_from(sorted(set(Outcome) - {check.outcome})))
            checks = list(trade_verdict.checks)
            checks[i] = msgspec.structs.replace(check, outcome=outcome)
            assert claim(msgspec.structs.replace(trade_verdict, checks=tuple(checks))) not in ids

    def test_it_depends_on_the_rules_not_on_their_name(self) -> None:
        facts = facts_of([(Source.EXECUTIONS, TERMS), (Source.CONFIRMATIONS, TERMS)])
        trade_verdict = judged(facts)
        renamed = RulesStamp("other", STAMP.sha256)
        assert (
            result_of(judgement_of(facts, trade_verdict), renamed).event_id
            == result_of(judgement_of(facts, trade_verdict), STAMP).event_id
        )


TERMS = {
    "trade_id": "T1",
    "ticker": "AAPL",
    "quantity": "100",
    "price": "190.50",
    "timestamp": "2025-07-26T10:01:23.000Z",
}
