"""Decoding in the sink: every valid result fits its row, and values that do not are foreign records."""

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from golden_files import FOLDER
from hypothesis import given
from legs import arrived, ours, theirs
from msgspec.structs import replace
from sink.outputs import results_of
from strategies import Sent, facts_of, trades

from traderecon.matching import result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Kind, Leg
from traderecon.records.instants import FOREVER_NS
from traderecon.records.numbers import FRACTION_DIGITS, INTEGER_DIGITS
from traderecon.records.result_head import decode_head, require_publishable
from traderecon.records.result_message import encode_result
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules
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


BREAK = encode_result(results_of("T1", [ours()])[0])
MATCH = encode_result(results_of("T1", [ours(), theirs()])[-1])


@given(trades(snapshots=False))
def test_every_result_has_a_finite_notional(sent: list[Sent]) -> None:
    facts = facts_of(sent)
    published = encode_result(result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp()))
    head = decode_head(published)
    require_publishable(head)
    notional = head.size.notional
    assert notional is None or Decimal(notional).is_finite()


@pytest.mark.parametrize(
    ("legs", "notional", "currency"),
    [
        ([ours(currency="JPY"), theirs(currency="EUR")], "19050", "JPY"),
        ([ours(kind=Kind.CANCEL, currency="JPY"), theirs(currency="EUR")], None, "EUR"),
        ([ours(currency="USD"), ours(currency="EUR"), theirs(currency="EUR")], "19050", None),
        ([ours(), theirs(price="191", currency="EUR")], "19050", "EUR"),
    ],
)
def test_a_break_is_in_the_currency_of_its_stake(legs: list[Leg], notional: str | None, currency: str | None) -> None:
    result = result_of(judge_trade(arrived(*legs), FOREVER_NS, FOUNDING), FOUNDING.stamp())
    head = decode_head(encode_result(result))
    assert head.at_stake is not None
    assert (head.size.notional, head.size.currency, head.at_stake.currency) == (notional, currency, currency)


def test_a_group_is_as_large_as_its_sum() -> None:
    rules = parse_rules('name = "orders"\ngroup_by = "order_id"')
    fills = [ours(member_id=member, quantity=quantity) for member, quantity in (("F1", "60"), ("F2", "40"))]
    for legs, notional in ((fills, "19050"), ([theirs(member_id="B1"), fills[0]], "11430")):
        result = result_of(judge_trade(arrived(*legs), FOREVER_NS, rules), rules.stamp())
        assert decode_head(encode_result(result)).size.notional == notional


@pytest.mark.parametrize("total", ["1E999999", "9" * 61, "many"])
def test_a_total_that_is_no_bounded_number_is_foreign(total: str) -> None:
    rules = parse_rules('name = "orders"\ngroup_by = "order_id"')
    fills = [ours(member_id="F1"), ours(member_id="F2")]
    published = encode_result(result_of(judge_trade(arrived(*fills), FOREVER_NS, rules), rules.stamp()))
    result = json.loads(published)
    require_publishable(decode_head(published))
    result["combined"]["executions"]["quantity"] = total
    with pytest.raises(ValueError, match=r"trade 'T1' has the total '[^']{1,100}', not a number"):
        require_publishable(decode_head(json.dumps(result)))


def test_every_result_of_an_earlier_version_is_accepted() -> None:
    values: list[bytes | str] = []
    for name in ("mismatch", "reconciled"):
        values += (FOLDER / f"{name}.jsonl").read_bytes().splitlines()
    published = len(values)
    for path in FOLDER.glob("database-*.sql"):
        with closing(sqlite3.connect(":memory:")) as database:
            database.executescript(path.read_text(encoding="utf-8"))
            values += [text for (text,) in database.execute("SELECT result FROM result_history WHERE result <> ''")]
    assert len(values) > published > 200
    for value in values:
        require_publishable(decode_head(value))


def test_amounts_of_as_many_digits_as_intake_allows_are_accepted() -> None:
    most = Decimal(f"{'9' * INTEGER_DIGITS}.{'9' * FRACTION_DIGITS}")
    for amount in (most, most.copy_negate(), Decimal(0), Decimal(1).scaleb(-FRACTION_DIGITS)):
        leg = replace(ours(), quantity=amount, price=amount)
        require_publishable(decode_head(encode_result(results_of("T1", [leg])[0])))


@pytest.mark.parametrize(
    ("result", "changes", "found"),
    [
        (BREAK, {"reasons": []}, "trade 'T1' is UNMATCHED without a reason"),
        (MATCH, {"reasons": ["PRICE_MISMATCH"]}, "trade 'T1' is MATCHED, but it has reasons: PRICE_MISMATCH"),
        (BREAK, {"trade_id": "T2"}, "trade 'T2' has the break '3649f607f154c8f6', not '[0-9a-f]{16}'"),
        (BREAK, {"trade_id": ""}, "its trade_id is empty"),
        (MATCH, {"trade_id": "T2"}, "trade 'T2' has the break"),
        *[
            (BREAK, {"amount": amount}, f"trade 'T1' has the amount '{re.escape(amount)}', not a number of at most 18")
            for amount in (
                "1e999999",
                "1E+18",
                "NaN",
                "Infinity",
                "1" * 19,
                f"0.{'1' * 19}",
                "1,5",
                " 1",
                "0x1",
                "\u0661",
            )
        ],
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
@pytest.mark.parametrize("field", ["quantity", "price"])
def test_a_result_that_nothing_of_ours_publishes_is_a_foreign_record(
    tmp_path: Path, result: bytes, changes: dict[str, Any], found: str, field: str
) -> None:
    message = json.loads(result)
    if "amount" in changes:
        message["legs"]["executions"][0]["payload"][field] = changes["amount"]
    else:
        message |= changes
    topic = "mismatch" if result is BREAK else "reconciled"
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    with pytest.raises(ForeignRecord, match=rf"^{topic}\[0\] offset 0, key b'k': {found}"):
        store.take(MicroBatch(topic, 0, [Record(0, 0, b"k", json.dumps(message).encode(), ())]))
    store.close()


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


@pytest.mark.parametrize("stake", ["-5", "1e999999", "NaN", "", "9" * 61])
def test_a_stake_that_no_version_publishes_is_refused(stake: str) -> None:
    value = encode_result(results_of("T1", [ours()])[0])
    assert b'"amount":"19050"' in value
    with pytest.raises(ValueError, match=r"trade 'T1' has the stake '.*', not a number of zero or more"):
        require_publishable(decode_head(value.replace(b'"amount":"19050"', b'"amount":"' + stake.encode() + b'"')))
