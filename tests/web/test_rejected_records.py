"""A rejected record is shown at the trade that it names: on its page, in the list of breaks and in their files."""

import csv
import io
import json
from pathlib import Path

import pytest
from legs import ours, theirs
from sink.outputs import Outputs
from web.desk import served

from traderecon.intake import SourceSettings, decode
from traderecon.records import Leg, Origin, Rejected, Source
from traderecon.records.action import DeadLetterAction, Deed, encode_action
from traderecon.records.dead_letter import encode_dead_letter
from traderecon.sink.store import Store
from traderecon.topics import topics

TOPICS = topics("")
KEYS = SourceSettings(key_fields=("broker",))
TERMS = {"ticker": "AAPL", "quantity": "1", "price": "1", "timestamp": "2025-07-26T10:01:23Z"}
TRADES: dict[str, tuple[Leg, ...]] = {
    "T1": (theirs(),),
    "T2": (ours(), theirs(price="191")),
    "V1|broker=BRKA": (theirs(trade_id="V1|broker=BRKA", sent_id="V1"),),
    "O1": (ours(trade_id="O1", member_id="F1"), ours(trade_id="O1", member_id="F2")),
}


def rejected(offset: int, record: dict[str, str], settings: SourceSettings | None = None) -> tuple[bytes, bytes]:
    """The record of an execution that is not accepted, and its dead letter."""
    value = json.dumps(record).encode()
    found = decode(Source.EXECUTIONS, value, Origin("executions", 0, offset), settings or SourceSettings())
    assert isinstance(found, Rejected)
    return value, encode_dead_letter(found, None, value)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with breaks, and the dead letters of executions that name their trades."""
    outputs = Outputs()
    for trade_id, legs in TRADES.items():
        outputs.publish_trade(trade_id, legs)
    letters = [
        rejected(1, {"trade_id": " T1 ", "ticker": "AAPL"}),
        rejected(2, {"trade_id": "T1", "ticker": "AAPL", "quantity": "-1", "price": "1"}),
        rejected(3, {"trade_id": "V1", "ticker": "<b>"}, KEYS),
        rejected(4, {"trade_id": "F1", **TERMS}, SourceSettings(group_field="order_id")),
        rejected(5, {"trade_id": "N/A"}),
    ]
    for _, letter in letters:
        outputs.append(TOPICS.dead_letters, 0, None, letter)
    url = f"sqlite:///{tmp_path / 'traderecon.db'}"
    store = Store.open(url)
    store.prepare()
    outputs.write_to(store)
    store.close()
    return url


def test_the_list_of_breaks_says_that_our_record_came_and_was_refused(url: str, tmp_path: Path) -> None:
    with served(tmp_path, url) as desk:
        found = {row["trade_id"]: row["rejections"] for row in desk.json("/breaks.json")["rows"]}
        assert found == {
            "T1": ["executions FIELD_MISSING", "executions VALUE_OUT_OF_RANGE"],
            "T2": [],
            "V1|broker=BRKA": ["executions FIELD_MISSING"],
            "O1": ["executions KEY_MISSING"],
        }
        assert "rejected: <bdi>executions FIELD_MISSING</bdi>" in desk.text("/breaks")
        rows = csv.DictReader(io.StringIO(desk.text("/breaks.csv")))
        assert {row["trade_id"]: row["rejections"] for row in rows}["T1"].startswith("executions FIELD_MISSING;")


def test_the_page_of_a_trade_shows_each_with_its_text(url: str, tmp_path: Path) -> None:
    with served(tmp_path, url) as desk:
        page = desk.text("/trades/T1")
        assert "Rejected records" in page
        assert "executions/0/1" in page
        assert "T1 has quantity &#39;-1&#39;: send a quantity above zero" in page
        assert "Rejected records" not in desk.text("/trades/T2")
        (rejection,) = desk.json("/trades/O1.json")["rejected"]
        assert (rejection["id"], rejection["code"], rejection["state"]) == ("executions/0/4", "KEY_MISSING", "open")


def test_one_that_was_replayed_or_discarded_is_settled(url: str, tmp_path: Path) -> None:
    outputs = Outputs()
    letter = "executions/0/3"
    action = DeadLetterAction("a1", Deed.DISCARD, letter, letter, "desk", "2026-11-30T10:00:00Z", "a test")
    outputs.append(TOPICS.actions, 0, action.key, encode_action(action))
    store = Store.existing(url)
    outputs.write_to(store)
    store.close()
    with served(tmp_path, url) as desk:
        found = {row["trade_id"]: row["rejections"] for row in desk.json("/breaks.json")["rows"]}
        assert found["V1|broker=BRKA"] == []
        (rejection,) = desk.json("/trades/V1%7Cbroker=BRKA.json")["rejected"]
        assert rejection["state"] == "discarded"
