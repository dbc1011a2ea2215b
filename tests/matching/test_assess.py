"""What a break is about: the money at stake, its severity, and what would clear it."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from assessed import assessed, judged
from hypothesis import given
from hypothesis import strategies as st
from legs import arrived, booked, ours, theirs

from traderecon.matching import sides_of
from traderecon.matching.assess import assess
from traderecon.matching.closed import ORPHAN_LATE
from traderecon.records import (
    Assessment,
    Kind,
    Leg,
    Remedy,
    Severity,
    Source,
    Stake,
    State,
)
from traderecon.rules import FOUNDING, Absolute, Attribute, AttributeName, Rules
from traderecon.rules.file import parse_rules

D = Decimal
OURS, THEIRS = Source.EXECUTIONS, Source.CONFIRMATIONS
MS = 1_000_000


def at_stake(*legs: Leg) -> str | None:
    amount = assessed(*legs).stake.amount
    return None if amount is None else format(amount, "f")


def cleared_by(*legs: Leg, rules: Rules = FOUNDING) -> set[tuple[str, str]]:
    """Each remedy as (what changes, to which value)."""
    return {
        (f"{'>' if remedy.above else '>='} {remedy.check}", str(remedy.value))
        if remedy.field is None
        else (".".join(remedy.field), str(remedy.value))
        for remedy in assessed(*legs, rules=rules).would_clear
    }


class TestStake:
    def test_a_trade_that_agrees_is_not_assessed(self) -> None:
        agreeing: list[list[Leg]] = [[ours(), theirs()], [ours(), theirs(price="190.505")], [booked()]]
        for legs in agreeing:
            assert judged(*legs)[2] is None
        cancelled: list[Leg] = [ours(kind=Kind.CANCEL), theirs(kind=Kind.CANCEL)]
        assert judged(*cancelled)[1].state is State.CANCELLED
        assert judged(*cancelled)[2] is None

    @pytest.mark.parametrize(
        ("legs", "stake"),
        [
            ([ours(), theirs(price="191")], "50"),
            ([ours(price="191"), theirs()], "50"),
            ([ours(), theirs(quantity="101")], "190.5"),
            ([ours(quantity="10"), theirs(price="191", quantity="11")], "196"),  # 0.5 * 10 + 1 * 191
            ([ours(price="-37.63"), theirs(price="37.63")], "7526"),
            ([ours(), theirs(price="-190.5", quantity="101")], "38290.5"),  # 381 * 100 + 1 * 190.5
            ([ours(), theirs(timestamp_ns=0)], "0"),
            ([ours(), theirs(price="190.504", timestamp_ns=0)], "0.4"),  # what is tolerated counts in a break
            ([ours()], "19050"),
            ([theirs()], "19050"),
            ([ours(), theirs(ticker="MSFT")], "19050"),
            ([ours(), theirs(ticker="MSFT", price="1", quantity="1")], "19050"),
            ([ours(side="BUY"), theirs(side="SELL")], "19050"),
            ([ours(currency="USD"), theirs(currency="EUR")], "19050"),
            ([ours(kind=Kind.CANCEL), theirs(price="191")], "19100"),  # the broker still has it
            ([ours(), theirs(kind=Kind.CANCEL, price="191")], "19050"),
            ([ours(), theirs(), booked("95.00")], "18954.5"),
            ([ours(), theirs(price="191"), booked("19099.5")], "50"),  # one cause shows twice, and counts once
            ([ours(), theirs(price="191"), booked("95.00")], "18954.5"),
            ([ours(commission=D("1.5")), theirs(commission=D("2.25"))], "0.75"),
            ([ours(commission=D("1.5")), theirs(commission=D("2.25"), price="191")], "50.75"),
            ([ours(account="A"), theirs(account="B")], "0"),
            ([ours(), ours(price="200"), theirs()], "20000"),  # a side that contradicts itself: its largest
            ([ours(), theirs(), theirs(price="200")], "20000"),  # though it is not the execution
            ([ours(), ours(price="200"), theirs(price="300"), theirs()], "30000"),
            ([ours(), ours(price="200"), theirs(price="300")], "20000"),  # and not of the side that does not
            ([ours(), ours(price="300"), theirs(price="200"), theirs()], "30000"),
            ([ours(account="A"), ours(account="B"), theirs()], "0"),
            # A multiplier in which a side contradicts itself is not 1.
            ([ours(contract_multiplier=D(50)), ours(contract_multiplier=D(5)), theirs(price="191")], "952500"),
            # One that only one of two rows has is that of both.
            ([ours(contract_multiplier=D(50)), ours(price="191"), theirs()], "955000"),
            ([ours(contract_multiplier=D(50)), theirs(price="191")], "2500"),
            ([ours(contract_multiplier=D(50))], "952500"),
            ([theirs(kind=Kind.CANCEL)], "19050"),  # of an unknown trade
            ([theirs(kind=Kind.CANCEL, price=None)], None),
        ],
    )
    def test_the_money_that_a_break_is_about(self, legs: list[Leg], stake: str | None) -> None:
        assert at_stake(*legs) == stake

    @pytest.mark.parametrize("field", ["price", "quantity"])
    def test_without_a_term_of_either_side_only_what_a_check_found_is_known(self, field: str) -> None:
        absent: dict[str, Any] = {field: None}
        for side in OURS, THEIRS:
            legs: list[Leg] = [ours(account="A", commission=D("1.5")), theirs(account="B", commission=D("2.25"))]
            legs = [msgspec.structs.replace(leg, **absent) if leg.source is side else leg for leg in legs]
            assert at_stake(*legs) == "0.75"

    def test_terms_that_nobody_sent_leave_the_stake_unknown_but_a_check_may_know_it(self) -> None:
        without = msgspec.structs.replace(theirs(), price=None, account="B")
        assert at_stake(ours(account="A"), without) is None
        assert at_stake(ours(account="A"), without, booked("95.00")) == "18954.5"
        assert at_stake(msgspec.structs.replace(ours(), quantity=None)) is None

    @pytest.mark.parametrize(
        ("legs", "currency"),
        [
            ([ours()], None),
            ([ours(currency="usd")], "USD"),
            ([theirs(currency="EUR")], "EUR"),
            ([ours(currency="USD"), theirs(currency="EUR")], "USD"),
            ([ours(), theirs(currency="EUR", price="1")], "EUR"),
            ([ours(currency="USD"), ours(currency="EUR"), theirs(currency="EUR")], None),
            ([theirs(kind=Kind.CANCEL, price=None, currency="EUR")], "EUR"),  # of an unknown amount
            (
                [msgspec.structs.replace(ours(price=price, currency="EUR"), quantity=None) for price in ("190", "191")],
                "EUR",
            ),
            ([ours(kind=Kind.CANCEL, currency="EUR"), theirs(currency="USD")], "USD"),  # of the side whose amount it is
            ([ours(currency="EUR"), theirs(kind=Kind.CANCEL, currency="USD")], "EUR"),
        ],
    )
    def test_its_currency_is_the_executions_else_the_confirmations(self, legs: list[Leg], currency: str | None) -> None:
        assert assessed(*legs).stake.currency == currency

    def test_a_side_of_two_legs_that_complete_each_other_has_a_notional(self) -> None:
        parts = [msgspec.structs.replace(ours(), price=None), msgspec.structs.replace(ours(), quantity=None)]
        assert at_stake(*parts) == "19050"

    def test_a_late_leg_is_about_all_of_itself(self) -> None:
        assert assess(sides_of(arrived(ours())), ORPHAN_LATE, FOUNDING) == Assessment(Stake(D(19050)), Severity.HIGH)


AMOUNTS = st.decimals(min_value=D("-1E6"), max_value=D("1E6"), places=9, allow_nan=False, allow_infinity=False)
QUANTITIES = st.decimals(min_value=D("1E-9"), max_value=D("1E6"), places=9, allow_nan=False, allow_infinity=False)


@given(AMOUNTS, QUANTITIES, AMOUNTS, QUANTITIES)
def test_the_stake_of_a_pair_is_exact(price: D, quantity: D, price_c: D, quantity_c: D) -> None:
    """Worked out in fractions."""
    execution = msgspec.structs.replace(ours(), price=price, quantity=quantity)
    confirmation = msgspec.structs.replace(theirs(timestamp_ns=0), price=price_c, quantity=quantity_c)
    amount = assessed(execution, confirmation).stake.amount
    p, q, pc, qc = map(Fraction, (price, quantity, price_c, quantity_c))
    assert amount is not None
    assert Fraction(amount) == abs(p - pc) * q + abs(q - qc) * abs(pc)
    assert Fraction(amount) >= abs(p * q - pc * qc)  # never less than the difference of the notionals


class TestWouldClear:
    @pytest.mark.parametrize(
        ("legs", "changes"),
        [
            (
                [ours(), theirs(price="190.506")],
                {
                    (">= price", "0.006"),
                    ("executions.price", "190.506"),
                    ("broker_confirmations.price", "190.50"),
                },
            ),
            (
                [ours(), theirs(quantity="101")],
                {(">= quantity", "1"), ("executions.quantity", "101"), ("broker_confirmations.quantity", "100")},
            ),
            (
                [ours(), theirs(ticker="MSFT")],
                {("executions.ticker", "MSFT"), ("broker_confirmations.ticker", "AAPL")},
            ),
            (
                [ours(timestamp_ns=0), theirs(timestamp_ns=101 * MS)],
                {
                    (">= timestamp", str(101 * MS)),
                    ("executions.timestamp_ns", str(101 * MS)),
                    ("broker_confirmations.timestamp_ns", "0"),
                },
            ),
            ([ours(), theirs(), booked("19050.50")], {("> pnl", "1.00"), ("pnl_snapshot.pnl_impact", "19049.50")}),
            # One cause, two symptoms: our price is wrong, and accounting booked the broker's.
            ([ours(), theirs(price="191"), booked("19099.5")], {("executions.price", "191")}),
            ([ours(quantity="20"), theirs(quantity="21"), booked("4000", "0.5")], {("executions.quantity", "21")}),
            # The broker is wrong, and accounting agrees with us: our price must not follow.
            (
                [ours(), theirs(price="191"), booked()],
                {(">= price", "0.50"), ("broker_confirmations.price", "190.50")},
            ),
            ([ours(), theirs(price="191", quantity="101")], set()),
            ([ours(), theirs(price="191"), booked("1")], set()),
            ([ours()], set()),
            ([ours(), ours(price="191"), theirs()], set()),
            ([ours(kind=Kind.CANCEL), theirs()], set()),
            (
                [ours(side="BUY"), theirs(side="SELL")],
                {("executions.side", "SELL"), ("broker_confirmations.side", "BUY")},
            ),
            (
                [ours(commission=D(1)), theirs(commission=D(3))],
                {(">= commission", "2"), ("executions.commission", "3"), ("broker_confirmations.commission", "1")},
            ),
        ],
    )
    def test_each_single_change_that_would_clear_it(self, legs: list[Leg], changes: set[tuple[str, str]]) -> None:
        assert cleared_by(*legs) == changes

    def test_a_field_that_must_be_present_may_be_sent(self) -> None:
        rules = msgspec.structs.replace(
            FOUNDING, checks=(*FOUNDING.checks, Attribute(AttributeName.ACCOUNT, must_be_present=True)), attributes=()
        )
        assert cleared_by(ours(account="A"), theirs(), rules=rules) == {("broker_confirmations.account", "A")}
        assert cleared_by(ours(), theirs(), rules=rules) == set()

    def test_a_missing_snapshot_is_no_single_change(self) -> None:
        rules = msgspec.structs.replace(FOUNDING, pnl_required=True)
        assert cleared_by(ours(), theirs(), rules=rules) == set()
        assert cleared_by(ours(), theirs(price="191"), rules=rules) == set()
        legs: list[Leg] = [ours(currency="USD"), theirs(currency="EUR"), booked(currency="USD")]
        assert cleared_by(*legs, rules=rules) == {
            ("broker_confirmations.currency", "USD")
        }  # EUR has no rate for the pnl

    def test_a_required_snapshot_may_be_sent_with_the_amount_that_is_expected(self) -> None:
        rules = msgspec.structs.replace(FOUNDING, pnl_required=True)
        changes = {("> pnl", "1.00"), ("pnl_snapshot.pnl_impact", "19049.50")}
        assert cleared_by(ours(), theirs(), booked("19050.50"), rules=rules) == changes

    def test_a_side_that_is_wrong_may_show_in_the_pnl_too(self) -> None:
        rules = parse_rules('name = "x"\nchecks.pnl.basis = "cash_flow"')
        legs: list[Leg] = [ours(side="BUY"), theirs(side="SELL"), booked()]
        assert cleared_by(*legs, rules=rules) == {("executions.side", "SELL")}

    def test_a_changed_value_is_judged_by_the_override_of_its_trade(self) -> None:
        rules = parse_rules(
            'name = "x"\n[[override]]\nbroker = "A"\nchecks.pnl.tolerance.absolute = 5\n'
            "[override.checks.price.tolerance]\nabsolute = 0.01"
        )
        legs: list[Leg] = [ours(broker="A"), theirs(price="190.52"), booked("19055.50")]
        assert assessed(*legs, rules=rules).would_clear == (Remedy("price", D("190.52"), (OURS, "price")),)

    def test_a_snapshot_that_lacks_an_amount_cannot_be_changed_to_another(self) -> None:
        rules = parse_rules('name = "x"\n[checks.pnl]\nincomplete = "break"')
        assert cleared_by(ours(), theirs(), booked("19049.5", None), rules=rules) == set()


PRICES = st.sampled_from([None, "190.50", "190.504", "190.51", "191"])
SMALL = st.sampled_from(["100", "101", "99.5"])


@given(
    our=st.tuples(PRICES, SMALL),
    their=st.tuples(PRICES, SMALL),
    drift_ns=st.sampled_from([0, 100 * MS, 100 * MS + 1]),
    ticker=st.sampled_from(["AAPL", "MSFT"]),
    impact=st.sampled_from([None, "19049.50", "19099.5", "19240", "95"]),
)
def test_every_remedy_clears_its_break_and_a_tolerance_is_the_smallest(
    our: tuple[str | None, str],
    their: tuple[str | None, str],
    drift_ns: int,
    ticker: str,
    impact: str | None,
) -> None:
    execution = ours(price=our[0] or "190.50", quantity=our[1])
    confirmation = theirs(
        price=their[0] or "190.50",
        quantity=their[1],
        ticker=ticker,
        timestamp_ns=execution.timestamp_ns + drift_ns,  # type: ignore[operator]
    )
    legs: list[Leg] = [execution, confirmation, *([booked(impact)] if impact else [])]
    _, verdict, assessment = judged(*legs)
    for remedy in () if assessment is None else assessment.would_clear:
        changed, narrower = remedied(legs, remedy)
        assert judged(*changed[0], rules=changed[1])[1].state is State.MATCHED
        if narrower is not None:
            assert judged(*legs, rules=narrower)[1].state is State.MISMATCHED
    if len(verdict.reasons) == 1 and verdict.reasons != ("TICKER_MISMATCH",):
        assert assessment is not None
        assert assessment.would_clear  # one difference always has an answer


def remedied(legs: list[Leg], remedy: Remedy) -> tuple[tuple[list[Leg], Rules], Rules | None]:
    """The legs and rules with the remedy, and for a tolerance rules that are just too narrow."""
    if remedy.field is not None:
        source, field = remedy.field
        changes: dict[str, Any] = {field: remedy.value}
        return (
            [msgspec.structs.replace(leg, **changes) if leg.source is source else leg for leg in legs],
            FOUNDING,
        ), None
    step = 1 if remedy.check == "timestamp" else D("1E-18")
    assert isinstance(remedy.value, D | int)
    enough = remedy.value + step if remedy.above else remedy.value
    too_narrow = remedy.value if remedy.above else remedy.value - step
    return (legs, with_tolerance(remedy.check, enough)), with_tolerance(remedy.check, too_narrow)


def with_tolerance(name: str, size: D | int) -> Rules:
    def changed(rule: Any) -> Any:
        if rule.name != name:
            return rule
        if name == "timestamp":
            return msgspec.structs.replace(rule, tolerance_ns=size)
        return msgspec.structs.replace(rule, tolerance=Absolute(amount=D(size), bound=rule.tolerance.bound))

    return msgspec.structs.replace(FOUNDING, checks=tuple(map(changed, FOUNDING.checks)))


class TestSeverity:
    def test_the_most_urgent_reason_decides_by_default(self) -> None:
        assert assessed(ours(), theirs(price="191", timestamp_ns=0)).severity is Severity.HIGH
        assert assessed(theirs()).severity is Severity.CRITICAL
        assert assessed(ours(), theirs(timestamp_ns=0)).escalation is None

    def test_the_first_row_of_the_table_that_fits_decides(self) -> None:
        rules = parse_rules(
            """
            name = "desk"
            [[severity]]
            reason = "TIMESTAMP_DRIFT"
            stake_below = "1"
            currency = "USD"
            severity = "low"
            [[severity]]
            reason = "PRICE_MISMATCH"
            stake_at_least = 50
            currency = "USD"
            severity = "critical"
            [[severity]]
            currency = "EUR"
            severity = "medium"
            [[severity]]
            open_hours = 24
            severity = "critical"
            [[severity]]
            open_hours = 4
            severity = "high"
            """
        )

        def of(*legs: Leg) -> tuple[str, tuple[int | None, str] | None]:
            found = assessed(*legs, rules=rules)
            return found.severity, found.escalation

        usd, eur = {"currency": "USD"}, {"currency": "EUR"}
        assert of(ours(**usd), theirs(timestamp_ns=0)) == ("low", (4, "high"))
        assert of(ours(**usd), theirs(price="191")) == ("critical", None)
        assert of(ours(**usd), theirs(price="190.999")) == ("high", (24, "critical"))  # 49.90
        assert of(ours(), theirs(price="191")) == ("high", (24, "critical"))  # no currency is not USD
        assert of(ours(**eur)) == ("medium", (4, "high"))
        assert of(theirs(kind=Kind.CANCEL, price=None, **usd)) == ("high", (24, "critical"))  # unknown stake
