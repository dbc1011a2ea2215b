"""Texts that look alike, and those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import arrived, ours, theirs

from traderecon.matching import judge_facts
from traderecon.matching.confusables import confusable, skeleton
from traderecon.records import Hint, Leg, Reason
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import parse_rules


def hints(*legs: Leg, rules: Rules = FOUNDING) -> tuple[Hint, ...]:
    return judge_facts(arrived(*legs), FOREVER_NS, rules).hints


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("AAPL", "\uff21\uff21\uff30\uff2c"),
        ("AAPL", "\u0410APL"),
        ("AAPL", "\u0391A\u03a1L"),
        ("AAPL", "\u0430apl"),
        ("AAPL", "AA\u200bPL"),
        ("AAPL", "\u202eAAPL"),
        ("BRK/B", "BRK\u2215B"),
        ("RDS-A", "RDS\u2013A"),
        ("\u0410", "\u0391"),
        ("\U0001d400APL", "AAPL"),
    ],
)
def test_confusables(ours: str, theirs: str) -> None:
    assert confusable(ours, theirs)
    assert confusable(theirs, ours)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("AAPL", "aapl"), ("AAPL", "AAPL"), ("AAPL", "AAP1"), ("O", "0"), ("\u00c4", "A"), ("\u0416", "\u0410")],
)
def test_texts_that_are_told_apart_or_equal(ours: str, theirs: str) -> None:
    assert not confusable(ours, theirs)


ascii_texts = st.text(st.characters(max_codepoint=127))


@given(st.text(), st.text())
def test_looking_alike_is_mutual_and_never_to_itself(ours: str, theirs: str) -> None:
    assert confusable(ours, theirs) == confusable(theirs, ours)
    assert not confusable(ours, ours)


@given(ascii_texts, ascii_texts)
def test_texts_of_ascii_never_confusable(ours: str, theirs: str) -> None:
    assert skeleton(ours) == ours
    assert not confusable(ours, theirs)


def test_only_tickers_that_break_get_a_hint() -> None:
    assert hints(ours(), theirs(ticker="aapl")) == (Hint.TICKER_CASE,)
    assert hints(ours(ticker="\u0410APL"), theirs()) == (Hint.CONFUSABLE,)
    assert hints(ours(), theirs(ticker="MSFT")) == ()
    off = parse_rules('name = "off"\nchecks.ticker = false')
    assert hints(ours(), theirs(ticker="aapl"), rules=off) == ()


def test_a_ticker_that_is_absent_gets_no_hint() -> None:
    verdict = judge_facts(arrived(ours(ticker=None), theirs()), FOREVER_NS, FOUNDING)
    assert verdict.reasons == (Reason.TICKER_MISMATCH,)
    assert verdict.hints == ()


@pytest.mark.parametrize(
    ("here", "there", "tolerance", "hinted"),
    [
        ("0.004", "0.008", 'absolute = "0.005"', True),
        ("0.005", "0.010", 'absolute = "0.005"', True),
        ("0.010", "0.005", 'absolute = "0.005"', True),
        ("0.0051", "0.010", 'absolute = "0.005"', False),
        ("0", "0.005", 'absolute = "0.005"', True),
        ("-0.004", "-0.008", 'absolute = "0.005"', True),
        ("-0.002", "0.002", 'absolute = "0.005"', True),
        ("0.004", "0.004", 'absolute = "0.005"', False),
        ("0.004", "0.010", 'absolute = "0.005"', False),
        ("1", "1.5", "percent = 50", False),
        ("1", "2", "percent = 100", True),
        ("1", "1.005", 'below = 2, above = "0.005"', False),
        ("1.005", "1", 'below = 2, above = "0.005"', True),
    ],
)
def test_a_tolerance_that_is_at_least_the_price(here: str, there: str, tolerance: str, hinted: bool) -> None:
    rules = parse_rules(f'name = "x"\nchecks.price.tolerance = {{ {tolerance} }}')
    assert (Hint.TOLERANCE_COVERS_PRICE in hints(ours(price=here), theirs(price=there), rules=rules)) is hinted


def test_without_a_price_check_no_tolerance_covers_a_price() -> None:
    off = parse_rules('name = "off"\nchecks.price = false')
    assert hints(ours(price="0.004"), theirs(price="0.005"), rules=off) == ()
