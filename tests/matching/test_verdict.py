"""State, reasons, checks and hints, example by example. Source: DOMAIN.md 6.2."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from legs import SECOND_NS, arrived, booked, ours, theirs

from traderecon.matching import judge, judge_facts, sides_of
from traderecon.matching.hints import failure_hints
from traderecon.records import Check, Hint, Kind, Leg, Outcome, PnlSnapshot, Reason, State, Verdict
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING, NOTHING, Absolute, Basis, Incomplete, OperandSource, Pnl, Price, Rules

GRACE_NS = FOUNDING.grace_ns
REQUIRED = msgspec.structs.replace(FOUNDING, pnl_required=True)
CANCEL = Kind.CANCEL


def judged(*legs: Leg, rules: Rules = FOUNDING, watermark_ns: int = FOREVER_NS) -> Verdict:
    """The verdict, which is the same in every order."""
    first = judge_facts(arrived(*legs), watermark_ns, rules)
    for order in permutations(legs):
        assert judge_facts(arrived(*order), watermark_ns, rules) == first
    return first


def summary(*legs: Leg, rules: Rules = FOUNDING, watermark_ns: int = FOREVER_NS) -> tuple[State, list[Reason]]:
    trade_verdict = judged(*legs, rules=rules, watermark_ns=watermark_ns)
    return trade_verdict.state, list(trade_verdict.reasons)


def outcomes(*legs: Leg) -> list[Outcome]:
    """ticker, quantity, price, timestamp, pnl."""
    return [check.outcome for check in judged(*legs).checks]


def unchecked(note: str) -> tuple[Check, ...]:
    return tuple(
        Check(rule.name, rule.reason, Outcome.NOT_CHECKED, None, None, None, None, note) for rule in FOUNDING.checks
    )


PASS, FAIL, SKIPPED = Outcome.PASS, Outcome.FAIL, Outcome.NOT_CHECKED


class TestPaired:
    def test_all_checks_pass(self) -> None:
        trade_verdict = judged(ours(), theirs(), booked())
        assert (trade_verdict.state, trade_verdict.reasons, trade_verdict.hints) == (State.MATCHED, (), ())
        assert trade_verdict.checks == tuple(rule.check(ours(), theirs(), booked()) for rule in FOUNDING.checks)
        assert [check.outcome for check in trade_verdict.checks] == [PASS] * 5

    def test_without_a_snapshot_the_pnl_is_not_checked(self) -> None:
        assert summary(ours(), theirs()) == (State.MATCHED, [])
        assert outcomes(ours(), theirs()) == [PASS, PASS, PASS, PASS, SKIPPED]

    def test_a_pair_waits_for_nothing(self) -> None:
        assert judged(ours(), theirs(), watermark_ns=0) == judged(ours(), theirs())

    def test_every_reason_is_reported_and_sorted(self) -> None:
        confirmation = theirs(ticker="MSFT", quantity="101", price="191", timestamp_ns=SECOND_NS + 5_000_000_000)
        assert summary(ours(), confirmation, booked("95.00")) == (
            State.MISMATCHED,
            ["PNL_INCONSISTENT", "PRICE_MISMATCH", "QUANTITY_MISMATCH", "TICKER_MISMATCH", "TIMESTAMP_DRIFT"],
        )

    def test_checks_come_in_the_order_of_the_rules(self) -> None:
        rules = Rules(name="backwards", checks=FOUNDING.checks[::-1])
        names = [check.name for check in judged(ours(), theirs(), rules=rules).checks]
        assert names == ["pnl", "timestamp", "price", "quantity", "ticker"]

    def test_a_check_that_is_off_opens_no_break(self) -> None:
        rules = Rules(name="no ticker", checks=FOUNDING.checks[1:])
        assert summary(ours(), theirs(ticker="MSFT"), rules=rules) == (State.MATCHED, [])

    def test_the_sample_of_the_founding_text(self) -> None:
        trade_verdict = judged(ours(), theirs(timestamp_ns=SECOND_NS - 100_000_000), booked("95.00"))
        assert (trade_verdict.state, trade_verdict.reasons) == (State.MISMATCHED, (Reason.PNL_INCONSISTENT,))
        assert trade_verdict.hints == (Hint.CONFIRM_BEFORE_EXECUTION, Hint.PNL_BASIS_SUSPECT)
        assert [check.outcome for check in trade_verdict.checks] == [PASS, PASS, PASS, Outcome.WITHIN_TOLERANCE, FAIL]


class TestConflicts:
    NOTE = "the legs contradict themselves"

    def test_a_contested_field_is_not_checked_the_others_are(self) -> None:
        trade_verdict = judged(ours(), ours(price="190.60"), theirs(quantity="101"))
        assert (trade_verdict.state, trade_verdict.reasons) == (
            State.MISMATCHED,
            (Reason.DUPLICATE_CONFLICT, Reason.QUANTITY_MISMATCH),
        )
        assert [check.outcome for check in trade_verdict.checks] == [PASS, FAIL, SKIPPED, PASS, SKIPPED]
        assert trade_verdict.checks[2] == Check(
            "price", Reason.PRICE_MISMATCH, Outcome.NOT_CHECKED, None, None, None, None, self.NOTE
        )
        assert trade_verdict.checks[4] == Check(
            "pnl", Reason.PNL_INCONSISTENT, Outcome.NOT_CHECKED, None, None, None, None, self.NOTE
        )

    @pytest.mark.parametrize(
        ("rival", "skipped"),
        [
            (ours(ticker="MSFT"), {0}),
            (ours(quantity="1"), {1, 4}),
            (ours(price="1"), {2, 4}),
            (ours(timestamp_ns=1), {3}),
            (ours(currency="JPY"), {4, 5}),
            (theirs(ticker="MSFT"), {0}),
            (theirs(quantity="1"), {1}),
            (theirs(price="1"), {2}),
            (theirs(timestamp_ns=1), {3}),
            (booked("1"), {4}),
            (booked(commission="1"), {4}),
            (booked(currency="JPY"), {4}),
        ],
    )
    def test_which_checks_a_field_feeds(self, rival: Leg, skipped: set[int]) -> None:
        legs = (ours(currency="USD"), theirs(), booked(currency="USD"), rival)
        assert summary(*legs) == (State.MISMATCHED, ["DUPLICATE_CONFLICT"])
        # The currency is sent by one side only, so its own check (5) proves nothing in any case.
        assert outcomes(*legs) == [SKIPPED if i in {*skipped, 5} else PASS for i in range(6)]

    @pytest.mark.parametrize(
        "legs",
        [
            (ours(order_id="1"), ours(order_id="2")),
            (theirs(side="BUY"), theirs(side="1"), ours()),
            (theirs(currency="USD"), theirs(currency="usd"), ours()),
            (booked(open_price=Decimal(1)), booked(open_price=Decimal(2)), ours()),
            (ours(), ours(side="BUY"), ours(side="BUY", account="A", currency="USD")),
            (booked(None), booked(), ours()),
        ],
    )
    def test_only_fields_that_a_check_reads_are_contested(self, legs: list[Leg]) -> None:
        pair = (ours(), theirs(), booked())
        missing = [leg for leg in pair if all(leg.source is not other.source for other in legs)]
        assert summary(*missing, *legs) == (State.MATCHED, [])
        assert {*outcomes(*missing, *legs)[:5]} == {PASS}
        assert {*outcomes(*missing, *legs)[5:]} <= {SKIPPED}

    @pytest.mark.parametrize("name", ["side", "currency", "account", "counterparty", "broker", "trade_date"])
    def test_an_attribute_is_contested_where_its_check_runs(self, name: str) -> None:
        legs = (ours(**{name: "A"}), ours(**{name: "B"}), theirs(**{name: "A"}))
        assert summary(*legs) == (State.MISMATCHED, ["DUPLICATE_CONFLICT"])
        assert judged(*legs).checks[5].note == self.NOTE
        nobody_reads = msgspec.structs.replace(FOUNDING, checks=FOUNDING.checks[:4], attributes=())
        assert judge_facts(arrived(*legs), FOREVER_NS, nobody_reads).state is State.MATCHED

    def test_a_check_that_is_off_contests_nothing(self) -> None:
        no_price = msgspec.structs.replace(FOUNDING, checks=(FOUNDING.checks[0], FOUNDING.checks[1]))
        found = judge_facts(arrived(ours(), ours(price="1"), theirs()), FOREVER_NS, no_price)
        assert (found.state, found.reasons) == (State.MATCHED, ())

    def test_a_currency_is_read_only_where_both_have_one(self) -> None:
        rivals = (ours(currency="USD"), ours(currency="JPY"), theirs())
        assert outcomes(*rivals, booked()) == [*[PASS] * 5, SKIPPED]
        assert outcomes(*rivals, booked(currency="USD"))[4] is SKIPPED
        snapshots = (booked(currency="USD"), booked(currency="JPY"), theirs())
        assert outcomes(*snapshots, ours()) == [PASS] * 5
        assert outcomes(*snapshots, ours(currency="USD"))[4] is SKIPPED

    @pytest.mark.parametrize("trade_id", ["T1", "T2", "T3", "T4", "T5", "T6"])
    def test_contested_fields_give_no_hint(self, trade_id: str) -> None:
        def both(leg: Any, **other: Any) -> list[Leg]:
            return [leg(trade_id=trade_id), leg(trade_id=trade_id, **other)]

        day = 86_400 * 10**9
        assert judged(*both(ours, timestamp_ns=SECOND_NS + day), theirs(trade_id=trade_id)).hints == ()
        assert judged(*both(theirs, timestamp_ns=SECOND_NS - day), ours(trade_id=trade_id)).hints == ()
        execution = ours(price="300.10", quantity="200")
        rivals = [theirs(price="300.05", quantity="200", currency=name) for name in ("USD", "JPY")]
        found = judged(execution, *rivals, booked("60009", "1", currency="USD"))
        assert found.reasons == (Reason.DUPLICATE_CONFLICT, Reason.PNL_INCONSISTENT, Reason.PRICE_MISMATCH)
        assert found.hints == ()

    def test_spelling_is_no_conflict(self) -> None:
        assert summary(ours(), ours(granularity=9), theirs()) == (State.MATCHED, [])

    def test_a_newer_version_ends_a_conflict(self) -> None:
        assert summary(ours(), ours(price="190.60"), ours(version=2), theirs()) == (State.MATCHED, [])

    def test_a_one_sided_trade_reports_its_conflict(self) -> None:
        assert summary(ours(), ours(price="1")) == (
            State.UNMATCHED,
            ["DUPLICATE_CONFLICT", "MISSING_CONFIRMATION"],
        )


class TestOneSided:
    def test_no_confirmation(self) -> None:
        assert judged(ours()) == Verdict(
            State.UNMATCHED, (Reason.MISSING_CONFIRMATION,), unchecked("the other side is missing"), ()
        )

    def test_no_execution(self) -> None:
        assert judged(theirs()) == Verdict(
            State.UNMATCHED, (Reason.MISSING_EXECUTION,), unchecked("the other side is missing"), ()
        )

    def test_a_snapshot_is_no_partner_and_no_trade(self) -> None:
        assert summary(ours(), booked()) == (State.UNMATCHED, ["MISSING_CONFIRMATION"])
        assert judged(booked()) == Verdict(State.PENDING, (), (), ())
        assert judge_facts((), FOREVER_NS, FOUNDING) == Verdict(State.PENDING)

    @pytest.mark.parametrize("leg", [ours(), theirs(), ours(kind=CANCEL)])
    def test_it_waits_for_its_partner_until_the_grace_is_over(self, leg: Leg) -> None:
        facts = arrived(leg, received_at_ns=1_000)
        assert judge_facts(facts, 1_000 + GRACE_NS - 1, FOUNDING) == Verdict(State.PENDING)
        assert judge_facts(facts, 1_000 + GRACE_NS, FOUNDING).state is State.UNMATCHED

    def test_hints_of_the_one_leg(self) -> None:
        assert judged(ours(hints=(Hint.NORMALISED,), version=2)).hints == (Hint.NORMALISED, Hint.VERSION_GAP)
        assert judged(theirs(hints=(Hint.LEAP_SECOND,))).hints == (Hint.LEAP_SECOND,)


class TestRequiredPnl:
    def test_a_pair_waits_for_its_snapshot(self) -> None:
        facts = arrived(ours(), theirs(), received_at_ns=1_000)
        assert judge_facts(facts, 1_000 + GRACE_NS - 1, REQUIRED) == Verdict(State.PENDING)
        late = judge_facts(facts, 1_000 + GRACE_NS, REQUIRED)
        assert (late.state, late.reasons) == (State.MISMATCHED, (Reason.MISSING_PNL,))
        assert [check.outcome for check in late.checks] == [PASS, PASS, PASS, PASS, SKIPPED]

    def test_with_its_snapshot_it_waits_for_nothing(self) -> None:
        assert summary(ours(), theirs(), booked(), rules=REQUIRED, watermark_ns=0) == (State.MATCHED, [])

    def test_missing_beside_other_reasons(self) -> None:
        assert summary(ours(), theirs(price="1"), rules=REQUIRED) == (
            State.MISMATCHED,
            ["MISSING_PNL", "PRICE_MISMATCH"],
        )

    def test_a_one_sided_trade_misses_its_partner_only(self) -> None:
        assert summary(ours(), rules=REQUIRED) == (State.UNMATCHED, ["MISSING_CONFIRMATION"])


class TestCancels:
    """F08 to F12."""

    def test_cancelled_before_any_confirmation(self) -> None:
        legs = (ours(), ours(version=2, kind=CANCEL))
        assert judged(*legs) == Verdict(State.CANCELLED, (), unchecked("cancelled"), ())
        assert judged(*legs, watermark_ns=GRACE_NS - 1) == Verdict(State.PENDING)

    def test_the_confirmation_alone_cancelled(self) -> None:
        assert summary(theirs(), theirs(kind=CANCEL)) == (State.CANCELLED, [])

    @pytest.mark.parametrize("legs", [(ours(kind=CANCEL), theirs()), (ours(), theirs(kind=CANCEL))])
    def test_one_side_cancelled_the_other_not(self, legs: tuple[Leg, Leg]) -> None:
        assert judged(*legs, watermark_ns=0) == Verdict(
            State.MISMATCHED, (Reason.CANCELLED_ONE_SIDE,), unchecked("cancelled"), ()
        )

    def test_the_side_that_is_not_cancelled_reports_its_conflict(self) -> None:
        assert summary(ours(kind=CANCEL), theirs(), theirs(price="1")) == (
            State.MISMATCHED,
            ["CANCELLED_ONE_SIDE", "DUPLICATE_CONFLICT"],
        )

    def test_both_sides_cancelled(self) -> None:
        legs = (ours(), ours(version=2, kind=CANCEL), theirs(kind=CANCEL), booked("1"))
        assert judged(*legs, watermark_ns=0) == Verdict(State.CANCELLED, (), unchecked("cancelled"), ())

    def test_a_cancel_of_an_unknown_trade(self) -> None:
        for leg in (ours(kind=CANCEL), theirs(kind=CANCEL)):
            assert judged(leg) == Verdict(
                State.UNMATCHED, (Reason.CANCEL_UNKNOWN_TRADE,), unchecked("the other side is missing"), ()
            )

    def test_reinstated(self) -> None:
        assert summary(ours(), ours(version=2, kind=CANCEL), ours(version=3), theirs()) == (State.MATCHED, [])

    def test_hints_stay(self) -> None:
        assert judged(ours(version=2, kind=CANCEL, hints=(Hint.NORMALISED,)), theirs()).hints == (
            Hint.NORMALISED,
            Hint.VERSION_GAP,
        )
        both = judged(ours(kind=CANCEL, hints=(Hint.NORMALISED,)), theirs(kind=CANCEL, hints=(Hint.LEAP_SECOND,)))
        assert (both.state, both.hints) == (State.CANCELLED, (Hint.LEAP_SECOND, Hint.NORMALISED))


class TestHints:
    def test_what_was_sent(self) -> None:
        trade_verdict = judged(
            ours(hints=(Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE)),
            theirs(hints=(Hint.NORMALISED,), version=3),
            booked(hints=(Hint.ALIAS,)),
        )
        assert trade_verdict.hints == (Hint.ALIAS, Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE, Hint.VERSION_GAP)

    @pytest.mark.parametrize(("drift_ns", "hinted"), [(-1, True), (0, False), (1, False)])
    def test_a_confirmation_before_its_execution(self, drift_ns: int, hinted: bool) -> None:
        hints = judged(ours(), theirs(timestamp_ns=SECOND_NS + drift_ns)).hints
        assert hints == ((Hint.CONFIRM_BEFORE_EXECUTION,) if hinted else ())

    def test_two_sides_of_midnight(self) -> None:
        midnight_ns = 1_753_574_400_000_000_000
        before, after = midnight_ns - 1, midnight_ns
        assert judged(ours(timestamp_ns=before), theirs(timestamp_ns=after)).hints == (Hint.TRADE_DATE_ROLL,)
        assert judged(ours(timestamp_ns=after), theirs(timestamp_ns=before)).hints == (
            Hint.CONFIRM_BEFORE_EXECUTION,
            Hint.TRADE_DATE_ROLL,
        )
        assert judged(ours(timestamp_ns=after), theirs(timestamp_ns=after + 1)).hints == ()

    def test_a_foreign_snapshot(self) -> None:
        trade_verdict = judged(ours(currency="USD"), theirs(), booked(currency="JPY"))
        assert (trade_verdict.state, trade_verdict.hints) == (State.MATCHED, (Hint.FX_RATE_UNAVAILABLE,))
        assert trade_verdict.checks[4].outcome is SKIPPED

    @pytest.mark.parametrize(
        ("here", "there", "hinted"),
        [
            ("0.3", "0.30000000000000004", True),
            ("0.30000000000000004", "0.3", True),
            ("1.1", "1.0999999999999989", True),  # apart by exactly 1E-15 of the larger
            ("1.1", "1.0999999999999988", False),
            ("1.1", "1.100000000000001", True),  # 16 digits, within 1E-15 of the larger
            ("1", "1.000000000000001", True),  # exactly 16 digits
            ("1.1", "1.100000000000002", False),  # too far apart
            ("9007199254740993", "9007199254740992", True),
            ("100", "99.999999999", False),  # too few digits
            ("100", "101", False),
            ("100", "99.99999999999", False),
        ],
    )
    def test_float_noise(self, here: str, there: str, hinted: bool) -> None:
        noisy = (Hint.LOOKS_LIKE_FLOAT_NOISE,) if hinted else ()
        assert judged(ours(quantity=here), theirs(quantity=there)).hints == noisy
        tight = Rules(name="tight", checks=(Price(tolerance=NOTHING),))
        assert judged(ours(price=here), theirs(price=there), rules=tight).hints == noisy
        assert judged(ours(price=f"-{here}"), theirs(price=f"-{there}"), rules=tight).hints == noisy

    def test_float_noise_that_is_tolerated_is_no_hint(self) -> None:
        assert judged(ours(price="0.3"), theirs(price="0.30000000000000004")).hints == ()

    @pytest.mark.parametrize(
        ("price", "impact", "hinted"),
        [
            ("190.50", "95.00", True),
            ("190.50", "0", True),
            ("190.50", "-95.00", True),
            ("-190.50", "95.00", True),
            ("190.50", "1904.99", True),
            ("190.50", "1905", False),  # a tenth of the notional
            ("190.50", "-1905", False),
            ("190.50", "-1904.99", True),
            ("190.50", "9000", False),
            ("190.50", "19048", False),
            ("190.50", "190500", False),
        ],
    )
    def test_a_basis_to_suspect(self, price: str, impact: str, hinted: bool) -> None:
        trade_verdict = judged(ours(price=price), theirs(price=price), booked(impact))
        assert trade_verdict.reasons == (Reason.PNL_INCONSISTENT,)
        assert trade_verdict.hints == ((Hint.PNL_BASIS_SUSPECT,) if hinted else ())

    @pytest.mark.parametrize(
        ("commission", "impact", "hinted"),
        [
            ("50", "0", False),  # off by exactly half the notional
            ("49.999999", "0", True),
            ("50", "-0.000001", True),
            ("50", "0.000001", False),
            ("150", "0", False),
            ("150.000001", "0", True),
        ],
    )
    def test_a_basis_is_suspect_when_off_by_more_than_half_the_notional(
        self, commission: str, impact: str, hinted: bool
    ) -> None:
        trade_verdict = judged(ours(price="1"), theirs(price="1"), booked(impact, commission))
        assert trade_verdict.hints == ((Hint.PNL_BASIS_SUSPECT,) if hinted else ())

    @pytest.mark.parametrize(
        ("confirmation", "impact", "commission", "hinted"),
        [
            (theirs(price="300.05", quantity="200"), "60009", "1", True),
            (theirs(price="300.05", quantity="200"), "60009.5", "1", True),
            (theirs(price="300.05", quantity="200"), "60008", "1", False),
            (theirs(price="300.10", quantity="201"), "60319.10", "1", True),
            (theirs(price="300.10", quantity="201"), "60000", "1", False),
        ],
    )
    def test_a_snapshot_that_fits_the_confirmation(
        self, confirmation: Leg, impact: str, commission: str, hinted: bool
    ) -> None:
        trade_verdict = judged(ours(price="300.10", quantity="200"), confirmation, booked(impact, commission))
        assert Reason.PNL_INCONSISTENT in trade_verdict.reasons
        assert trade_verdict.hints == ((Hint.PNL_FITS_CONFIRMATION,) if hinted else ())

    def test_it_fits_the_confirmation_only_if_the_terms_differ(self) -> None:
        moved = theirs(timestamp_ns=SECOND_NS + 10**9, ticker="MSFT")
        assert judged(ours(), moved, booked("19048")).hints == ()

    def test_it_fits_the_confirmation_also_where_the_price_is_tolerated(self) -> None:
        within = judged(ours(), theirs(price="190.505"), booked("19041.2", "10"))
        assert within.reasons == (Reason.PNL_INCONSISTENT,)
        assert within.hints == (Hint.PNL_FITS_CONFIRMATION,)

    def test_a_foreign_confirmation_fits_nothing(self) -> None:
        execution = ours(price="300.10", quantity="200")
        confirmation = theirs(price="300.05", quantity="200", currency="JPY")
        trade_verdict = judged(execution, confirmation, booked("60009", "1", currency="USD"))
        assert trade_verdict.reasons == (Reason.PNL_INCONSISTENT, Reason.PRICE_MISMATCH)
        assert trade_verdict.hints == ()

    def test_both_hints_of_a_failed_pnl(self) -> None:
        trade_verdict = judged(ours(), theirs(price="0.01"), booked("0.5"))
        assert trade_verdict.hints == (Hint.PNL_BASIS_SUSPECT, Hint.PNL_FITS_CONFIRMATION)


def test_a_failed_pnl_without_an_operand_gives_no_hint() -> None:
    failed = [Reason.PNL_INCONSISTENT, Reason.PRICE_MISMATCH]
    for pnl in ([], [booked(None)], [booked("18000", commission=None)]):
        assert list(failure_hints(failed, sides_of(arrived(ours(), theirs(), *pnl)), FOUNDING)) == []
    bare = theirs(kind=Kind.CANCEL, price=None, quantity=None)
    failed.append(Reason.QUANTITY_MISMATCH)
    assert list(failure_hints(failed, sides_of(arrived(ours(), bare, booked("18000"))), FOUNDING)) == []
    bare_of_ours = ours(kind=Kind.CANCEL, price=None, quantity=None)
    hints = failure_hints(failed, sides_of(arrived(bare_of_ours, theirs(), booked())), FOUNDING)
    assert list(hints) == [Hint.PNL_FITS_CONFIRMATION]
    assert list(failure_hints(failed, sides_of(arrived(ours(), booked("18000"))), FOUNDING)) == []


def test_judge_is_verdict_on_sides() -> None:
    facts = arrived(ours(), theirs(price="1"), booked())
    assert judge(sides_of(facts), FOREVER_NS, FOUNDING) == judge_facts(facts, FOREVER_NS, FOUNDING)


@pytest.mark.parametrize(
    ("snapshot", "cause"),
    [
        (booked(commission=None), "commission is absent"),
        (booked(None), "pnl_impact is absent"),
        (booked(currency="JPY"), "JPY against USD, no rate"),
    ],
)
def test_a_required_snapshot_that_proves_nothing_is_missing_and_the_check_says_why(
    snapshot: PnlSnapshot, cause: str
) -> None:
    legs = (ours(currency="USD"), theirs(), snapshot)
    assert judged(*legs, rules=REQUIRED, watermark_ns=0) == Verdict(State.PENDING)
    late = judged(*legs, rules=REQUIRED)
    assert (late.state, late.reasons) == (State.MISMATCHED, (Reason.MISSING_PNL,))
    assert late.checks[4].note == cause
    assert summary(*legs, booked(version=2), rules=REQUIRED, watermark_ns=0) == (State.MATCHED, [])


def test_a_required_snapshot_may_be_any_where_nothing_checks_it() -> None:
    unchecked_pnl = msgspec.structs.replace(REQUIRED, checks=REQUIRED.checks[:-1])
    assert summary(ours(), theirs(), rules=unchecked_pnl) == (State.MISMATCHED, [Reason.MISSING_PNL])
    assert summary(ours(), theirs(), booked(None), rules=unchecked_pnl) == (State.MATCHED, [])


def test_a_contested_price_of_the_broker_is_not_computed_with() -> None:
    """Where the pnl check takes the broker's price; nor is a snapshot incomplete by it."""
    rule = Pnl(
        tolerance=Absolute(amount=Decimal(1)),
        price_source=OperandSource.CONFIRMATION,
        incomplete=Incomplete.BREAK,
    )
    rules = msgspec.structs.replace(FOUNDING, checks=(*FOUNDING.checks[:4], rule))
    found = judge_facts(arrived(ours(), theirs(), theirs(price="1"), booked()), FOREVER_NS, rules)
    assert found.reasons == (Reason.DUPLICATE_CONFLICT,)
    assert (found.checks[4].outcome, found.checks[4].note) == (SKIPPED, TestConflicts.NOTE)


