"""Results: evidence in order, and an id that anyone can recompute. Source: CONTRACT.md, Topics."""

import hashlib
import json
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest
from legs import SECOND_NS, arrived, booked, judgement_of, ours, theirs

from traderecon.matching import event_id, judge, judge_facts, result_of, sides_of, to_last_published
from traderecon.matching.compared import compare_fields
from traderecon.records import (
    Assessment,
    Compared,
    Fact,
    Hint,
    Origin,
    Reason,
    RulesStamp,
    Severity,
    Stake,
    State,
    Verdict,
    break_id,
    identity,
)
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING

STAMP = FOUNDING.stamp()
LEGS = (ours(), ours(version=2, ticker="Ünï→☃\u2028"), theirs(price="191"), booked(), booked("1", version=2))


def canonical(**claim: object) -> str:
    text = json.dumps(claim, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_event_id_is_the_hash_of_the_canonical_json_of_what_it_claims() -> None:
    facts = arrived(*LEGS)
    trade_verdict = judge_facts(facts, FOREVER_NS, FOUNDING)
    assert result_of(judgement_of(facts, trade_verdict), STAMP).event_id == canonical(
        trade_id="T1",
        state="MISMATCHED",
        reasons=["PNL_INCONSISTENT", "PRICE_MISMATCH", "TICKER_MISMATCH"],
        checks={
            "ticker": "FAIL",
            "quantity": "PASS",
            "price": "FAIL",
            "timestamp": "PASS",
            "pnl": "FAIL",
        },
        facts=sorted(identity(leg) for leg in LEGS),
        rules=STAMP.sha256,
    )


def test_an_event_id_of_nothing_checked() -> None:
    claimed = event_id('T"1\\é', Verdict(State.UNMATCHED), ["b", "a"], "c")
    assert claimed == canonical(
        trade_id='T"1\\é', state="UNMATCHED", reasons=[], checks={}, facts=["a", "b"], rules="c"
    )


def test_a_result_has_all_its_evidence_in_one_order() -> None:
    facts = arrived(*LEGS)
    trade_verdict = judge_facts(facts, FOREVER_NS, FOUNDING)
    expected = [theirs(price="191"), ours(), LEGS[1], booked(), LEGS[4]]
    first, *other_orders = (result_of(judgement_of(order, trade_verdict), STAMP) for order in permutations(facts))
    assert [fact.leg for fact in first.facts] == expected
    for other in other_orders:
        assert (other.event_id, other.facts) == (first.event_id, first.facts)
    assert (first.trade_id, first.version, first.verdict, first.rules) == ("T1", 5, trade_verdict, STAMP)
    assert first.event_time_ns == SECOND_NS
    assert first.compared == Compared(agreed=2, differing=2, sent_by_both=4, sent_by_one=0)


def test_within_a_version_the_content_gives_the_order() -> None:
    rivals = sorted((ours(price=str(price)) for price in range(8)), key=identity)
    facts = arrived(*rivals)
    trade_verdict = judge_facts(facts, FOREVER_NS, FOUNDING)
    for order in (facts, facts[::-1], facts[3:] + facts[:3]):
        assert [fact.leg for fact in result_of(judgement_of(order, trade_verdict), STAMP).facts] == rivals


def test_a_result_says_what_its_break_is_about() -> None:
    assessment = Assessment(Stake(Decimal(50)), Severity.HIGH)
    judged = judgement_of(arrived(ours()), Verdict(State.UNMATCHED), assessment)
    assert result_of(judged, STAMP).assessment == assessment


def test_versions_are_ordered_as_numbers() -> None:
    facts = arrived(ours(version=10), ours(version=9), ours(version=100))
    trade_verdict = judge_facts(facts, FOREVER_NS, FOUNDING)
    assert [fact.leg.version for fact in result_of(judgement_of(facts, trade_verdict), STAMP).facts] == [9, 10, 100]


def test_the_version_counts_each_fact_once() -> None:
    fact = Fact(ours(), Origin("t", 0, 1))
    again = Fact(ours(), Origin("t", 0, 2))
    trade_verdict = judge_facts((fact, again), FOREVER_NS, FOUNDING)
    counted = result_of(judgement_of((fact, again), trade_verdict), STAMP)
    assert (counted.version, len(counted.facts)) == (1, 1)
    assert counted.event_id == result_of(judgement_of((fact,), trade_verdict), STAMP).event_id


def test_event_time_is_the_executions_else_the_confirmations() -> None:
    trade_verdict = Verdict(State.UNMATCHED)
    assert (
        result_of(
            judgement_of(arrived(ours(timestamp_ns=5), theirs(timestamp_ns=7)), trade_verdict), STAMP
        ).event_time_ns
        == 5
    )
    assert result_of(judgement_of(arrived(theirs(timestamp_ns=7)), trade_verdict), STAMP).event_time_ns == 7
    assert result_of(judgement_of(arrived(booked()), trade_verdict), STAMP).event_time_ns is None


def test_origins_hints_and_names_of_rules_make_no_other_event() -> None:
    trade_verdict = Verdict(State.MATCHED)
    here = result_of(judgement_of(arrived(ours()), trade_verdict), STAMP)
    moved = [Fact(ours(), Origin("elsewhere", 9, 9, 9), {"note": "x"})]
    hinted = msgspec.structs.replace(trade_verdict, hints=(Hint.ALIAS,))
    there = result_of(judgement_of(moved, hinted), RulesStamp("other", STAMP.sha256))
    assert there.event_id == here.event_id
    assert there != here


def broken(before: Verdict | None, after: Verdict) -> tuple[str, str | None]:
    first, second = arrived(ours(), theirs())
    earlier = None if before is None else to_last_published(result_of(judgement_of([first], before), STAMP))
    current = result_of(judgement_of([first, second], after), STAMP, earlier).break_
    assert current.id == break_id("T1")
    return current.transition.value, current.previous_event_id


def test_a_break_opens_changes_is_resolved_and_opens_again() -> None:
    matched, unmatched = Verdict(State.MATCHED), Verdict(State.UNMATCHED)
    price = Verdict(State.MISMATCHED, (Reason.PRICE_MISMATCH,))
    quantity = Verdict(State.MISMATCHED, (Reason.QUANTITY_MISMATCH,))
    moves = [(None, matched), (None, price), (matched, price), (unmatched, price), (price, quantity), (price, price)]
    assert [broken(*move)[0] for move in moves] == ["none", "opened", "opened", "reclassified", "reclassified", "none"]
    assert broken(price, Verdict(State.CANCELLED))[0] == "resolved"


@pytest.mark.parametrize(
    ("reasons", "after", "resolution"),
    [
        ([Reason.MISSING_CONFIRMATION], State.MATCHED, "LATE_ARRIVAL"),
        ([Reason.MISSING_EXECUTION], State.MATCHED, "LATE_ARRIVAL"),
        ([Reason.MISSING_PNL], State.MATCHED, "LATE_ARRIVAL"),
        ([Reason.MISSING_PNL, Reason.PRICE_MISMATCH], State.MATCHED, "AMENDMENT"),
        ([Reason.PRICE_MISMATCH], State.MATCHED, "AMENDMENT"),
        ([Reason.MISSING_CONFIRMATION], State.CANCELLED, "CANCELLED_BOTH"),
        ([Reason.CANCELLED_ONE_SIDE], State.CANCELLED, "CANCELLED_BOTH"),
    ],
)
def test_a_resolved_break_says_how(reasons: list[Reason], after: State, resolution: str) -> None:
    facts = arrived(ours(), theirs())
    before = to_last_published(result_of(judgement_of(facts, Verdict(State.MISMATCHED, tuple(reasons))), STAMP))
    assert result_of(judgement_of(facts, Verdict(after)), STAMP, before).break_.resolution == resolution
    still = result_of(judgement_of(facts, Verdict(State.MISMATCHED, (Reason.TICKER_MISMATCH,))), STAMP, before).break_
    assert still.resolution is msgspec.UNSET


def test_a_result_names_the_one_before_it() -> None:
    first = judgement_of(arrived(ours()), Verdict(State.UNMATCHED))
    assert broken(first.verdict, Verdict(State.MATCHED)) == ("resolved", result_of(first, STAMP).event_id)
    assert broken(None, Verdict(State.MATCHED)) == ("none", None)


def test_the_legs_of_the_highest_version_and_kind_are_effective() -> None:
    early, late = ours(price="1", granularity=0), ours(price="1", granularity=9)
    facts = arrived(early, late, ours(version=0), theirs(), booked(), booked(version=2))
    matched = result_of(judgement_of(facts, Verdict(State.MATCHED)), STAMP)
    effective = [fact.leg for fact, stands in zip(matched.facts, matched.stands, strict=True) if stands]
    assert effective == [theirs(), *sorted((early, late), key=identity), booked(version=2)]


@pytest.mark.parametrize(("multiplier", "compared"), [("50", (5, 0, 5, 0)), ("5", (4, 1, 5, 0)), (None, (4, 0, 4, 1))])
def test_the_contract_multiplier_counts_though_no_check_reads_both(
    multiplier: str | None, compared: tuple[int, int, int, int]
) -> None:
    legs = (
        ours(contract_multiplier=Decimal(50)),
        theirs(contract_multiplier=None if multiplier is None else Decimal(multiplier)),
    )
    sides = sides_of(arrived(*legs))
    assert msgspec.structs.astuple(compare_fields(sides, judge(sides, FOREVER_NS, FOUNDING).checks)) == compared
