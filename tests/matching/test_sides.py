"""Which leg of each source is effective, and what is contested. Source: CONTRACT.md, Topics; DOMAIN.md F01 to F12."""

from itertools import permutations

import pytest
from hypothesis import given
from legs import SECOND_NS, arrived, booked, ours, theirs
from strategies import Sent, facts_of, trades

from traderecon.matching import Sides, sides_of
from traderecon.matching.sides import _sides_of_many
from traderecon.records import ALL_VERSIONS, CONTENT, Fact, Hint, Kind, Leg, Origin, Source
from traderecon.records.bounds import FACTS_PER_SIDE, RIVALS

NEW, AMEND, CANCEL = Kind.NEW, Kind.AMEND, Kind.CANCEL
OURS, THEIRS, PNL = Source.EXECUTIONS, Source.CONFIRMATIONS, Source.PNL


def sides(*legs: Leg) -> Sides:
    """The sides, which are the same in every order."""
    first = sides_of(arrived(*legs))
    for order in permutations(legs):
        assert sides_of(arrived(*order)) == first
    return first


def test_each_leg_has_its_side() -> None:
    execution, confirmation, pnl = ours(), theirs(price="1"), booked()
    assert sides(execution, confirmation, pnl) == Sides(
        execution, confirmation, pnl, frozenset(), 0, 0, False, False, (), SECOND_NS
    )


def test_nothing_has_no_sides() -> None:
    assert sides_of(()) == Sides(None, None, None, frozenset(), 0, 0, True, False)


@pytest.mark.parametrize(
    ("legs", "effective"),
    [
        ([ours(), ours(version=2)], 1),
        ([ours(version=10), ours(version=9)], 0),
        ([ours(version=0), ours()], 1),
        ([ours(), ours(kind=AMEND)], 1),
        ([ours(kind=CANCEL), ours(kind=AMEND), ours()], 0),
        ([ours(kind=CANCEL), ours(version=2)], 1),
        ([ours(kind=CANCEL), ours(version=2), ours(version=3, kind=AMEND)], 2),
    ],
)
def test_the_highest_version_is_effective_and_at_equal_version_the_strongest_kind(
    legs: list[Leg], effective: int
) -> None:
    effective_sides = sides(*legs)
    assert effective_sides.execution == legs[effective]
    assert effective_sides.contested == frozenset()


def test_versions_are_counted_per_source() -> None:
    effective_sides = sides(ours(), ours(version=2), theirs(), booked(), booked(version=3))
    assert effective_sides.execution == ours(version=2)
    assert effective_sides.confirmation == theirs()
    assert effective_sides.pnl == booked(version=3)


@pytest.mark.parametrize(
    ("rival", "contested"),
    [
        ({"price": "190.60"}, {"price"}),
        ({"quantity": "99", "price": "190.60"}, {"price", "quantity"}),
        ({"ticker": "MSFT"}, {"ticker"}),
        ({"timestamp_ns": SECOND_NS + 1}, {"timestamp_ns"}),
        ({"side": "BUY"}, {"side"}),
        ({"currency": "USD"}, {"currency"}),
        ({"account": "A"}, {"account"}),
        ({"broker": "B"}, {"broker"}),
        ({"counterparty": "C"}, {"counterparty"}),
        ({"order_id": "O"}, {"order_id"}),
        ({"side": None}, set()),
        ({"granularity": 9}, set()),
        ({"hints": (Hint.NORMALISED,)}, set()),
    ],
)
def test_rivals_contest_the_fields_in_which_they_differ(rival: dict[str, object], contested: set[str]) -> None:
    full = dict.fromkeys(("side", "currency", "account", "broker", "counterparty", "order_id"), "-")
    effective_sides = sides(ours(**full), ours(**{**full, **rival}))
    assert effective_sides.contested == {(OURS, field) for field in contested}
    assert effective_sides.execution is not None
    assert all(getattr(effective_sides.execution, field) is None for field in contested)
    theirs_contested = sides(theirs(**full), theirs(**{**full, **rival}), ours())
    assert theirs_contested.contested == {(THEIRS, field) for field in contested}


