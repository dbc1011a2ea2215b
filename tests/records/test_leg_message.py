"""A result read back from its topic: the other direction of its JSON."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import SECOND_NS, booked, ours, theirs
from strategies import Sent, facts_of, trades

from traderecon.matching import decided, result, verdict
from traderecon.matching.results import told
from traderecon.records import Fact, Origin, State
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import FOREVER_NS
from traderecon.records.leg_message import instant
from traderecon.records.result_message import Published, encode_result, published
from traderecon.rules import FOUNDING


def read_back(*facts: Fact) -> tuple[Published, Published]:
    """What a result on these facts is read back as, and what it was."""
    made = result(decided(facts, verdict(facts, FOREVER_NS, FOUNDING)), FOUNDING.stamp())
    return published(encode_result(made)), Published(made.trade_id, told(made), made.facts)


def test_the_facts_and_what_was_published_last() -> None:
    note: dict[str, str | msgspec.Raw] = {"venue": "XNAS", "lots": msgspec.Raw(b"[1.10]"), "pnl_impact": "n/a"}
    theirs_alone: dict[str, str | msgspec.Raw] = {"timestamp": "n/a", "kind": msgspec.Raw(b"5"), "hints": "x"}
    found, made = read_back(
        Fact(ours(side="BUY"), Origin("executions", 2, 17, SECOND_NS + 500_000_000), note),
        Fact(theirs(price="190.505", timestamp_ns=SECOND_NS - 90_000_001, granularity=9), Origin("c.csv", 0, 2)),
        Fact(booked("95.00", version=2), Origin("pnl_snapshot", 0, 1), theirs_alone),
    )
    assert found.last == made.last
    assert {fact.origin for fact in found.facts} == {fact.origin for fact in made.facts}
    assert {fact.leg for fact in found.facts} == {fact.leg for fact in made.facts}
    extras = [fact.extra for fact in found.facts if fact.extra is not None]
    assert [{name: bytes(msgspec.Raw(value)) for name, value in extra.items()} for extra in extras] == [
        {"venue": b'"XNAS"', "lots": b"[1.10]", "pnl_impact": b'"n/a"'},
        {"timestamp": b'"n/a"', "kind": b"5", "hints": b'"x"'},
    ]


@given(trades(), st.data())
def test_whatever_was_sent_is_read_back(sent: list[Sent], data: st.DataObject) -> None:
    facts = facts_of(sent)
    if not facts or verdict(facts, FOREVER_NS, FOUNDING).state is State.PENDING:
        return
    found, made = read_back(*facts)
    assert found.last == made.last
    for back, there in zip(sorted(found.facts, key=place), sorted(made.facts, key=place), strict=True):
        assert back.leg == there.leg
        assert msgspec.json.encode(back.extra) == msgspec.json.encode(there.extra)


def place(fact: Fact) -> tuple[str, str, int, int]:
    origin = fact.origin
    return fact.leg.source, origin.topic, origin.partition, origin.offset


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"trade_id":"T1"}'])
def test_what_is_no_result(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        published(value)


def test_a_result_of_a_newer_version_is_refused() -> None:
    with pytest.raises(OtherFormat):
        published(b'{"format":3}')
    made = result(
        decided([Fact(ours(), Origin("e", 0, 0))], verdict([Fact(ours(), Origin("e", 0, 0))], 0, FOUNDING)),
        FOUNDING.stamp(),
    )
    with pytest.raises(OtherFormat):
        published(json.dumps({**json.loads(encode_result(made)), "format": 3}).encode())


def test_a_time_that_no_result_has() -> None:
    with pytest.raises(ValueError, match="is not a time as results write it"):
        instant("2025-07-26 10:01")
