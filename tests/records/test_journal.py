"""The journal's records give back what was put into them."""

import msgspec
import pytest
from hypothesis import given
from strategies import Sent, facts_of, trades

from traderecon.intake import decode
from traderecon.records import Fact, Origin, Source
from traderecon.records.journal import Progress, decode_fact, decode_progress, encode_journal


@given(trades())
def test_a_fact_comes_back_as_it_was(sent: list[Sent]) -> None:
    for fact in facts_of(sent):
        again = decode_fact(encode_journal(fact))
        assert (again.leg, again.origin, encode_journal(again)) == (fact.leg, fact.origin, encode_journal(fact))


def test_fields_that_we_do_not_know_come_back_as_they_were_sent() -> None:
    row = (
        b'{"trade_id":"T1","ticker":"A","quantity":1,"price":2,"timestamp":"2025-07-26T10:01:23Z","venue":"X","n":1.50}'
    )
    fact = decode(Source.EXECUTIONS, row, Origin("executions", 1, 2, 3))
    assert isinstance(fact, Fact)
    once = encode_journal(fact)
    again = decode_fact(once)
    assert (again.leg, again.origin) == (fact.leg, fact.origin)
    assert encode_journal(again) == once
    assert b'"extra":{"venue":"X","n":1.50}' in once


def test_progress_comes_back_as_it_was() -> None:
    progress = Progress(5, {"executions": [0, 2]}, {"executions": 4})
    assert decode_progress(encode_journal(progress)) == progress


@pytest.mark.parametrize("value", [b"", b"{}", b'{"leg":7}', b"no json"])
def test_what_is_neither_is_a_bug_and_no_newer_format(value: bytes) -> None:
    for read in (decode_fact, decode_progress):
        with pytest.raises(msgspec.MsgspecError):
            read(value)
