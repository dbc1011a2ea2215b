"""Bad input of every kind: each message a dead letter with its reason and origin, its neighbours reconciled."""

import asyncio
import hashlib
import json
from base64 import b64decode
from typing import NamedTuple

import pytest
from bad_inputs import assert_outcomes, corpus, sequences, table
from pipeline_case import Installation
from pipeline_truth import assert_history_holds
from scenario import Message, as_messages, stories

from traderecon.client.connection import connect
from traderecon.records import RejectCode, Rejected
from traderecon.records.bounds import FACTS_PER_SIDE
from traderecon.transport import Outgoing

CODES_WITHOUT_MESSAGE = {RejectCode.HANDLER_ERROR, RejectCode.TOO_MANY_FACTS, RejectCode.TIMESTAMP_AMBIGUOUS}
"""Codes that depend on more than the message; the last one needs a feed that sends local time."""


class BadMessage(NamedTuple):
    """A message that is rejected in a story, and its code."""

    topic: str
    value: bytes | None
    code: str


def bad_messages() -> list[BadMessage]:
    """Every message that is rejected in a story with default feeds, and two more."""
    messages = [
        BadMessage("executions", good("T1").replace(b"2025-07-26", b"2025-02-30"), RejectCode.TIMESTAMP_INVALID),
        BadMessage("executions", b"9" * 600_000, RejectCode.SIZE_EXCEEDED),
    ]
    for story in stories().values():
        if story.sources or story.parsed_rules.match_key:
            continue
        for message, step in zip(story.messages, as_messages(story), strict=True):
            if isinstance(message, Message) and isinstance(step, Rejected):
                messages.append(BadMessage(message.topic, message.value, step.code))
    return messages


def good(trade_id: str, topic: str = "executions") -> bytes:
    """A leg of a trade on which all three sources agree."""
    if topic == "pnl_snapshot":
        return json.dumps({"trade_id": trade_id, "pnl_impact": "19050", "commission": "0"}).encode()
    terms = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
    return json.dumps({"trade_id": trade_id, **terms}).encode()


@pytest.mark.matrix("D4", "D5", "D6", "D8", "T5")
def test_every_bad_input_of_the_table_gives_its_outcome(
    installation: Installation,
) -> None:
    installation.start_ready()

    async def send() -> None:
        async with connect(installation.broker, installation.data_dir) as client:
            for topic, lines in sequences().items():
                rows = [Outgoing(message.key, message.value, None, tuple(message.headers)) for message, _ in lines]
                await client.append(topic, 0, rows)

    asyncio.run(send())
    installation.until_decided()
    assert_outcomes(installation)


@pytest.mark.matrix("D4")
def test_all_forty_five_rows_of_the_table_are_sent() -> None:
    assert [bad.row for bad in corpus()] == list(table())
    assert {int(row[:2]) for row in table()} == set(range(1, 46))
    assert all(bool(bad.trades) != table()[bad.row].is_letter for bad in corpus())


@pytest.mark.matrix("D4", "D5")
def test_every_bad_message_is_a_dead_letter_and_its_neighbours_are_reconciled(installation: Installation) -> None:
    worker = installation.start_ready()
    sent: dict[tuple[str, int], BadMessage] = {}
    messages = bad_messages()
    for topic in installation.topics.inputs:
        values: list[bytes | None] = []
        for number, bad in enumerate(messages):
            if bad.topic == topic:
                sent[topic, len(values)] = bad
                values.append(bad.value)
            values.append(good(f"N{number}", topic))
        installation.append(topic, values, key=b"T1")
    installation.until_decided()
    columns = "source_topic, source_partition, source_offset, code, text, sha256, size, raw, truncated"
    dead_letters = installation.rows(f"SELECT {columns} FROM dead_letters")
    assert {(topic, offset): code for topic, _, offset, code, *_ in dead_letters} == {
        position: bad.code for position, bad in sent.items()
    }
    for topic, partition, offset, _, text, sha256, size, raw, truncated in dead_letters:
        value = sent[topic, offset].value
        assert partition == 0
        assert len(text.split()) > 3
        assert size == len(value or b"")
        if value is None:
            assert (sha256, raw) == (None, None)
        else:
            assert sha256 == hashlib.sha256(value).hexdigest()
            assert value.startswith(b64decode(raw))
            assert truncated or len(b64decode(raw)) == size
    states = installation.rows("SELECT trade_id, state, version FROM results")
    assert sorted(states) == sorted((f"N{number}", "MATCHED", 3) for number in range(len(messages)))
    page = json.loads(worker.get("/dead-letters.json?per_page=100"))
    assert page["count"] == len(sent)
    listed = {(row["source_topic"], row["source_offset"]): row["code"] for row in page["rows"]}
    assert listed.items() <= {position: bad.code for position, bad in sent.items()}.items()
    assert_history_holds(installation)


def test_there_is_a_bad_message_for_every_code() -> None:
    assert {bad.code for bad in bad_messages()} == set(RejectCode) - CODES_WITHOUT_MESSAGE


def test_extra_fields_may_have_any_type(installation: Installation) -> None:
    """Fields known in one source are extra fields in another: stored as sent, and ignored."""
    extra_fields = {
        "ticker": 7,
        "quantity": [1],
        "price": {"amount": None},
        "timestamp": True,
        "pnl_impact": "1",
        "id": 1.0,
    }
    worker = installation.start_ready()
    for topic in installation.topics.inputs:
        leg = json.loads(good("T1", topic))
        installation.append(topic, [json.dumps({**extra_fields, **leg}).encode()])
    installation.until_decided()
    assert installation.rows("SELECT trade_id, state, ticker FROM results") == [("T1", "MATCHED", "AAPL")]
    for path in ("/trades/T1", "/download/csv", "/trades.json", "/breaks.csv"):
        worker.get(path)


@pytest.mark.matrix("D10")
def test_versions_beyond_the_limit_are_counted_and_reject_nothing(installation: Installation) -> None:
    worker = installation.start_ready()
    execution = json.loads(good("T1"))
    versions = [json.dumps({**execution, "version": version}).encode() for version in range(1, 71)]
    old = json.dumps({**execution, "version": 0, "price": "1"}).encode()
    installation.append("executions", [*versions, old, good("N1")])
    installation.append("broker_confirmations", [good("T1"), good("N1")])
    installation.until_decided()
    assert installation.rows("SELECT code FROM dead_letters") == []
    state = "SELECT state FROM results WHERE trade_id = ?"
    assert installation.rows(state, "T1") == installation.rows(state, "N1") == [("MATCHED",)]
    result = json.loads(str(installation.one("SELECT result FROM result_history ORDER BY length(result) DESC LIMIT 1")))
    assert len(result["legs"]["executions"]) == FACTS_PER_SIDE
    assert worker.metric('traderecon_duplicates_total{kind="outranked",topic="executions"}') == 1
    assert not worker.metric('traderecon_duplicates_total{kind="stale",topic="executions"}')
    assert worker.leave() == 0
