"""The journal's records are decoded as they were encoded."""

import msgspec
import pytest
from hypothesis import given
from strategies import Sent, facts_of, trades

from traderecon.intake import decode
from traderecon.records import Fact, Origin, Source
from traderecon.records.journal import Progress, decode_fact, decode_progress, encode_journal


@given(trades())
def test_a_fact_is_decoded_as_it_was_encoded(sent: list[Sent]) -> None:
    for fact in facts_of(sent):
        again = decode_fact(encode_journal(fact))
        assert (again.leg, again.origin, encode_journal(again)) == (fact.leg, fact.origin, encode_journal(fact))


def test_unknown_fields_are_decoded_as_they_were_sent() -> None:
    row = (
        b'{"trade_id":"T1","ticker":"A","quantity":1,"price":2,"timestamp":"2025-07-26T10:01:23Z","venue":"X","n":1.50}'
    )
    fact = decode(Source.EXECUTIONS, row, Origin("executions", 1, 2, 3))
    assert isinstance(fact, Fact)
    encoded = encode_journal(fact)
    again = decode_fact(encoded)
    assert (again.leg, again.origin) == (fact.leg, fact.origin)
    assert encode_journal(again) == encoded
    assert b'"extra":{"venue":"X","n":1.50}' in encoded


def test_progress_is_decoded_as_it_was_encoded() -> None:
    progress = Progress(5, {"executions": [0, 2]}, {"executions": 4})
    assert decode_progress(encode_journal(progress)) == progress


@pytest.mark.parametrize("value", [b"", b"{}", b'{"leg":7}', b"no json"])
def test_any_other_value_is_an_error_and_not_a_newer_format(value: bytes) -> None:
    for decode_record in (decode_fact, decode_progress):
        with pytest.raises(msgspec.MsgspecError):
            decode_record(value)
