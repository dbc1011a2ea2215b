"""The row of a result is the row of a batch over the same legs, byte for byte."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import booked, judgement_of, ours, theirs
from strategies import Sent, facts_of, trades

from traderecon.batch.outputs import Format, frame, join_parts, write_part
from traderecon.matching import add, judge, result_of, sides_of
from traderecon.matching.assess import assess
from traderecon.present import trade_row as table
from traderecon.records import Fact, Kind, Leg, Origin, State
from traderecon.records.instants import FOREVER_NS
from traderecon.records.result_head import decode_head
from traderecon.records.result_message import decode_reasons, encode_result
from traderecon.rules import FOUNDING
from traderecon.web import columns


def result_and_row(facts: tuple[Fact, ...]) -> tuple[bytes, tuple[str, ...]] | None:
    """The result published by the stream, and the row written by a batch; None if there is no result yet."""
    sides = sides_of(facts)
    verdict = judge(sides, FOREVER_NS, FOUNDING)
    if verdict.state is State.PENDING:
        return None
    assessment = assess(sides, verdict, FOUNDING)
    published = result_of(judgement_of(facts, verdict, assessment), FOUNDING.stamp())
    return encode_result(published), table.row(facts[0].leg.trade_id, sides, verdict, assessment)


def facts_from(sent: list[Sent]) -> tuple[Fact, ...]:
    facts: tuple[Fact, ...] = ()
    for fact in facts_of(sent):
        facts, _ = add(facts, fact)
    return facts


@given(trades())
def test_a_result_has_the_same_row_as_in_a_batch(sent: list[Sent]) -> None:
    pair = result_and_row(facts_from(sent))
    if pair is not None:
        assert columns.row(pair[0]) == pair[1]


@pytest.mark.parametrize(
    "legs",
    [
        (ours(), theirs(price="191"), theirs(version=2, kind=Kind.AMEND)),
        (ours(), theirs(), booked(None, "0.5")),
        (ours(), ours(quantity="101"), theirs()),
        (theirs(kind=Kind.CANCEL),),
    ],
)
def test_the_effective_leg_is_in_the_row(legs: tuple[Leg, ...]) -> None:
    pair = result_and_row(tuple(Fact(leg, Origin("t", 0, offset)) for offset, leg in enumerate(legs)))
    assert pair is not None
    assert columns.row(pair[0]) == pair[1]


def test_a_field_of_one_feed_is_a_custom_field_in_another() -> None:
    """An execution may well bring a field ``commission`` of its own, as a number."""
    pair = result_and_row((Fact(ours(), Origin("t", 0, 0)), Fact(theirs(), Origin("t", 0, 1))))
    assert pair is not None
    document = json.loads(pair[0], parse_float=Decimal)
    document["legs"]["executions"][0]["payload"] |= {"commission": 5, "pnl_impact": [1]}
    assert columns.row(json.dumps(document)) == pair[1]


@pytest.mark.parametrize(
    "left_out", ['"rules"', '"tolerance"', '"received_at"'], ids=["no rules", "no tolerance", "a leg not received"]
)
def test_a_result_that_the_sink_accepts_has_a_row(left_out: str) -> None:
    """Another program may write to the topic; one such result must not end every download."""
    pair = result_and_row((Fact(ours(), Origin("t", 0, 0)), Fact(theirs(price="191"), Origin("t", 0, 1))))
    assert pair is not None
    foreign = pair[0].replace(left_out.encode(), b'"other"')
    assert decode_head(foreign).trade_id == pair[1][0]
    cells = columns.row(foreign)
    assert len(cells) == len(pair[1])
    assert cells[:3] == pair[1][:3]
    assert decode_reasons(foreign) == tuple(pair[1][2].split(";"))


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20) | st.sampled_from(
    ("=1+1", ' "=x', "@SUM(A1)", "a,b", 'say "x"', "-1", "＝1", "#1", "'", '"', " ")
)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_the_lines_are_the_same_as_in_a_batch(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[str, str]]
) -> None:
    pairs = []
    for trade_id, ticker in sent:
        legs: tuple[Leg, ...] = (ours(trade_id=trade_id, ticker=ticker), theirs(trade_id=trade_id))
        pair = result_and_row(tuple(Fact(leg, Origin("t", 0, offset)) for offset, leg in enumerate(legs)))
        assert pair is not None
        pairs.append(pair)
    folder: Path = tmp_path_factory.getbasetemp()
    part, out = folder / "part", folder / "out.csv"
    write_part(Format.CSV, frame([row for _, row in pairs]), part)
    join_parts(Format.CSV, [part], out)
    assert columns.header() + columns.lines((published, None) for published, _ in pairs) == out.read_bytes()
