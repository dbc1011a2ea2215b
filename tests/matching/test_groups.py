"""The legs of a group, added up: against fractions, in any order, with a version of its own for each member."""

from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import SECOND_NS, arrived, booked, ours, theirs

from traderecon.matching import add, effective_sides, judge_facts
from traderecon.matching.groups import group_sides
from traderecon.matching.lifecycle import WaitingFor, judge_trade, waiting_for
from traderecon.matching.results import result_of
from traderecon.matching.totals import AllTotals, add_trade
from traderecon.records import (
    ALL_VERSIONS,
    Execution,
    Fact,
    Hint,
    Kind,
    Leg,
    Origin,
    Outcome,
    Reason,
    Source,
    State,
    Verdict,
)
from traderecon.records.instants import FOREVER_NS, NS_PER_S
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules

RULES = parse_rules('name = "orders"\ngroup_by = "order_id"')
GRACE_NS = RULES.grace_ns
LAST_WINS = 'name = "orders"\nconflict_policy = "last_wins"'


def fill(member: str, quantity: str | None = "40", price: str | None = "190.50", **other: Any) -> Leg:
    return ours(member_id=member, quantity=quantity, price=price, **other)


def allocation(member: str, quantity: str | None = "100", price: str | None = "190.50", **other: Any) -> Leg:
    return theirs(member_id=member, quantity=quantity, price=price, **other)


def cancel(member: str, version: int = ALL_VERSIONS) -> Leg:
    return fill(member, None, None, kind=Kind.CANCEL, version=version)


def theirs_cancelled(member: str) -> Leg:
    return allocation(member, None, None, kind=Kind.CANCEL, version=ALL_VERSIONS)


def verdict(*legs: Leg, watermark_ns: int = FOREVER_NS) -> Verdict:
    return judge_facts(arrived(*legs), watermark_ns, RULES)


def stake(*legs: Leg) -> Decimal | None:
    assessment = result_of(judge_trade(arrived(*legs), FOREVER_NS, RULES), RULES.stamp()).assessment
    return None if assessment is None else assessment.stake.amount


def outcomes(found: Verdict) -> dict[str, str]:
    return {check.name: str(check.outcome) for check in found.checks}