def test_a_field_that_one_rival_leaves_out_comes_from_the_other() -> None:
    effective_sides = sides(ours(), ours(account="A"), ours(currency="USD"))
    assert effective_sides.contested == frozenset()
    assert effective_sides.execution == ours(account="A", currency="USD")
    assert set(effective_sides.effective(OURS)) == {ours(), ours(account="A"), ours(currency="USD")}
    assert effective_sides.effective(THEIRS) == ()


@pytest.mark.parametrize(
    ("legs", "have_attributes"),
    [
        ([ours(), ours(version=2)], False),
        ([ours(account="A"), ours(version=2)], False),
        ([ours(), ours(version=2, account="A")], True),
        ([ours(), theirs(), theirs(version=2, broker="B")], True),
        ([ours(account="A"), ours(account="B")], True),
        ([booked(), booked(currency="USD")], False),
    ],
)
def test_sides_have_attributes_if_an_effective_leg_has_one_or_contradicts_itself(
    legs: list[Leg], have_attributes: bool
) -> None:
    found = sides(*legs)
    assert found.have_attributes is have_attributes
    assert found.reinstated is False


def test_a_value_that_one_rival_sent_stays_as_it_was_sent() -> None:
    assert sides(ours(currency="usd"), ours(account="A")).execution == ours(currency="usd", account="A")


def test_an_amendment_inherits_nothing() -> None:
    effective_sides = sides(ours(account="A"), ours(version=2), ours(version=2, currency="USD"))
    assert effective_sides.execution == ours(version=2, currency="USD")


def test_a_contested_timestamp_leaves_the_trade_its_time() -> None:
    assert sides(ours(timestamp_ns=7), ours(timestamp_ns=5), ours(timestamp_ns=1, version=0)).event_time_ns == 5


def test_three_rivals_contest_all_that_any_two_contest() -> None:
    effective_sides = sides(ours(), ours(price="1"), ours(ticker="MSFT"))
    assert effective_sides.contested == {(OURS, "price"), (OURS, "ticker")}


def test_snapshots_contest_too() -> None:
    effective_sides = sides(booked(), booked("1"), booked(commission=None), booked(currency="USD", version=0))
    assert effective_sides.contested == {(PNL, "pnl_impact")}
    assert effective_sides.pnl == booked(None)


def test_all_sides_contest_at_once() -> None:
    effective_sides = sides(ours(), ours(price="1"), theirs(), theirs(ticker="X"), booked(), booked("1"))
    assert effective_sides.contested == {(OURS, "price"), (THEIRS, "ticker"), (PNL, "pnl_impact")}


def test_rivals_that_only_spell_differently_contest_nothing_and_pool_their_hints() -> None:
    naive = ours(granularity=0, hints=(Hint.TIMESTAMP_NO_TIMEZONE,))
    effective_sides = sides(naive, ours(hints=(Hint.NORMALISED,)), ours())
    assert effective_sides.contested == frozenset()
    assert effective_sides.execution is not None
    assert effective_sides.execution.hints == (Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE)
    of_two = sides(naive, ours()).execution
    assert of_two is not None
    assert of_two.hints == (Hint.TIMESTAMP_NO_TIMEZONE,)


@pytest.mark.parametrize("trade_id", ["T1", "T2", "T3", "T4"])
def test_of_rivals_that_only_spell_differently_the_finest_timestamp_is_effective(trade_id: str) -> None:
    effective_sides = sides(ours(trade_id=trade_id, granularity=0), ours(trade_id=trade_id, granularity=6)).execution
    assert effective_sides is not None
    assert effective_sides.granularity == 6


def test_a_stale_rival_contests_nothing() -> None:
    assert sides(ours(), ours(price="1"), ours(version=2)).contested == frozenset()
    assert sides(ours(), ours(kind=AMEND, price="1")).contested == frozenset()


def test_cancels_contest_nothing() -> None:
    effective_sides = sides(ours(), ours(kind=CANCEL, price="1"), ours(kind=CANCEL, price="2"))
    assert effective_sides.contested == frozenset()
    assert effective_sides.execution is not None
    assert effective_sides.execution.kind is CANCEL


