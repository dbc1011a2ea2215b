"""The break line: what is needed first to resolve a break, and nothing a sender could inject."""

from legs import SECOND_NS, arrived, ours, theirs

from traderecon.matching import result_of, to_last_published
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Kind, Leg
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules
from traderecon.telemetry.break_line import break_line

STAMP = FOUNDING.stamp()


def line(*legs: Leg) -> str:
    facts = arrived(*legs)
    return break_line(result_of(judge_trade(facts, FOREVER_NS, FOUNDING), STAMP))


def test_a_break_line_has_the_differences() -> None:
    assert line(ours(price="10"), theirs(price="10.5", timestamp_ns=SECOND_NS + 101_000_000)).startswith(
        "break opened trade='T1' state=MISMATCHED severity=high at_stake=50 reasons=PRICE_MISMATCH,TIMESTAMP_DRIFT "
        "price='10'/'10.5' price_difference=0.5 timestamp='2025-07-26T10:01:23Z'/'2025-07-26T10:01:23.101Z' "
        "timestamp_difference_ms=101 version=2 event="
    )


def test_a_missing_side_has_no_differences() -> None:
    assert "UNMATCHED severity=critical at_stake=19050 reasons=MISSING_EXECUTION version=1 event=" in line(theirs())


def test_the_severity_is_that_of_the_rules_and_the_currency_is_a_senders_text() -> None:
    rules = parse_rules('name = "desk"\n[[severity]]\nstake_below = 100\ncurrency = "USD"\nseverity = "low"')
    facts = arrived(ours(currency="USD"), theirs(price="191"))
    text = break_line(result_of(judge_trade(facts, FOREVER_NS, rules), rules.stamp()))
    assert "severity=low at_stake=50 currency='USD' reasons=PRICE_MISMATCH" in text
    facts = arrived(ours(currency="\u202eX", price=None, kind=Kind.CANCEL))
    assert r"at_stake=unknown currency='\u202eX'" in line(*[fact.leg for fact in facts])


def test_a_resolved_break_has_no_reasons() -> None:
    first = result_of(judge_trade(arrived(ours()), FOREVER_NS, FOUNDING), STAMP)
    both = arrived(ours(), theirs())
    resolved = result_of(judge_trade(both, FOREVER_NS, FOUNDING), STAMP, to_last_published(first))
    assert break_line(resolved).startswith("break resolved trade='T1' state=MATCHED version=2 event=")


def test_a_senders_text_is_escaped() -> None:
    text = line(ours(trade_id="T\n1\x1b[2J", ticker="\u202eX"), theirs(trade_id="T\n1\x1b[2J", ticker="東京"))
    assert text.isascii()
    assert text.isprintable()
    assert r"trade='T\n1\x1b[2J'" in text