class TestSums:
    def test_sum_average_and_last_timestamp(self) -> None:
        sides = group_sides(
            arrived(
                fill("F1", "30", "190.40", timestamp_ns=SECOND_NS),
                fill("F2", "30", "190.50", timestamp_ns=SECOND_NS + 2 * NS_PER_S),
                fill("F3", "40", "190.575", timestamp_ns=SECOND_NS + NS_PER_S),
            )
        )
        assert sides.execution is not None
        assert sides.execution.quantity == Decimal(100)
        assert sides.execution.price == Decimal("190.5")
        assert sides.execution.timestamp_ns == sides.event_time_ns == SECOND_NS + 2 * NS_PER_S
        assert sides.execution.trade_id == "T1"

    @given(
        st.lists(
            st.tuples(
                st.decimals("0.001", "1000000", places=3),
                st.decimals("-1000", "1000", places=5),
                st.decimals("0", "10", places=2),
            ),
            min_size=2,
            max_size=12,
        )
    )
    def test_sums_are_exact_and_the_average_is_rounded_half_to_even(
        self, members: list[tuple[Decimal, Decimal, Decimal]]
    ) -> None:
        legs = [
            fill(f"F{i}", str(quantity), str(price), commission=commission)
            for i, (quantity, price, commission) in enumerate(members)
        ]
        execution = group_sides(arrived(*legs)).execution
        assert execution is not None
        assert execution.quantity is not None
        assert execution.price is not None
        assert execution.commission is not None
        assert Fraction(execution.quantity) == sum(Fraction(quantity) for quantity, _, _ in members)
        assert Fraction(execution.commission) == sum(Fraction(commission) for _, _, commission in members)
        value = sum(Fraction(quantity) * Fraction(price) for quantity, price, _ in members)
        assert Fraction(execution.price) == Fraction(round(value / Fraction(execution.quantity) * 10**18), 10**18)

    def test_one_price_is_that_price_however_the_quantities_cancel_out(self) -> None:
        sides = group_sides(arrived(fill("F1", "10"), fill("F2", "-10")))
        assert sides.execution is not None
        assert sides.execution.price == Decimal("190.5")
        sides = group_sides(arrived(fill("F1", "10"), fill("F2", "-10", "190.60")))
        assert sides.execution is not None
        assert sides.execution.price is None
        assert sides.contested == {(Source.EXECUTIONS, "price")}

    def test_an_average_of_large_prices_keeps_every_digit(self) -> None:
        sides = group_sides(arrived(fill("F1", "1", "100000000000.1"), fill("F2", "2", "100000000000.2")))
        assert sides.execution is not None
        assert sides.execution.price == Decimal("100000000000.166666666666666667")

    def test_members_without_a_timestamp_and_no_members_have_none(self) -> None:
        sides = group_sides(arrived(fill("F1", None), fill("F2", None)))
        assert sides.execution is not None
        assert (sides.execution.timestamp_ns, sides.event_time_ns) == (None, None)
        assert (group_sides(()).waits_from_ns, group_sides(()).event_time_ns) == (0, None)

    def test_an_amount_that_one_member_lacks_has_no_sum(self) -> None:
        sides = group_sides(arrived(fill("F1", commission=Decimal(1)), fill("F2"), booked(member_id="F1")))
        assert sides.execution is not None
        assert sides.execution.commission is None
        assert sides.pnl == booked(member_id="F1")
        sides = group_sides(arrived(booked("1", "2", member_id="F1"), booked("3", None, member_id="F2")))
        assert sides.pnl is not None
        assert (sides.pnl.pnl_impact, sides.pnl.commission) == (Decimal(4), None)
        assert sides.execution is None

    def test_a_member_whose_price_is_contested_has_no_average(self) -> None:
        found = verdict(fill("F1"), fill("F1", price="191"), fill("F2", "60"), allocation("B1"))
        assert found.reasons == (Reason.DUPLICATE_CONFLICT,)
        assert found.contested == ((Source.EXECUTIONS, "price"),)

    def test_what_members_trade_for_is_exact_though_their_average_is_rounded(self) -> None:
        """Two thirds of a cent more at each of three: 30.02, not 30.020000000000000001."""
        legs = fill("F1", "1", "10"), fill("F2", "2", "10.01")
        sides = group_sides(arrived(*legs))
        assert sides.execution is not None
        assert sides.execution.price == Decimal("10.006666666666666667")
        assert sides.amount(sides.execution) == Decimal("30.02")
        assert stake(*legs) == Decimal("30.02")
        totals: AllTotals = {}
        add_trade(totals, sides, verdict(*legs), None)
        assert [of.executions for of in totals.values()] == [Decimal("30.02")]

    def test_what_is_at_stake_in_a_member_that_contradicts_itself_is_the_most_that_all_may_be(self) -> None:
        assert stake(fill("F1"), fill("F1", price="191"), fill("F2", "60"), allocation("B1")) == Decimal(19070)
        below = fill("F1", price="-190.50"), fill("F1", price="-191"), fill("F2", "60", "-190.50")
        assert stake(*below, allocation("B1", price="-190.50")) == Decimal(19070)
        without = fill("F1"), fill("F1", price="191"), fill("F2", "60", None)
        assert stake(*without, allocation("B1")) == Decimal(7640), "as far as it is known"

    def test_members_of_two_instruments_contradict_each_other(self) -> None:
        found = verdict(fill("F1"), fill("F2", "60", ticker="MSFT"), allocation("B1"))
        assert (found.state, found.reasons) == (State.MISMATCHED, (Reason.DUPLICATE_CONFLICT,))
        assert (Source.EXECUTIONS, "ticker") in found.contested

    def test_what_members_differ_in_is_a_check_that_proves_nothing(self) -> None:
        fills = fill("F1", account="A1"), fill("F2", "60", account="A2")
        judged = judge_trade(arrived(*fills, allocation("B1")), FOREVER_NS, RULES)
        checks = {check.name: (str(check.outcome), check.note) for check in judged.verdict.checks}
        assert checks["account"] == ("NOT_CHECKED", "the members have several values, or some of them none")
        assert result_of(judged, RULES.stamp()).compared.sent_by_one == 1

    def test_allocations_may_have_accounts_of_their_own(self) -> None:
        allocations = [allocation("A1", "60", account="ACC1"), allocation("A2", "40", account="ACC2")]
        found = verdict(fill("K1", "100", account="ACC1"), *allocations)
        assert (found.state, outcomes(found)["account"]) == (State.MATCHED, "NOT_CHECKED")
        asked = parse_rules('name = "k"\ngroup_by = "block_id"\n[checks.account]\nmust_be_present = true')
        facts = arrived(fill("K1", "100", account="ACC1"), *allocations)
        assert judge_facts(facts, FOREVER_NS, asked).state is State.MATCHED
        assert result_of(judge_trade(arrived(*allocations), FOREVER_NS, RULES), RULES.stamp()).stands == (True, True)

    def test_the_last_of_two_contradicting_legs_counts_where_the_rules_say_so(self) -> None:
        facts = [Fact(leg, Origin("t", 0, i, i)) for i, leg in enumerate([fill("F1"), fill("F1", "60"), fill("F2")])]
        sides = group_sides(facts, last_wins=True)
        assert sides.execution is not None
        assert sides.execution.quantity == Decimal(100)
        assert not sides.contested
        assert group_sides(facts).contested == {(Source.EXECUTIONS, "quantity")}
        assert effective_sides(facts, parse_rules(f'{LAST_WINS}\ngroup_by = "order_id"')) == sides
        assert effective_sides(facts[:2], parse_rules(LAST_WINS)).contested == frozenset()

    def test_members_that_contradict_each_other_in_an_attribute_prove_nothing_about_it(self) -> None:
        found = verdict(fill("F1", side="BUY"), fill("F2", "60", side="SELL"), allocation("B1"))
        assert found.reasons == (Reason.DUPLICATE_CONFLICT,)
        assert outcomes(found)["side"] == "NOT_CHECKED"

    @pytest.mark.parametrize("order", [*permutations(range(4))])
    def test_any_order_gives_the_same(self, order: tuple[int, ...]) -> None:
        legs = [fill("F1"), fill("F1", "20", version=2), fill("F2", "80"), allocation("B1")]
        facts: tuple[Fact, ...] = ()
        for place in order:
            facts, _ = add(facts, Fact(legs[place], Origin("t", 0, place)))
        judged = judge_trade(facts, FOREVER_NS, RULES)
        assert judged.verdict.state is State.MATCHED
        first = judge_trade(arrived(*legs), FOREVER_NS, RULES)
        assert result_of(judged, RULES.stamp()).event_id == result_of(first, RULES.stamp()).event_id

    def test_members_of_two_contract_multipliers_contradict_each_other(self) -> None:
        fills = [fill("F1", contract_multiplier=Decimal(1)), fill("F2", "60", contract_multiplier=Decimal(100))]
        found = verdict(*fills, allocation("B1"))
        assert (found.reasons, found.contested) == (
            (Reason.DUPLICATE_CONFLICT,),
            ((Source.EXECUTIONS, "contract_multiplier"),),
        )

    def test_two_brokers_may_each_confirm_a_part_but_not_the_same_one(self) -> None:
        fills = [fill("F1", order_id="O1"), fill("F1", order_id="O2"), fill("F2", "60")]
        parts = [allocation("B1", "40", broker="BRKA"), allocation("B2", "60", broker="BRKB")]
        assert verdict(*fills, *parts).state is State.MATCHED
        twice = arrived(fill("F1", "100"), allocation("B1", broker="BRKA"), allocation("B1", broker="BRKB"))
        judged = judge_trade(twice, FOREVER_NS, RULES)
        assert judged.verdict.reasons == (Reason.MULTIPLE_CONFIRMATIONS,)
        result = result_of(judged, RULES.stamp())
        assert all(result.stands)
        assert result.assessment is not None
        assert result.assessment.stake.amount == Decimal(19050)

    def test_no_override_is_for_one_of_several_accounts(self) -> None:
        rules = parse_rules(
            'name = "o"\ngroup_by = "order_id"\n[[override]]\naccount = "A1"\nchecks.price.tolerance.absolute = "10"'
        )
        confirmation = allocation("B1", price="195", account="A1")
        for accounts, state in ((("A1", "A1"), State.MATCHED), (("A1", "A2"), State.MISMATCHED)):
            fills = fill("F1", account=accounts[0]), fill("F2", "60", account=accounts[1])
            assert judge_facts(arrived(*fills, confirmation), FOREVER_NS, rules).state is state

    def test_a_trade_from_before_the_groups_is_one_with_a_member(self) -> None:
        assert effective_sides(arrived(ours(), theirs()), RULES).grouped
        assert not effective_sides(arrived(ours(), theirs()), FOUNDING).grouped

    def test_what_was_a_group_when_it_arrived_stays_one(self) -> None:
        for order in permutations([ours(quantity="40"), fill("F2", "60"), theirs()]):
            assert judge_facts(arrived(*order), FOREVER_NS, FOUNDING).state is State.MATCHED