@pytest.mark.parametrize(
    ("legs", "nothing"),
    [
        ([ours()], False),
        ([ours(), ours(version=2, kind=CANCEL)], False),
        ([ours(kind=CANCEL)], True),
        ([ours(kind=CANCEL), ours(version=2, kind=CANCEL)], True),
        ([theirs(kind=CANCEL)], True),
        ([theirs(kind=CANCEL), booked()], True),
        ([theirs(kind=CANCEL), theirs(version=0)], False),
        ([ours(kind=CANCEL), theirs(kind=CANCEL)], False),
        ([ours(kind=CANCEL), theirs()], False),
    ],
)
def test_a_cancel_of_an_unknown_trade(legs: list[Leg], nothing: bool) -> None:
    assert sides(*legs).cancels_nothing is nothing


@pytest.mark.parametrize(
    ("versions", "gap"),
    [
        ([1], False),
        ([0], False),
        ([2], True),
        ([1, 2], False),
        ([0, 1], False),
        ([0, 2], True),
        ([1, 3], True),
        ([2, 3], True),
        ([1, 2, 3], False),
        ([0, 1, 2, 4], True),
        ([1, 2, 1_000_000_000], True),
    ],
)
def test_a_missing_version(versions: list[int], gap: bool) -> None:
    assert sides(*(ours(version=version) for version in versions)).version_gap is gap
    assert sides(ours(), *(theirs(version=version) for version in versions)).version_gap is gap
    assert sides(*(booked(version=version) for version in versions)).version_gap is gap


def test_rivals_are_one_version() -> None:
    assert sides(ours(), ours(price="1"), ours(price="2")).version_gap is False
    assert sides(ours(version=2), ours(version=2, price="1")).version_gap is True
    assert sides(ours(), ours(version=3), ours(version=3, price="1")).version_gap is True
    assert sides(ours(version=0), ours(version=0, price="1")).version_gap is False


def test_the_first_arrival_of_a_side_counts_not_that_of_a_snapshot() -> None:
    def fact(leg: Leg, received_at_ns: int) -> Fact:
        return Fact(leg, Origin("t", 0, 0, received_at_ns))

    facts = (fact(booked(), 1), fact(ours(), 30), fact(theirs(), 20), fact(ours(version=2), 25))
    for order in permutations(facts):
        assert sides_of(order).waits_from_ns == 20
    assert sides_of(facts[:1]).waits_from_ns == 0
    assert sides_of(facts[1:2]).waits_from_ns == 30
    assert sides_of((fact(ours(), 5), fact(theirs(), 0))).waits_from_ns == 0


@pytest.mark.parametrize(
    ("received", "waits_from_ns", "paired_at_ns", "second"),
    [
        ([(booked(), 1), (booked("1"), 2)], 0, 0, None),
        ([(ours(), 3), (ours(version=2), 5)], 3, 0, None),
        ([(theirs(), 3), (theirs(version=2), 5)], 3, 0, None),
        ([(ours(), 0), (ours(version=2), 3), (theirs(), 1)], 0, 1, THEIRS),
        ([(ours(), 1), (ours(version=2), 3), (theirs(), 0)], 0, 1, OURS),
        ([(ours(), 1), (ours(version=2), 3), (theirs(), 1)], 1, 1, None),
        ([(ours(), 5), (ours(kind=CANCEL), 6), (ours(version=2), 10), (theirs(), 0)], 0, 5, OURS),
        ([(ours(), 5), (ours(kind=CANCEL), 6), (ours(version=2), 10), (theirs(), 10)], 10, 10, None),
        ([(ours(), 5), (ours(kind=CANCEL), 6), (ours(version=2), 10), (theirs(kind=CANCEL), 7)], 10, 0, THEIRS),
    ],
)
def test_when_a_trade_began_to_wait_when_it_was_paired_and_by_whom(
    received: list[tuple[Leg, int]], waits_from_ns: int, paired_at_ns: int, second: Source | None
) -> None:
    for order in permutations([Fact(leg, Origin("t", 0, 0, at_ns)) for leg, at_ns in received]):
        found = sides_of(order)
        assert (found.waits_from_ns, found.paired_at_ns, found.second) == (waits_from_ns, paired_at_ns, second)


