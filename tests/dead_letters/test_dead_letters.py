"""``traderecon dead-letters`` beside a worker on the embedded log: looked at, sent again at most thrice, put away."""

import asyncio
import json
import re
import sys
from base64 import b64decode
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pipeline_case import Installation

from traderecon.cli.dead_letters import dead_letters
from traderecon.cli.decisions import Decider, Decision
from traderecon.client.connection import connect
from traderecon.exit_codes import Exit
from traderecon.records.action import Deed
from traderecon.records.dead_letter import REPLAY_OF
from traderecon.sink.dead_letter_queries import DeadLetterId, sent_record
from traderecon.sink.queries import Queries
from traderecon.topics import topics
from traderecon.transport import Outgoing, partition_for
from traderecon.transport.log import Log
from traderecon.transport.retry_counts import LIMIT


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker for all tests here; each has letters of its own."""
    installation = Installation(tmp_path_factory.mktemp("desk"))
    installation.create_topics()
    installation.start_ready()
    yield installation
    installation.close()


def rejected(desk: Installation, value: bytes | None, key: bytes | None = b"T1", topic: str = "executions") -> str:
    """The id of a new dead letter."""
    offset = desk.ends(topic)[topic, 0]
    desk.append(topic, [value], key=key)
    letter = f"{topic}/0/{offset}"
    desk.until(lambda: letter in ids(desk), f"{letter} is a dead letter")
    return letter


def ids(desk: Installation) -> set[str]:
    rows = desk.rows("SELECT source_topic, source_partition, source_offset FROM dead_letters")
    return {"/".join(map(str, row)) for row in rows}


def is_rejected(desk: Installation, letter: str) -> bool:
    return letter in ids(desk)


def run(desk: Installation, *arguments: str) -> Result:
    """The command in this process, in the installation's environment."""
    return CliRunner(env=desk.environment).invoke(dead_letters, arguments)