class TestMembers:
    def test_each_has_its_own_versions(self) -> None:
        assert verdict(fill("F1", "30"), fill("F2", "60"), allocation("B1")).reasons == (Reason.QUANTITY_MISMATCH,)
        amended = verdict(fill("F1", "30"), fill("F2", "60"), fill("F1", "40", version=2), allocation("B1"))
        assert (amended.state, amended.hints) == (State.MATCHED, ())

    def test_a_missing_version_of_one_is_told(self) -> None:
        assert verdict(fill("F1", version=2), fill("F2", "60"), allocation("B1")).hints == (Hint.VERSION_GAP,)

    def test_a_cancelled_one_does_not_count(self) -> None:
        assert verdict(fill("F1", "100"), fill("F2"), cancel("F2"), allocation("B1")).state is State.MATCHED

    def test_nor_does_its_snapshot(self) -> None:
        legs = [fill("F1", "100"), fill("F2"), cancel("F2"), allocation("B1")]
        snapshots = [booked("19049.50", "0.50", member_id="F1"), booked("7620", "0", member_id="F2")]
        found = verdict(*legs, *snapshots)
        assert (found.state, outcomes(found)["pnl"]) == (State.MATCHED, "PASS")
        found = verdict(*legs, snapshots[1])
        assert (found.state, outcomes(found)["pnl"]) == (State.MATCHED, "NOT_CHECKED")

    def test_a_confirmation_that_is_cancelled_takes_no_snapshot_of_ours_away(self) -> None:
        legs = [fill("1"), fill("2", "60"), allocation("2"), allocation("1", None, None, kind=Kind.CANCEL)]
        snapshots = booked("7619.50", "0.50", member_id="1"), booked("11430", "0", member_id="2")
        assert outcomes(verdict(*legs, *snapshots))["pnl"] == "PASS"
        block = [fill("K", "60"), allocation("1", "60"), allocation("2", "40"), theirs_cancelled("2")]
        assert outcomes(verdict(*block, booked("11429.50", "0.50", member_id="1"), snapshots[1]))["pnl"] == "PASS"

    def test_a_profit_of_some_members_is_none_of_the_group(self) -> None:
        legs = [fill("F1"), fill("F2", "60"), allocation("B1")]
        some, rest = booked("7619.50", "0.50", member_id="F1"), booked("11430", "0", member_id="F2")
        found = verdict(*legs, some)
        assert (found.state, outcomes(found)["pnl"]) == (State.MATCHED, "NOT_CHECKED")
        required = parse_rules('name = "orders"\ngroup_by = "order_id"\npnl_required = true')
        assert judge_facts(arrived(*legs, some), FOREVER_NS, required).reasons == (Reason.MISSING_PNL,)
        assert outcomes(verdict(*legs, some, rest))["pnl"] == "PASS"
        whole = booked("19049.50", "0.50", member_id="O1")
        assert outcomes(verdict(*legs, whole))["pnl"] == "PASS", "one snapshot of the whole order"

    def test_nor_is_it_at_stake_or_shown(self) -> None:
        dropped = fill("F2", "1000", kind=Kind.CANCEL, version=2)
        judged = judge_trade(arrived(fill("F1", "30"), fill("F2", "1000"), dropped), FOREVER_NS, RULES)
        result = result_of(judged, RULES.stamp())
        assert result.assessment is not None
        assert result.assessment.stake.amount == Decimal(30) * Decimal("190.5")
        standing = [fact.leg.member_id for fact, stands in zip(result.facts, result.stands, strict=True) if stands]
        assert standing == ["F1"]

    def test_with_every_one_cancelled_the_side_is_cancelled(self) -> None:
        members = [fill("F1"), cancel("F1"), fill("F2"), cancel("F2")]
        assert verdict(*members, allocation("B1")).reasons == (Reason.CANCELLED_ONE_SIDE,)
        assert verdict(*members).state is State.CANCELLED
        assert verdict(cancel("F1"), cancel("F2")).reasons == (Reason.CANCEL_UNKNOWN_TRADE,)

    def test_beside_a_cancelled_side_a_member_that_was_never_cancelled_does_not_stand_again(self) -> None:
        legs = fill("F1", "100"), allocation("B1", None, kind=Kind.CANCEL)
        assert group_sides(arrived(*legs)).reinstated is False
        assert verdict(*legs, watermark_ns=0).reasons == (Reason.GROUP_PENDING,)

    def test_an_allocation_that_stands_again_waits_for_the_fills(self) -> None:
        members = [allocation("B1"), allocation("B1", None, kind=Kind.CANCEL, version=2), allocation("B1", version=3)]
        sides = group_sides(arrived(cancel("F1"), *members))
        assert (sides.reinstated, waiting_for(sides), sides.paired_at_ns) == (True, WaitingFor.EXECUTION, 0)

    def test_one_that_stands_again_waits_for_the_other_side(self) -> None:
        members = [fill("F1"), cancel("F1", 2), fill("F1", "100", version=3)]
        theirs_cancelled = allocation("B1", None, None, kind=Kind.CANCEL)
        sides = group_sides(arrived(*members, theirs_cancelled))
        assert (sides.reinstated, waiting_for(sides)) == (True, WaitingFor.CONFIRMATION)
        assert verdict(*members, theirs_cancelled, watermark_ns=0).state is State.PENDING
        assert verdict(*members, theirs_cancelled).reasons == (Reason.CANCELLED_ONE_SIDE,)

    def test_a_leg_from_before_the_group_is_a_member_without_an_id(self) -> None:
        assert verdict(ours(quantity="40"), fill("F2", "60"), allocation("B1")).state is State.MATCHED


