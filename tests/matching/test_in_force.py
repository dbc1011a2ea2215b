"""Overrides applied to a trade: which values select, what the checks say, what the whole verdict depends on."""

from decimal import Decimal

import msgspec
import pytest
from legs import SECOND_NS, arrived, booked, ours, theirs

from traderecon.matching import judge_facts, sides_of
from traderecon.matching.assess import assess
from traderecon.matching.in_force import InForce, rules_of
from traderecon.records import Check, Confirmation, Execution, Hint, Leg, Outcome, Reason, Source, State, Verdict
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import parse_rules

D = Decimal
RULES = parse_rules("""
    name = "desk"
    [[override]]
    broker = "BRKA"
    checks.price.tolerance.absolute = "0.01"
    checks.pnl.tolerance.absolute = 5
    checks.commission.tolerance.absolute = "0.1"
    [[override]]
    effective_from = 2030-01-01T00:00:00Z
    checks.quantity.tolerance.absolute = 1
""")


def judged(*legs: Leg, rules: Rules = RULES) -> Verdict:
    return judge_facts(arrived(*legs), FOREVER_NS, rules)


def check(name: str, *legs: Leg, rules: Rules = RULES) -> Check:
    return next(check for check in judged(*legs, rules=rules).checks if check.name == name)


def in_force(*legs: Leg) -> InForce:
    sides = sides_of(arrived(*legs))
    assert sides.execution is not None
    assert sides.confirmation is not None
    return rules_of(RULES, sides.execution, sides.confirmation, sides.contested)


def test_without_overrides_the_rules_are_the_same_object() -> None:
    execution, confirmation = ours(), theirs()
    found = rules_of(FOUNDING, execution, confirmation, frozenset())
    assert found.rules is FOUNDING
    assert found.overrides == {}


@pytest.mark.parametrize(
    ("legs", "applies"),
    [
        ((ours(broker="BRKA"), theirs()), True),
        ((ours(), theirs(broker="BRKA")), True),
        ((ours(broker="BRKA"), theirs(broker="BRKA")), True),
        ((ours(broker="BRKA"), theirs(broker="BRKB")), False),
        ((ours(broker="BRKB"), theirs(broker="BRKA")), False),
        ((ours(broker="brka"), theirs()), False),
        ((ours(), theirs()), False),
        ((ours(broker="BRKA"), ours(broker="BRKB"), theirs(broker="BRKA")), False),
        ((ours(broker="BRKA"), theirs(broker="BRKA"), theirs(broker="BRKB")), False),
    ],
)
def test_the_value_to_select_on(legs: tuple[Leg, ...], applies: bool) -> None:
    """The execution's, else the confirmation's; none if they differ, or one of them was sent with two values."""
    assert ("price" in in_force(*legs).overrides) is applies


def test_the_time_to_select_on() -> None:
    late_ns = 1_900_000_000 * 10**9
    early, late = ours(), ours(timestamp_ns=late_ns)
    assert "quantity" in in_force(late, theirs()).overrides
    assert "quantity" not in in_force(early, theirs(timestamp_ns=late_ns)).overrides
    contested = (late, ours(timestamp_ns=late_ns + 1), theirs(timestamp_ns=late_ns))
    assert "quantity" not in in_force(*contested).overrides
    assert "quantity" in in_force(late, theirs(timestamp_ns=late_ns), theirs(timestamp_ns=late_ns + 1)).overrides
    bare = msgspec.structs.replace(early, timestamp_ns=None)
    assert isinstance(bare, Execution)
    confirmation = theirs(timestamp_ns=late_ns)
    assert isinstance(confirmation, Confirmation)
    assert "quantity" in rules_of(RULES, bare, confirmation, frozenset()).overrides


def test_the_note_of_a_check_names_its_override() -> None:
    """B22."""
    legs = (ours(broker="BRKA", commission=D(1)), theirs(price="190.51", commission=D("1.05")), booked("19049.00"))
    assert check("price", *legs).note == "override for broker BRKA"
    assert check("price", *legs).tolerance == D("0.01")
    assert check("pnl", *legs).note == "net_consideration; override for broker BRKA"
    assert check("commission", *legs).outcome is Outcome.WITHIN_TOLERANCE
    assert check("commission", *legs).note == "override for broker BRKA"
    assert check("quantity", *legs).note == ""
    assert judged(*legs).state is State.MATCHED
    late = (ours(timestamp_ns=1_900_000_000 * 10**9), theirs(timestamp_ns=1_900_000_000 * 10**9, quantity="101"))
    assert check("quantity", *late).note == "override for every trade, from 2030-01-01T00:00:00Z"


def test_a_check_that_compared_nothing_names_no_override() -> None:
    assert check("pnl", ours(broker="BRKA"), theirs()).note == "no pnl snapshot"
    legs = (ours(broker="BRKA"), ours(broker="BRKA", price="190.51"), theirs())
    assert check("price", *legs).note == "the legs contradict themselves"


def test_brokers_that_differ_break_under_the_tolerance_of_the_file() -> None:
    verdict = judged(ours(broker="BRKA"), theirs(broker="BRKB", price="190.51"))
    assert verdict.reasons == (Reason.BROKER_MISMATCH, Reason.PRICE_MISMATCH)