def test_a_snapshot_that_contradicts_itself_is_not_incomplete() -> None:
    rule = msgspec.structs.replace(FOUNDING.checks[4], incomplete=Incomplete.BREAK)
    rules = msgspec.structs.replace(FOUNDING, checks=(*FOUNDING.checks[:4], rule))
    found = judge_facts(arrived(ours(), theirs(), booked(), booked(commission="1")), FOREVER_NS, rules)
    assert found.reasons == (Reason.DUPLICATE_CONFLICT,)
    assert found.checks[4].reason is Reason.PNL_INCONSISTENT


def test_a_realised_pnl_is_small_and_no_suspect() -> None:
    rule = msgspec.structs.replace(FOUNDING.checks[4], basis=Basis.REALIZED)
    rules = msgspec.structs.replace(FOUNDING, checks=(*FOUNDING.checks[:4], rule))
    legs = (ours(side="SELL"), theirs(side="SELL"), booked("80", open_price=Decimal("189.545")))
    found = judge_facts(arrived(*legs), FOREVER_NS, rules)
    assert (found.reasons, found.hints) == ((Reason.PNL_INCONSISTENT,), ())


def test_a_leg_that_lacks_a_checked_term_is_a_break() -> None:
    """It was accepted where the check was off; these rules have it."""
    lacking = msgspec.structs.replace(theirs(), price=None)
    verdict = judge_facts(arrived(ours(), lacking), FOREVER_NS, FOUNDING)
    assert (verdict.state, verdict.reasons) == (State.MISMATCHED, (Reason.PRICE_MISMATCH,))