class TestWaiting:
    def test_every_leg_gives_a_fresh_grace(self) -> None:
        facts = [
            Fact(leg, Origin("t", 0, i, i * GRACE_NS))
            for i, leg in enumerate([fill("F1"), allocation("B1"), booked("19049.50", "0.50", member_id="B1")])
        ]
        for count in (2, 3):
            last_ns = (count - 1) * GRACE_NS
            waiting = judge_facts(facts[:count], last_ns + GRACE_NS - 1, RULES)
            assert (waiting.state, waiting.reasons) == (State.PENDING, (Reason.GROUP_PENDING,))
            decided = judge_facts(facts[:count], last_ns + GRACE_NS, RULES)
            assert decided.reasons == (Reason.QUANTITY_MISMATCH,)
            assert Hint.LATE_CONFIRMATION not in decided.hints

    def test_an_amendment_gives_no_fresh_grace(self) -> None:
        legs = [fill("F1"), allocation("B1"), *(fill("F1", str(40 + version), version=version) for version in (2, 3))]
        facts = [Fact(leg, Origin("t", 0, i, i * GRACE_NS // 2)) for i, leg in enumerate(legs)]
        assert judge_facts(facts[:2], GRACE_NS, RULES).state is State.PENDING
        assert judge_facts(facts, GRACE_NS // 2 + GRACE_NS, RULES).reasons == (Reason.QUANTITY_MISMATCH,)

    def test_a_group_that_agrees_does_not_wait(self) -> None:
        assert verdict(fill("F1", "100"), allocation("B1"), watermark_ns=0).state is State.MATCHED

    @pytest.mark.parametrize(
        ("ours_sum", "waiting"),
        [
            ("40", WaitingFor.EXECUTION),
            ("140", WaitingFor.CONFIRMATION),
            ("-100", WaitingFor.CONFIRMATION),
            ("100", WaitingFor.PNL),
        ],
    )
    def test_it_waits_for_the_smaller_side(self, ours_sum: str, waiting: WaitingFor) -> None:
        assert waiting_for(effective_sides(arrived(fill("F1", ours_sum), allocation("B1")), RULES)) is waiting

    def test_where_quantities_differ_the_other_sums_prove_nothing(self) -> None:
        found = verdict(fill("F1", price="1"), allocation("B1"), booked(member_id="F1"))
        assert found.reasons == (Reason.QUANTITY_MISMATCH,)
        assert outcomes(found) == {
            "ticker": "PASS",
            "quantity": "FAIL",
            **dict.fromkeys(("price", "timestamp", "pnl"), "NOT_CHECKED"),
        }
        notes = {check.note for check in found.checks if check.outcome is Outcome.NOT_CHECKED}
        assert notes == {"the quantities differ: a member is missing, or is one too many"}

    def test_a_required_snapshot_is_missed_only_if_there_is_none(self) -> None:
        rules = parse_rules('name = "orders"\ngroup_by = "order_id"\npnl_required = true')
        legs = [fill("F1"), allocation("B1")]
        assert judge_facts(arrived(*legs), FOREVER_NS, rules).reasons == (
            Reason.MISSING_PNL,
            Reason.QUANTITY_MISMATCH,
        )
        with_pnl = judge_facts(arrived(*legs, booked(member_id="F1")), FOREVER_NS, rules)
        assert with_pnl.reasons == (Reason.QUANTITY_MISMATCH,)
        useless = [fill("F1", "100"), allocation("B1"), booked("1", None, member_id="F1")]
        assert judge_facts(arrived(*useless), FOREVER_NS, rules).reasons == (Reason.MISSING_PNL,)


class TestBreaks:
    def test_only_a_tolerance_would_clear_a_group(self) -> None:
        judged = judge_trade(arrived(fill("F1", "100", "191"), allocation("B1")), FOREVER_NS, RULES)
        assert judged.assessment is not None
        assert [(remedy.check, remedy.field) for remedy in judged.assessment.would_clear] == [("price", None)]
        judged = judge_trade(arrived(fill("F1"), allocation("B1")), FOREVER_NS, RULES)
        assert judged.assessment is not None
        assert judged.assessment.would_clear == ()
        assert judged.assessment.stake.amount == Decimal(60) * Decimal("190.5")

    def test_a_result_has_what_the_members_add_up_to(self) -> None:
        facts = arrived(fill("F1"), fill("F2", "60"), allocation("B1"))
        result = result_of(judge_trade(facts, FOREVER_NS, RULES), RULES.stamp())
        (combined,) = result.combined
        assert isinstance(combined, Execution)
        assert combined.quantity == Decimal(100)
