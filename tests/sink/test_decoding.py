"""Decoding in the sink: every valid result fits its row, and values that do not are foreign records."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from strategies import Sent, facts_of, trades

from traderecon.matching import judge_facts, judgement_of, result_of
from traderecon.records.instants import FOREVER_NS
from traderecon.records.result_message import decode_head, encode_result
from traderecon.rules import FOUNDING
from traderecon.sink.decoding import ForeignRecord
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record

CHANGE: dict[str, Any] = {
    "action_id": "a",
    "partition": 0,
    "offset": 0,
    "before": "x",
    "after": "y",
    "difference": {},
    "about": "rules",
}
STANDING: dict[str, Any] = {"partition": 0, "watermark": None, "pending": {"pnl": 1}, "oldest": []}


@given(trades(snapshots=False))
def test_every_result_has_a_finite_notional(sent: list[Sent]) -> None:
    facts = facts_of(sent)
    published = encode_result(
        result_of(judgement_of(facts, judge_facts(facts, FOREVER_NS, FOUNDING)), FOUNDING.stamp())
    )
    notional = decode_head(published).size.notional
    assert notional is None or Decimal(notional).is_finite()


@pytest.mark.parametrize(
    ("topic", "valid", "wrong"),
    [
        ("actions", CHANGE, {"partition": 2**63}),
        ("actions", CHANGE, {"offset": 10**30}),
        ("actions", CHANGE, {"offset": -1}),
        ("standings", STANDING, {"pending": 5}),
        ("standings", STANDING, {"pending": {"pnl": 2**63}}),
        ("standings", STANDING, {"pending": {"pnl": -1}}),
        ("standings", STANDING, {"pending": {"pnl": 1.5}}),
        ("standings", STANDING, {"oldest": "q"}),
        ("standings", STANDING, {"oldest": [{}]}),
        ("standings", STANDING, {"watermark": "yesterday"}),
        ("standings", STANDING, {"partition": 10**30}),
    ],
    ids=str,
)
def test_values_that_cannot_be_stored_are_foreign_records(
    tmp_path: Path, topic: str, valid: Mapping[str, Any], wrong: Mapping[str, Any]
) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    values = [json.dumps({**valid, **wrong}).encode(), json.dumps({**valid, "more": "DEEP"}).encode()]
    values[1] = values[1].replace(b'"DEEP"', b"[" * 100_000 + b"]" * 100_000)
    for value in values:
        with pytest.raises(ForeignRecord):
            store.take(MicroBatch(topic, 0, [Record(0, 0, b"k", value, ())]))
    store.take(MicroBatch(topic, 0, [Record(0, 0, b"k", json.dumps(valid).encode(), ())]))
    queries = Queries(store.readers)
    assert (len(queries.partition_statuses()), sum(queries.states().values())) == (
        (1, 1) if topic == "standings" else (0, 0)
    )
    store.close()
