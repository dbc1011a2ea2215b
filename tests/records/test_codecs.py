"""Every topic has one codec: only that module encodes and decodes its records."""

import ast
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_architecture import SOURCES, TREES

from traderecon.records import Source
from traderecon.records.account import Account, Disposition, decode_account, encode_account
from traderecon.records.action import (
    Action,
    DeadLetterAction,
    Deed,
    Hold,
    Purge,
    Release,
    RulesChange,
    Skip,
    WatermarkReset,
    decode_action,
    encode_action,
)
from traderecon.records.checkpoint import Checkpoint, decode_checkpoint
from traderecon.records.dead_letter import DeadLetter, decode_dead_letter
from traderecon.records.journal import Progress, decode_progress, encode_journal
from traderecon.records.partition_status import (
    PartitionStatus,
    WaitingTrade,
    decode_oldest,
    decode_pending,
    decode_status,
    encode_status,
    to_columns,
)
from traderecon.topics import Topics, topics

CODECS = {
    **dict.fromkeys((source.value for source in Source), "intake.messages"),
    "legs": "records.journal",
    "reconciled": "records.result_message",
    "mismatch": "records.result_message",
    "dead_letters": "records.dead_letter",
    "standings": "records.partition_status",
    "accounts": "records.account",
    "actions": "records.action",
    "checkpoints": "records.checkpoint",
}
OTHER_JSON = {
    "audit.evidence": "an anchor file",
    "audit.proof": "a result, as a proof shows it",
    "audit.verify": "a result, to recompute its claim",
    "audit.verify_proof": "a proof file; it imports nothing of what it checks",
    "cli.audit": "a proof file",
    "demo.day": "demo.json",
    "intake.journal_time": "clock.json",
    "intake.snapshot_cancels": "a field of an input",
    "preflight.pages": "the health of another worker",
    "rules.content": "rules that it has just encoded",
    "sink.ledger": "a column of the database",
    "sink.queries": "columns of the database",
    "transport.fingerprint": "the note of a commit",
    "transport.retry_counts": "retry-counts.json",
    "web.columns": "a field of a payload",
    "web.siblings": "the health of a sibling process",
    "web.evidence": "a field of a payload",
    "worker.identity": "identity.json",
    "worker.log_databases": "databases.json",
}
"""Modules that decode other JSON, and which; ``tables`` decodes its rows, which are the changelog."""

text = st.text(max_size=20)
number = st.integers(0, 2**63 - 1)
optional = st.none() | text
ACTIONS: dict[type, st.SearchStrategy[Any]] = {
    DeadLetterAction: st.builds(DeadLetterAction, text, st.sampled_from(Deed), text, text, text, text, text),
    RulesChange: st.builds(
        RulesChange,
        text,
        number,
        number,
        text,
        text,
        st.dictionaries(text, st.tuples(text, text)),
        st.just(msgspec.UNSET) | st.dictionaries(text, text),
    ),
    Hold: st.builds(Hold, text, text, text, text, text) | st.builds(Hold, text, text, text, text, ticker=text),
    Release: st.builds(Release, text, text, text, text),
    Purge: st.builds(Purge, text, text, number, number, text, text, text),
    Skip: st.builds(Skip, text, text, number, number, number, text, text, text, text),
    WatermarkReset: st.builds(WatermarkReset, text, number, number, text, text, text),
}
waiting = st.lists(st.builds(WaitingTrade, text, text, optional), max_size=3).map(tuple)
pending = st.dictionaries(text, st.integers(0, 2**48), max_size=3)
watermark = st.none() | st.just("2025-07-26T10:01:23.1Z")
runs = st.lists(st.tuples(st.sampled_from(Disposition), st.integers(1, 2**40)), max_size=3).map(tuple)
partitions = st.dictionaries(text, st.lists(number, max_size=2), max_size=2)
RECORDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "legs": (
        st.builds(Progress, number, partitions, st.dictionaries(text, number, max_size=2), epoch=number),
        encode_journal,
        decode_progress,
    ),
    "dead_letters": (
        st.builds(
            DeadLetter,
            *(
                text,
                text,
                text,
                number,
                number,
                optional,
                optional,
                number,
                optional,
                optional,
                st.booleans(),
                optional,
            ),
        ),
        lambda letter: letter.content,
        decode_dead_letter,
    ),
    "standings": (
        st.builds(PartitionStatus, number, watermark, pending, waiting),
        encode_status,
        decode_status,
    ),
    "accounts": (
        st.builds(Account, text, st.integers(0, 2**31 - 1), st.integers(0, 2**61), runs),
        encode_account,
        decode_account,
    ),
    "checkpoints": (
        st.builds(Checkpoint, text, number, number, text, number, number, text),
        lambda checkpoint: checkpoint.line,
        decode_checkpoint,
    ),
    **{kind.__name__: (actions, encode_action, decode_action) for kind, actions in ACTIONS.items()},
}
"""By topic, the actions by their kind; results and legs are in ``test_leg_message.py`` and ``test_journal.py``."""


def test_every_topic_has_a_codec() -> None:
    assert set(CODECS) == set(Topics._fields)
    assert {f"traderecon.{module}" for module in CODECS.values()} <= SOURCES.keys()


def test_every_codec_is_tested_both_ways() -> None:
    elsewhere = {*topics().inputs, "reconciled", "mismatch"}
    assert set(Topics._fields) == {name for name in RECORDS if name in Topics._fields} | elsewhere | {"actions"}


def test_every_kind_of_action_is_tested() -> None:
    assert set(get_args(Action)) == set(ACTIONS)


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_a_record_is_decoded_as_it_was_encoded(name: str, data: st.DataObject) -> None:
    records, encode, decode = RECORDS[name]
    record = data.draw(records)
    assert decode(encode(record)) == record


def reads_json(tree: ast.AST) -> bool:
    """Whether a module decodes JSON itself."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="loads" | "decode" | "Decoder", value=ast.Attribute(attr="json"))):
                return True
            case ast.Call(func=ast.Attribute(attr="loads", value=ast.Name(id="json"))):
                return True
    return False


def test_no_other_module_decodes_a_topic() -> None:
    readers = {name.removeprefix("traderecon.") for name, tree in TREES.items() if reads_json(tree)}
    elsewhere = {name for name in readers if name.split(".")[0] not in {"records", "tables"}}
    assert elsewhere == {*OTHER_JSON, "intake.messages"}


@given(pending, waiting)
def test_the_columns_of_a_status_are_read_back(counts: dict[str, int], oldest: tuple[WaitingTrade, ...]) -> None:
    columns = to_columns(PartitionStatus(0, None, counts, oldest))
    assert (decode_pending(columns[0]), decode_oldest(columns[1])) == (counts, oldest)
