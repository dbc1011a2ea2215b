"""A result decoded from its topic."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import SECOND_NS, booked, ours, theirs
from strategies import Sent, facts_of, trades

from traderecon.matching import judge_facts, result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.matching.results import to_last_published
from traderecon.records import Fact, Origin, State
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import FOREVER_NS
from traderecon.records.leg_message import instant
from traderecon.records.result_message import PublishedResult, decode_published, encode_result
from traderecon.rules import FOUNDING


def read_back(*facts: Fact) -> tuple[PublishedResult, PublishedResult]:
    """A result on these facts as it is decoded, and as it was encoded."""
    encoded = result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp())
    return decode_published(encode_result(encoded)), PublishedResult(
        encoded.trade_id, to_last_published(encoded), encoded.facts
    )


def test_the_facts_and_the_last_published_result() -> None:
    note: dict[str, str | msgspec.Raw] = {"venue": "XNAS", "lots": msgspec.Raw(b"[1.10]"), "pnl_impact": "n/a"}
    own_fields: dict[str, str | msgspec.Raw] = {"timestamp": "n/a", "kind": msgspec.Raw(b"5"), "hints": "x"}
    decoded, encoded = read_back(
        Fact(ours(side="BUY"), Origin("executions", 2, 17, SECOND_NS + 500_000_000), note),
        Fact(theirs(price="190.505", timestamp_ns=SECOND_NS - 90_000_001, granularity=9), Origin("c.csv", 0, 2)),
        Fact(booked("95.00", version=2), Origin("pnl_snapshot", 0, 1), own_fields),
    )
    assert decoded.last == encoded.last
    assert {fact.origin for fact in decoded.facts} == {fact.origin for fact in encoded.facts}
    assert {fact.leg for fact in decoded.facts} == {fact.leg for fact in encoded.facts}
    extras = [fact.extra for fact in decoded.facts if fact.extra is not None]
    assert [{name: bytes(msgspec.Raw(value)) for name, value in extra.items()} for extra in extras] == [
        {"venue": b'"XNAS"', "lots": b"[1.10]", "pnl_impact": b'"n/a"'},
        {"timestamp": b'"n/a"', "kind": b"5", "hints": b'"x"'},
    ]


@given(trades(), st.data())
def test_every_result_is_decoded_as_it_was_encoded(sent: list[Sent], data: st.DataObject) -> None:
    facts = facts_of(sent)
    if not facts or judge_facts(facts, FOREVER_NS, FOUNDING).state is State.PENDING:
        return
    decoded, encoded = read_back(*facts)
    assert decoded.last == encoded.last
    pairs = zip(sorted(decoded.facts, key=coordinates), sorted(encoded.facts, key=coordinates), strict=True)
    for fact, original in pairs:
        assert fact.leg == original.leg
        assert msgspec.json.encode(fact.extra) == msgspec.json.encode(original.extra)


def coordinates(fact: Fact) -> tuple[str, str, int, int]:
    origin = fact.origin
    return fact.leg.source, origin.topic, origin.partition, origin.offset


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"trade_id":"T1"}'])
def test_other_values_are_errors(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_published(value)


def test_a_result_of_a_newer_format_is_an_error() -> None:
    with pytest.raises(OtherFormat):
        decode_published(b'{"format":7}')
    encoded = result_of(
        judge_trade([Fact(ours(), Origin("e", 0, 0))], 0, FOUNDING),
        FOUNDING.stamp(),
    )
    with pytest.raises(OtherFormat):
        decode_published(json.dumps({**json.loads(encode_result(encoded)), "format": 7}).encode())


def test_a_time_in_another_format() -> None:
    with pytest.raises(ValueError, match="is not a time as results write it"):
        instant("2025-07-26 10:01")


def test_a_commission_of_an_earlier_format_was_a_field_of_the_senders_own() -> None:
    """As an earlier version published it: any value, beside the leg and not in its identity."""
    fact = Fact(ours(), Origin("e", 0, 0))
    message = json.loads(encode_result(result_of(judge_trade([fact], 0, FOUNDING), FOUNDING.stamp())))
    message["legs"]["executions"][0]["payload"] |= {"commission": 5, "trade_date": ["today"]}
    (read,) = decode_published(json.dumps(message).encode()).facts
    assert read.leg == fact.leg
    assert set(read.extra or ()) == {"commission", "trade_date"}


def test_a_commission_that_an_earlier_version_left_beside_its_leg_stays_beside_it() -> None:
    """Its fact is in the journal; published again, it must not become the leg's own."""
    old = Fact(ours(), Origin("e", 0, 0), {"commission": msgspec.Raw(b"5")})
    new = Fact(ours(commission=1, version=2), Origin("e", 0, 1))
    read, _ = read_back(old, new)
    assert [fact.leg for fact in read.facts] == [old.leg, new.leg]
    assert read.facts[0].extra == {"unread_commission": msgspec.Raw(b"5")}