def test_event_time_is_the_executions_else_the_confirmations() -> None:
    execution, confirmation = ours(timestamp_ns=5), theirs(timestamp_ns=7)
    assert sides(execution, confirmation).event_time_ns == 5
    assert sides(confirmation, booked()).event_time_ns == 7
    assert sides(booked()).event_time_ns is None


@given(trades())
def test_the_fast_path_for_one_fact_of_each_source_gives_the_same(sent: list[Sent]) -> None:
    facts = facts_of(sent)
    firsts = list({fact.leg.source: fact for fact in reversed(facts)}.values())
    for subset in (facts, firsts, firsts[:1], firsts[:2]):
        assert sides_of(subset) == _sides_of_many(subset, last_wins=False)


def test_the_last_of_several_files_is_that_with_the_later_name() -> None:
    facts = [Fact(ours(price="11"), Origin("e-1700.csv", 0, 2)), Fact(ours(price="10"), Origin("e-0900.csv", 0, 4))]
    for order in permutations(facts):
        assert sides_of(order, last_wins=True).execution == ours(price="11")


@pytest.mark.parametrize(
    ("legs", "source"),
    [([ours(), ours(price="1")], OURS), ([theirs(), theirs(price="1")], THEIRS), ([booked(), booked("1")], PNL)],
)
def test_the_last_of_one_version_is_effective_where_the_rules_say_so(legs: list[Leg], source: Source) -> None:
    found = sides_of([Fact(leg, Origin("t", 0, place, place)) for place, leg in enumerate(legs)], last_wins=True)
    assert (found.effective(source), found.contested) == ((legs[1],), frozenset())


def test_rivals_that_spell_their_currency_otherwise_contest_nothing() -> None:
    effective_sides = sides(ours(currency="usd"), ours(currency="USD"), ours(currency="Usd"))
    assert effective_sides.contested == frozenset()
    assert effective_sides.execution == ours(currency="USD")
    assert sides(ours(currency="usd"), ours(currency="USD")).execution == ours(currency="USD")
    assert sides(ours(currency="GBp"), ours(currency="GBP")).contested == {(OURS, "currency")}
    assert sides(ours(currency="usdt"), ours(currency="USDT")).contested == {(OURS, "currency")}


@pytest.mark.parametrize(("sent", "code"), [("\u017fEK", "SEK"), ("\u0131dr", "IDR"), ("u\u017fd", "USD")])
def test_a_letter_that_only_python_folds_names_no_currency(sent: str, code: str) -> None:
    assert sent.upper() == code
    assert sides(ours(currency=sent), ours(currency=code)).contested == {(OURS, "currency")}


def test_more_rivals_than_the_bound_contest_everything() -> None:
    rivals = [ours(order_id=str(number)) for number in range(RIVALS + 1)]
    assert sides_of(arrived(*rivals[:-1])).contested == {(OURS, "order_id")}
    effective_sides = sides_of(arrived(*rivals))
    assert effective_sides.contested == {(OURS, field) for field in CONTENT[OURS]}
    assert effective_sides.execution is not None
    assert effective_sides.execution.price is None
    assert effective_sides.event_time_ns == SECOND_NS


def test_facts_dropped_from_a_full_side_are_neither_a_gap_nor_an_unknown_trade() -> None:
    full = [ours(version=version) for version in range(9, 9 + FACTS_PER_SIDE)]
    assert sides_of(arrived(*full)).version_gap is False
    assert sides_of(arrived(*full[1:])).version_gap is True
    unversioned = [ours(version=ALL_VERSIONS, kind=CANCEL, account=str(number)) for number in range(FACTS_PER_SIDE)]
    assert sides_of(arrived(*unversioned)).version_gap is False
    cancels = [ours(version=version, kind=CANCEL) for version in range(FACTS_PER_SIDE)]
    assert sides_of(arrived(*cancels)).cancels_nothing is False
    assert sides_of(arrived(*cancels[1:])).cancels_nothing is True
