"""What other rules would say of a published trade. Source: DOMAIN.md F32."""

import pytest
from legs import arrived, booked, judgement_of, ours, theirs

from traderecon.matching import result_of
from traderecon.matching.closed import ORPHAN_LATE
from traderecon.matching.lifecycle import judge_trade
from traderecon.matching.trial import Effect, trial_of
from traderecon.records import Leg
from traderecon.records.instants import FOREVER_NS
from traderecon.records.match_keys import as_ambiguous
from traderecon.records.result_message import PublishedResult, decode_published, encode_result
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import parse_rules

BY_ORDER = parse_rules('name = "o"\ngroup_by = "order_id"')
BY_BROKER = parse_rules('name = "k"\nmatch_key = ["trade_id", "broker"]')
BY_TICKER = parse_rules('name = "t"\nmatch_key = ["ticker", "trade_id"]')
BY_DATE = parse_rules('name = "d"\nmatch_key = ["trade_id", "trade_date"]')
BY_BLOCK = parse_rules('name = "b"\ngroup_by = "block_id"')
WIDER = parse_rules('name = "w"\n[checks.price.tolerance]\nabsolute = "1"')


def published(*legs: Leg, rules: Rules = FOUNDING) -> PublishedResult:
    return decode_published(encode_result(result_of(judge_trade(arrived(*legs), FOREVER_NS, rules), rules.stamp())))


@pytest.mark.parametrize(
    ("legs", "effect"),
    [
        ([ours(), theirs()], Effect.UNCHANGED),
        ([ours(), theirs(price="191")], Effect.CLOSED),
        ([ours(), theirs(price="191", quantity="1")], Effect.CHANGED),
        ([ours()], Effect.UNCHANGED),
    ],
)
def test_the_effect_of_wider_rules(legs: list[Leg], effect: Effect) -> None:
    assert trial_of(published(*legs), WIDER).effect is effect


def test_a_late_leg_is_not_judged_again() -> None:
    late = result_of(judgement_of(arrived(ours()), ORPHAN_LATE), FOUNDING.stamp())
    assert trial_of(decode_published(encode_result(late)), WIDER).effect is Effect.NOT_JUDGED


@pytest.mark.parametrize(
    ("rules", "effect"),
    [(BY_ORDER, Effect.UNCHANGED), (BY_BLOCK, Effect.UNCHANGED), (FOUNDING, Effect.OTHER_GROUPING)],
)
def test_a_group_is_judged_by_rules_with_its_groups(rules: Rules, effect: Effect) -> None:
    group: list[Leg] = [
        ours(trade_id="O1", member_id="F1", order_id="O1"),
        theirs(trade_id="O1", member_id="B1", order_id="O1"),
    ]
    assert trial_of(published(*group, rules=BY_ORDER), rules).effect is effect


def test_a_group_of_another_field_and_a_trade_are_no_orders() -> None:
    block: list[Leg] = [ours(trade_id="K1", member_id="F1", order_id="O1"), theirs(trade_id="K1", member_id="B1")]
    assert trial_of(published(*block, rules=BY_BLOCK), BY_ORDER).effect is Effect.OTHER_GROUPING
    assert trial_of(published(ours(), theirs()), BY_ORDER).effect is Effect.OTHER_GROUPING


@pytest.mark.parametrize(
    ("rules", "effect"),
    [
        (BY_BROKER, Effect.UNCHANGED),
        (BY_TICKER, Effect.OTHER_GROUPING),
        (BY_DATE, Effect.OTHER_GROUPING),
        (BY_ORDER, Effect.OTHER_GROUPING),
        (FOUNDING, Effect.OTHER_GROUPING),
    ],
)
def test_a_trade_with_a_match_key_is_judged_by_rules_with_the_same_one(rules: Rules, effect: Effect) -> None:
    shared = as_ambiguous(arrived(booked(sent_id="T1"))[0]).leg
    key = {"trade_id": "T1|broker=CITI", "sent_id": "T1", "broker": "CITI"}
    assert trial_of(published(ours(**key), theirs(**key), shared, rules=BY_BROKER), rules).effect is effect


def test_a_trade_without_a_match_key_has_another_one() -> None:
    assert trial_of(published(ours(broker="CITI"), theirs()), BY_BROKER).effect is Effect.OTHER_GROUPING