def test_the_hints_follow_from_the_rules_of_the_trade() -> None:
    """A snapshot that fits the confirmation within the five of the override fits."""
    legs = (ours(broker="BRKA"), theirs(price="190.60"), booked("19062.50"))
    assert Hint.PNL_FITS_CONFIRMATION in judged(*legs).hints
    legs = (ours(), theirs(price="190.60"), booked("19062.50"))
    assert Hint.PNL_FITS_CONFIRMATION not in judged(*legs).hints


def remedies(*legs: Leg) -> set[tuple[str, str]]:
    sides = sides_of(arrived(*legs))
    assessment = assess(sides, judged(*legs), RULES)
    assert assessment is not None
    return {
        (".".join((remedy.field[0].value, remedy.field[1])) if remedy.field else remedy.check, str(remedy.value))
        for remedy in assessment.would_clear
    }


def test_what_would_clear_a_break_follows_the_overrides() -> None:
    assert remedies(ours(broker="BRKA"), theirs(price="190.52")) == {
        ("price", "0.02"),
        ("executions.price", "190.52"),
        ("broker_confirmations.price", "190.50"),
    }
    both = remedies(ours(broker="BRKA"), theirs(broker="BRKB", price="190.51"))
    assert both == {("broker_confirmations.broker", "BRKA")}
    assert remedies(ours(broker="BRKA"), theirs(broker="BRKB")) == {
        ("executions.broker", "BRKB"),
        ("broker_confirmations.broker", "BRKA"),
    }


def test_a_change_that_selects_a_tighter_tolerance_clears_nothing() -> None:
    tight = parse_rules("""
        name = "tight"
        checks.price.tolerance.absolute = "0.01"
        [[override]]
        broker = "BRKA"
        checks.price.tolerance.absolute = "0.005"
    """)
    sides = sides_of(arrived(ours(broker="BRKA"), theirs(broker="BRKB", price="190.51")))
    verdict = judge_facts(arrived(ours(broker="BRKA"), theirs(broker="BRKB", price="190.51")), FOREVER_NS, tight)
    assert verdict.reasons == (Reason.BROKER_MISMATCH,)
    assessment = assess(sides, verdict, tight)
    assert assessment is not None
    assert [str(remedy.value) for remedy in assessment.would_clear] == ["BRKB"]


def test_time_alone_is_no_reason_to_judge_again() -> None:
    """The trade's own time decides, so a verdict does not change when an override takes effect."""
    legs = (ours(timestamp_ns=SECOND_NS), theirs(quantity="101"))
    assert judge_facts(arrived(*legs), 0, RULES) == judge_facts(arrived(*legs), FOREVER_NS, RULES)


CLASSES = parse_rules("""
    name = "desk"
    [[asset_class]]
    name = "fx"
    tickers = ["EUR/*", "GBP/USD"]
    [[asset_class]]
    name = "equity"
    tickers = ["AAPL"]
    [[override]]
    asset_class = "fx"
    checks.price.tolerance.absolute = "0.01"
    [[override]]
    broker = "BRKA"
    checks.price.tolerance.absolute = 1
    [[override]]
    ticker = "EUR/CHF"
    checks.price.tolerance.absolute = 2
""")


@pytest.mark.parametrize(
    ("tickers", "limit"),
    [
        (("EUR/USD", "EUR/USD"), "0.01"),
        (("EUR/USD", "EUR/GBP"), "0.01"),
        (("EUR/CHF", "EUR/CHF"), "2"),
        (("GBP/USD", "GBP/USD"), "0.01"),
        (("GBP/CHF", "GBP/CHF"), "1"),
        (("AAPL", "AAPL"), "1"),
        (("EUR/USD", "AAPL"), "1"),
        (("EUR/USD", "GBP/CHF"), "1"),
        (("GBP/CHF", "EUR/USD"), "1"),
    ],
)
def test_the_class_of_the_ticker_is_less_specific_than_it_and_more_than_the_broker(
    tickers: tuple[str, str], limit: str
) -> None:
    legs = (ours(ticker=tickers[0], broker="BRKA"), theirs(ticker=tickers[1]))
    assert check("price", *legs, rules=CLASSES).tolerance == D(limit)


def test_a_ticker_that_contradicts_itself_is_in_no_class() -> None:
    legs = (ours(ticker="EUR/USD"), ours(ticker="EUR/GBP"), theirs(ticker="EUR/USD", price="190.505"))
    assert check("price", *legs, rules=CLASSES).tolerance == D("0.005")


def test_the_note_names_the_class() -> None:
    named = check("price", ours(ticker="EUR/USD"), theirs(ticker="EUR/USD"), rules=CLASSES)
    assert named.note == "override for asset class fx"


def test_a_change_of_ticker_clears_a_break_where_its_class_allows_the_price() -> None:
    legs = (ours(ticker="EUR/USD"), theirs(ticker="AAPL", price="190.51"))
    sides = sides_of(arrived(*legs))
    assessment = assess(sides, judged(*legs, rules=CLASSES), CLASSES)
    assert assessment is not None
    assert [(it.field, it.value) for it in assessment.would_clear] == [((Source.CONFIRMATIONS, "ticker"), "EUR/USD")]
