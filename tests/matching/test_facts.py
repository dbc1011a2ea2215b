"""The grow-only set: what it holds, and how a fact arrived."""

import msgspec
import pytest
from legs import arrived, booked, ours, theirs

from traderecon.matching import Arrival, add
from traderecon.records import Fact, Hint, Kind, Leg, Origin
from traderecon.records.bounds import FACTS_PER_SIDE

ELSEWHERE = Origin("elsewhere", 3, 7, 9)


def arrival(leg: Leg, *existing: Leg) -> Arrival:
    before = arrived(*existing)
    fact = Fact(leg, ELSEWHERE)
    after, kind = add(before, fact)
    assert after == (before if kind in {Arrival.IDENTICAL, Arrival.OUTRANKED} else (*before, fact))
    return kind


def test_the_first_fact_is_new() -> None:
    fact = arrived(ours())[0]
    assert add((), fact) == ((fact,), Arrival.NEW)


def test_the_first_of_identical_facts_stays_with_its_origin() -> None:
    existing = arrived(ours(), theirs())
    after, kind = add(existing, Fact(theirs(), ELSEWHERE))
    assert after is existing
    assert kind is Arrival.IDENTICAL


@pytest.mark.parametrize(
    ("leg", "existing", "kind"),
    [
        (ours(), [theirs(), booked()], "new"),
        (ours(), [theirs(version=5), booked(version=5)], "new"),
        (ours(), [ours(price="190.60")], "conflicting"),
        (ours(granularity=0), [ours()], "respelt"),
        (ours(hints=(Hint.NORMALISED,)), [ours()], "respelt"),
        (ours(granularity=0), [ours(), ours(price="1")], "conflicting"),
        (ours(version=2), [ours()], "new"),
        (ours(), [ours(version=2)], "stale"),
        (ours(version=2, price="1"), [ours(version=2), ours(version=3)], "stale"),
        (ours(version=3, price="1"), [ours(version=2), ours(version=3)], "conflicting"),
        (ours(kind=Kind.AMEND), [ours()], "new"),
        (ours(kind=Kind.CANCEL), [ours(kind=Kind.AMEND)], "new"),
        (ours(), [ours(kind=Kind.AMEND)], "stale"),
        (ours(kind=Kind.AMEND), [ours(kind=Kind.CANCEL)], "stale"),
        (ours(version=2), [ours(kind=Kind.CANCEL)], "new"),
        (ours(kind=Kind.CANCEL, price="1"), [ours(kind=Kind.CANCEL)], "enriched"),
        (ours(account="A"), [ours()], "enriched"),
        (ours(), [ours(account="A")], "enriched"),
        (ours(account="A", granularity=0), [ours(), ours(account="A")], "respelt"),
        (ours(account="B"), [ours(), ours(account="A")], "conflicting"),
        (booked(None), [booked()], "enriched"),
        (booked("1"), [booked("2"), ours(version=9)], "conflicting"),
        (booked("1", version=2), [booked("1")], "new"),
        (ours(), [ours(), ours(version=2)], "identical"),
    ],
)
def test_how_a_fact_arrives(leg: Leg, existing: list[Leg], kind: str) -> None:
    assert arrival(leg, *existing) == kind


def test_a_full_side_keeps_its_highest_and_the_other_side_has_room() -> None:
    highest = arrived(*(ours(version=version) for version in range(2, FACTS_PER_SIDE + 2)))
    facts: tuple[Fact, ...] = ()
    for fact in highest:
        facts, kind = add(facts, fact)
        assert kind is Arrival.NEW
    assert add(facts, Fact(ours(), ELSEWHERE)) == (highest, Arrival.OUTRANKED)
    assert add(facts, Fact(ours(version=2), ELSEWHERE)) == (highest, Arrival.IDENTICAL)
    newest = Fact(ours(version=99), ELSEWHERE)
    assert add(facts, newest) == ((*highest[1:], newest), Arrival.NEW)
    stale = Fact(ours(version=5, kind=Kind.AMEND), ELSEWHERE)
    assert add(facts, stale) == ((*highest[1:], stale), Arrival.STALE)
    for leg in (theirs(), booked()):
        assert add(facts, Fact(leg, ELSEWHERE)) == ((*highest, Fact(leg, ELSEWHERE)), Arrival.NEW)


def test_arrivals_have_names() -> None:
    assert [str(kind) for kind in Arrival] == [
        "new",
        "identical",
        "respelt",
        "enriched",
        "conflicting",
        "stale",
        "outranked",
        "closed",
    ]
    assert msgspec.json.encode(Arrival.OUTRANKED) == b'"outranked"'
