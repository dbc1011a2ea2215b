"""Golden files: what is on the topics, byte for byte. A refactoring leaves them; a change of format shows.

    tests/golden/<topic>.jsonl     a line is a record's value
    tests/golden/heads.json        the heads of the chains that a database makes of them

``python -m golden_files`` writes them. Made from the stories of tests/scenarios, so that every shape is in them.
"""

import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace
from scenario import Message, Scenario, Step, as_messages, play, stories
from sink.outputs import LEGS, PARTITIONS, TOPICS, Outputs, encoded_status

from traderecon.records import Fact, Rejected, State
from traderecon.records.account import Account, Disposition, encode_account
from traderecon.records.action import DeadLetterAction, Deed, Hold, Purge, Release, Skip, encode_action, rules_change
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.dead_letter import REPLAY_OF, encode_dead_letter
from traderecon.records.journal import Progress, encode_journal
from traderecon.sink.migration import head
from traderecon.sink.store import Store

FOLDER = Path(__file__).parent / "golden"
ORDERS = 12
"""Trades whose legs come in another order each."""
DATABASE_TRADES = 3
AT = "2025-07-26T10:01:23.000000001Z"


def files() -> dict[str, bytes]:
    """The content of every file, by its name."""
    outputs, told = Outputs(), stories()
    for name, story in told.items():
        for result in play(_own(name, story), story.parsed_rules).results.values():
            if result.verdict.state is not State.PENDING:
                outputs.publish(result)
    for number in range(ORDERS):
        outputs.publish_trade(
            f"T{number}", LEGS[number % len(LEGS) :] + LEGS[: number % len(LEGS)], again=number % 3 == 0
        )
    for partition, letter in enumerate(_letters(told)):
        outputs.append(TOPICS.dead_letters, partition % PARTITIONS, None, letter)
    for partition in range(PARTITIONS):
        outputs.append(TOPICS.standings, partition, b"%d" % partition, encoded_status(partition, partition))
        account = Account(
            "executions", partition, 100, ((Disposition.LEG, 120), (Disposition.REJECTED, 1), (Disposition.CONTROL, 2))
        )
        outputs.append(TOPICS.accounts, partition, account.key, encode_account(account))
    for number, value in enumerate(_decisions()):
        outputs.append(TOPICS.actions, number % PARTITIONS, b"k", value)
    lines: dict[str, list[bytes]] = {"legs": [*_journal(told)]}
    for (topic, _), records in outputs.partitions.items():
        lines.setdefault(topic, []).extend([record.value or b"" for record in records])
    lines[TOPICS.checkpoints] = [checkpoint.line for checkpoint in _checkpoints()]
    written = {f"{topic}.jsonl": b"\n".join([*values, b""]) for topic, values in lines.items()}
    return written | {"heads.json": _heads(outputs), f"database-{head()}.sql": _database()}


def _own(name: str, story: Scenario) -> Iterator[Step]:
    """The steps of a story, its trades under names that no other story has."""
    for step in as_messages(story):
        if isinstance(step, Fact):
            leg = replace(step.leg, trade_id=f"{name}-{step.leg.trade_id}")
            yield replace(step, leg=leg)
        else:
            yield step


def _letters(told: dict[str, Scenario]) -> Iterator[bytes]:
    number = 0
    for story in told.values():
        for message, step in zip(story.messages, as_messages(story), strict=True):
            if isinstance(step, Rejected) and isinstance(message, Message):
                number += 1
                headers = [(REPLAY_OF, b"executions/0/17")] if number % 2 else []
                rejected = replace(step, origin=replace(step.origin, offset=number))
                yield encode_dead_letter(rejected, b"key", message.value and message.value[:200], headers)


def _journal(told: dict[str, Scenario]) -> Iterator[bytes]:
    for story in told.values():
        yield from (encode_journal(step) for step in as_messages(story) if isinstance(step, Fact))
    yield encode_journal(Progress(1_753_524_083_000_000_000, {"executions": [0, 1]}, {"executions": 4}))
    yield encode_journal(Progress(1_753_524_083_000_000_000, {}, {"executions": 4}, epoch=2))


def _decisions() -> Iterator[bytes]:
    yield encode_action(DeadLetterAction("a1", Deed.REPLAY, "executions/0/18", "executions/0/17", "ops", AT, "fixed"))
    yield encode_action(DeadLetterAction("a2", Deed.DISCARD, "executions/0/17", "executions/0/17", "ops", AT, "a test"))
    yield encode_action(Hold("h1", "ops", AT, "a case", trade_id="T1"))
    yield encode_action(Hold("h2", "ops", AT, "a case", ticker="AAPL"))
    yield encode_action(Release("h1", "ops", AT, "over"))
    yield encode_action(Purge("p1", AT, 3, 4, "ops", AT, "old"))
    yield encode_action(rules_change(0, 7, ("a" * 64, {"price": "0.005"}), ("b" * 64, {"price": "0.01"})))
    yield encode_action(Skip("s1", "executions", 0, 10, 20, "matching", "ops", AT, "expired"))


def _checkpoints() -> Iterator[Checkpoint]:
    """One of a chain that begins with the log; one of a later begin, signed."""
    plain = Checkpoint("reconciled", 1, 120, "ab" * 32, 119, 240, "2026-01-01T00:00:00Z")
    yield plain
    yield replace(
        plain, topic="actions", first=7, database="0123456789abcdef", signed_by="cd" * 32, signature="ef" * 64
    )


def _heads(outputs: Outputs) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/golden.db")
        store.prepare()
        outputs.write_to(store)
        with store.engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT topic, partition, next_offset, head FROM sink_offsets ORDER BY 1, 2"
            )
            heads = [list(row) for row in rows]
        store.close()
    return json.dumps(heads, indent=1).encode() + b"\n"


def _database() -> bytes:
    """A small database as of the newest migration: the next one has to bring it along."""
    outputs = Outputs()
    for number in range(DATABASE_TRADES):
        outputs.publish_trade(f"T{number}", LEGS[number % len(LEGS) :] + LEGS[: number % len(LEGS)])
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/golden.db")
        store.prepare()
        outputs.write_to(store)
        store.close()
        with closing(sqlite3.connect(f"{folder}/golden.db")) as database:
            return "\n".join([*database.iterdump(), ""]).encode()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)
        sys.stdout.write(f"{name}: {len(content):,} bytes\n")