def told(desk: Installation, *arguments: str) -> Any:
    done = run(desk, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def state(desk: Installation, letter: str) -> str:
    return str(told(desk, "show", letter)["state"])


def attempts(desk: Installation, letter: str) -> int:
    return len([one for one in told(desk, "show", letter)["actions"] if one["deed"] == "replay"])


def sent(desk: Installation, topic: str, offset: int) -> Any:
    with Log.open(desk.data_dir / "log.db") as log:
        (record,) = log.read(topic, 0, offset, 1)
        return record


def test_a_letter_is_shown_with_its_record(desk: Installation) -> None:
    letter = rejected(desk, b"\x1b[31mno leg\xff", b"k")
    done = run(desk, "show", letter)
    assert done.exit_code == 0, done.stderr
    assert f"id: {letter}" in done.stdout
    assert r"record: \x1b[31mno leg\xff" in done.stdout
    assert "\x1b" not in done.stdout
    shown = told(desk, "show", letter)
    assert (shown["state"], shown["code"], b64decode(shown["raw"])) == ("open", "MALFORMED_JSON", b"\x1b[31mno leg\xff")


def test_the_list_is_filtered_and_limited(desk: Installation) -> None:
    letters = [rejected(desk, b"{}"), rejected(desk, None), rejected(desk, b"{}", topic="pnl_snapshot")]
    missing = told(desk, "list", "--code", "KEY_MISSING", "--limit", "1000")
    assert {letters[0], letters[2]} <= {one["id"] for one in missing}
    assert letters[1] not in {one["id"] for one in missing}
    (newest,) = told(desk, "list", "--topic", "pnl_snapshot", "--limit", "1")
    assert (newest["id"], newest["state"]) == (letters[2], "open")
    done = run(desk, "list", "--limit", "1")
    assert re.fullmatch(rf"{letters[2]}  open  KEY_MISSING  .+\n", done.stdout)
    assert re.search(r"1 of \d+ dead letters; --limit shows more", done.stderr)


def test_a_replay_is_the_record_as_it_was_and_says_where_it_comes_from(desk: Installation) -> None:
    letter = rejected(desk, b"not yet a leg", b"key\x00")
    offset = desk.ends("executions")["executions", 0]
    (would,) = told(desk, "replay", letter, "--dry-run")
    assert (would["attempt"], would["done"]) == (1, False)
    assert desk.ends("executions")["executions", 0] == offset
    (done,) = told(desk, "replay", letter, "--by", "ann", "--reason", "the decoder is mended")
    assert done == {"letter": letter, "attempt": 1, "why_not": "", "done": True}
    record = sent(desk, "executions", offset)
    assert (record.key, record.value) == (b"key\x00", b"not yet a leg")
    assert list(record.headers) == [
        ("traderecon-replay-of", letter.encode()),
        ("traderecon-replay-attempt", b"1"),
    ]
    desk.until(lambda: state(desk, letter) == "replayed", "the sink knows")
    (action,) = told(desk, "show", letter)["actions"]
    assert (action["by"], action["reason"], action["attempt"]) == ("ann", "the decoder is mended", 1)


def test_a_letter_of_a_replay_counts_for_the_first_one(desk: Installation) -> None:
    letter = first = rejected(desk, b"never a leg")
    for attempt in (1, 2, 3):
        offset = desk.ends("executions")["executions", 0]
        (done,) = told(desk, "replay", letter)
        assert done["attempt"] == attempt
        letter = f"executions/0/{offset}"
        desk.until(partial(is_rejected, desk, letter), "it is a dead letter again")
        assert told(desk, "show", letter)["replay_of"] == first
    for known in (letter, first):
        done = run(desk, "replay", known)
        assert done.exit_code == Exit.INPUT
        assert "it was replayed 3 times" in done.stderr
    desk.until(lambda: attempts(desk, first) == 3, "the sink knows of all")
    assert desk.ends("executions")["executions", 0] == offset + 1


def test_a_header_that_lies_uses_up_no_attempt_of_another_letter(desk: Installation) -> None:
    letter = rejected(desk, b"honest")
    offset = desk.ends("executions")["executions", 0]
    liar = [Outgoing(b"T1", b"lies %d" % number, None, ((REPLAY_OF, letter.encode()),)) for number in range(3)]
    asyncio.run(appended(desk, "executions", liar))
    for number in range(3):
        lie = f"executions/0/{offset + number}"
        desk.until(partial(is_rejected, desk, lie), "it is a dead letter")
        assert told(desk, "show", lie)["replay_of"] == letter
        assert told(desk, "replay", lie)[0]["attempt"] == 1
    assert told(desk, "replay", letter)[0]["attempt"] == 1


def test_what_is_no_action_holds_up_no_decision(tmp_path: Path) -> None:
    alone = Installation(tmp_path)
    alone.create_topics()
    try:
        worker = alone.start_ready()
        letter = rejected(alone, b"beside garbage")
        assert worker.leave() == 0  # it would end on the garbage, three times, and put it aside
        key = letter.encode()
        asyncio.run(appended(alone, "actions", [Outgoing(key, b"garbage")], partition_for(key, 4)))
        assert told(alone, "replay", letter)[0]["attempt"] == 1
    finally:
        alone.close()


async def appended(desk: Installation, topic: str, rows: Sequence[Outgoing], partition: int = 0) -> None:
    async with connect(desk.broker, desk.data_dir) as client:
        await client.append(topic, partition, rows)


def test_two_at_once_send_no_more_than_three(desk: Installation) -> None:
    """Each has read the topic before the other wrote: the order of the topic decides who was too late."""
    letter = rejected(desk, b"wanted by many")
    before = desk.ends("executions")["executions", 0]
    queries = Queries.open(f"sqlite:///{desk.data_dir / 'traderecon.db'}")
    record = sent_record(queries.engine, DeadLetterId("executions", 0, int(letter.rpartition("/")[2])))
    queries.close()
    assert record is not None

    async def all_at_once() -> list[str]:
        async with connect(desk.broker, desk.data_dir) as client:
            deciders = [Decider(client, topics()) for _ in range(8)]
            decision = Decision(Deed.REPLAY, "ann", "")
            outcomes = await asyncio.gather(*(decider.decide(decision, [record]) for decider in deciders))
            return [outcome.why_not for (outcome,) in outcomes]

    said = asyncio.run(all_at_once())
    assert said.count("") == 3
    assert desk.ends("executions")["executions", 0] == before + 3


def test_every_open_letter_of_a_code_is_replayed_at_once(desk: Installation) -> None:
    wanted = [rejected(desk, b'{"trade_id":"T9","price":"12,5"}') for _ in range(3)]
    code = told(desk, "show", wanted[0])["code"]
    before = [one["id"] for one in told(desk, "list", "--code", code, "--state", "open", "--limit", "1000")]
    done = told(desk, "replay", "--code", code)
    assert [one["letter"] for one in done] == before[::-1]
    assert set(wanted) <= {one["letter"] for one in done}
    desk.until(lambda: {state(desk, one) for one in wanted} == {"replayed"}, "the sink knows")


def test_a_discarded_letter_stays_so(desk: Installation) -> None:
    letter = rejected(desk, b"a test of theirs")
    done = run(desk, "discard", letter, "--reason", "a test of theirs", "--by", "bob")
    assert (done.exit_code, done.stdout) == (0, f"{letter}: discarded\n")
    desk.until(lambda: state(desk, letter) == "discarded", "the sink knows")
    for again in (("replay",), ("discard", "--reason", "mine, too", "--by", "ann")):
        done = run(desk, *again, letter)
        assert done.exit_code == Exit.INPUT
        assert "it was discarded by bob at " in done.stderr
        past = f"{again[0]}ed"
        assert f"{letter}: not {past}: " in done.stderr
        assert f"1 of 1 dead letter cannot be {past}, see above" in done.stderr


def test_a_record_kept_in_part_is_not_replayed(desk: Installation) -> None:
    letter = rejected(desk, b"9" * 600_000)
    done = run(desk, "replay", letter)
    assert done.exit_code == Exit.INPUT
    assert "it is kept in part only (over 64 kB): have its sender send it again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "executions/0"), Exit.INPUT, "'executions/0' is no ID"),
        (("show", "executions/0/999999"), Exit.INPUT, "there is no dead letter executions/0/999999"),
        (("show", "executions/0/9999999999999999999"), Exit.INPUT, "is no ID"),
        (("replay",), Exit.USAGE, "one ID or several, or --code"),
        (("replay", "executions/0/0", "--code", "KEY_MISSING"), Exit.USAGE, "one ID or several, or --code"),
        (("discard", "executions/0/0"), Exit.USAGE, "--reason"),
        (("discard", "executions/0/0", "--reason", " "), Exit.USAGE, "write 1 to 500 characters"),
        (("discard", "executions/0/0", "--reason", "a\nb"), Exit.USAGE, "none of them control characters"),
        (("list", "--code", "NONSENSE"), Exit.USAGE, "NONSENSE"),
    ],
)
def test_what_cannot_be_done_is_said(desk: Installation, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(desk, *arguments)
    assert done.exit_code == code
    assert said in done.stderr
    assert done.stdout == ""


def test_without_a_database_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    done = run(Installation(tmp_path), "list")
    assert done.exit_code == Exit.UNREACHABLE
    assert "there is no database" in done.stderr


def test_a_rebuilt_database_knows_what_was_decided(tmp_path: Path) -> None:
    desk = Installation(tmp_path)
    try:
        desk.create_topics()
        worker = desk.start_ready()
        letters = [rejected(desk, b"one"), rejected(desk, b"two")]
        assert run(desk, "replay", letters[0], "--by", "ann").exit_code == 0
        assert run(desk, "discard", letters[1], "--by", "ann", "--reason", "a test").exit_code == 0
        columns = "SELECT action_id, deed, letter, root, attempt, by, at, reason, chain FROM dead_letter_actions"
        desk.until(lambda: len(desk.rows(columns)) == 2, "the sink knows")
        before = sorted(desk.rows(columns))
        assert worker.leave() == 0
        for path in desk.data_dir.glob("traderecon.db*"):
            path.unlink()
        worker = desk.start_ready()
        desk.until(lambda: sorted(desk.rows(columns)) == before, "the database is as it was")
        page = json.loads(worker.get("/dead-letters.json?state=discarded"))
        assert [one["source_offset"] for one in page["rows"]] == [1]
        assert "discarded" in worker.get("/dead-letters").decode()
    finally:
        desk.close()


BUG = """
from traderecon.cli import main
from traderecon.intake import agent

right = agent.decode

def wrong(source, value, *rest):
    if b"T13" in (value or b""):
        raise ZeroDivisionError("a bug")
    return right(source, value, *rest)

agent.decode = wrong
main()
"""


def test_what_a_bug_of_ours_put_aside_is_replayed_once_it_is_mended(tmp_path: Path) -> None:
    desk = Installation(tmp_path)
    program = [sys.executable, "-c", BUG]
    leg = b'{"trade_id":"T13","ticker":"AAPL","quantity":1,"price":"1","timestamp":"2025-07-26T10:01:23Z"}'
    try:
        desk.create_topics()
        for topic in ("executions", "broker_confirmations"):
            desk.append(topic, [leg if topic == "executions" else leg.replace(b"T13", b"T14")])
        for _ in range(LIMIT - 1):
            assert desk.start(program=program).ended() == Exit.SOFTWARE
        broken = desk.start(program=program)
        desk.until(lambda: ids(desk) == {"executions/0/0"}, "it is put aside")
        assert broken.leave() == 0
        desk.start_ready()
        (done,) = told(desk, "replay", "--code", "HANDLER_ERROR", "--reason", "mended")
        assert (done["letter"], done["attempt"]) == ("executions/0/0", 1)
        desk.append("broker_confirmations", [leg])
        desk.until_decided()
        assert desk.rows("SELECT trade_id, state FROM results WHERE trade_id = 'T13'") == [("T13", "MATCHED")]
        assert ids(desk) == {"executions/0/0"}
        assert state(desk, "executions/0/0") == "replayed"
    finally:
        desk.close()
