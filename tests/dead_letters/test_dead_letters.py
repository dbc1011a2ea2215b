"""``traderecon dead-letters`` beside a worker on the embedded log: show, list, replay at most three times, discard."""

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
    """One worker for all tests here; each has dead letters of its own."""
    installation = Installation(tmp_path_factory.mktemp("desk"))
    installation.create_topics()
    installation.start_ready()
    yield installation
    installation.close()


def rejected(desk: Installation, value: bytes | None, key: bytes | None = b"T1", topic: str = "executions") -> str:
    """The id of a new dead letter."""
    offset = desk.ends(topic)[topic, 0]
    desk.append(topic, [value], key=key)
    dead_letter_id = f"{topic}/0/{offset}"
    desk.until(lambda: dead_letter_id in ids(desk), f"{dead_letter_id} is a dead letter")
    return dead_letter_id


def ids(desk: Installation) -> set[str]:
    rows = desk.rows("SELECT source_topic, source_partition, source_offset FROM dead_letters")
    return {"/".join(map(str, row)) for row in rows}


def is_rejected(desk: Installation, dead_letter_id: str) -> bool:
    return dead_letter_id in ids(desk)


def run(desk: Installation, *arguments: str) -> Result:
    """The command in this process, in the installation's environment."""
    return CliRunner(env=desk.environment).invoke(dead_letters, arguments)


def run_json(desk: Installation, *arguments: str) -> Any:
    done = run(desk, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def state(desk: Installation, dead_letter_id: str) -> str:
    return str(run_json(desk, "show", dead_letter_id)["state"])


def attempts(desk: Installation, dead_letter_id: str) -> int:
    return len([action for action in run_json(desk, "show", dead_letter_id)["actions"] if action["deed"] == "replay"])


def sent(desk: Installation, topic: str, offset: int) -> Any:
    with Log.open(desk.data_dir / "log.db") as log:
        (record,) = log.read(topic, 0, offset, 1)
        return record


def test_a_dead_letter_is_shown_with_its_record(desk: Installation) -> None:
    dead_letter_id = rejected(desk, b"\x1b[31mno leg\xff", b"k")
    done = run(desk, "show", dead_letter_id)
    assert done.exit_code == 0, done.stderr
    assert f"id: {dead_letter_id}" in done.stdout
    assert r"record: \x1b[31mno leg\xff" in done.stdout
    assert "\x1b" not in done.stdout
    shown = run_json(desk, "show", dead_letter_id)
    assert (shown["state"], shown["code"], b64decode(shown["raw"])) == ("open", "MALFORMED_JSON", b"\x1b[31mno leg\xff")


def test_the_list_is_filtered_and_limited(desk: Installation) -> None:
    dead_letter_ids = [rejected(desk, b"{}"), rejected(desk, None), rejected(desk, b"{}", topic="pnl_snapshot")]
    missing = run_json(desk, "list", "--code", "KEY_MISSING", "--limit", "1000")
    assert {dead_letter_ids[0], dead_letter_ids[2]} <= {row["id"] for row in missing}
    assert dead_letter_ids[1] not in {row["id"] for row in missing}
    (newest,) = run_json(desk, "list", "--topic", "pnl_snapshot", "--limit", "1")
    assert (newest["id"], newest["state"]) == (dead_letter_ids[2], "open")
    done = run(desk, "list", "--limit", "1")
    assert re.fullmatch(rf"{dead_letter_ids[2]}  open  KEY_MISSING  .+\n", done.stdout)
    assert re.search(r"1 of \d+ dead letters; --limit shows more", done.stderr)


def test_a_replay_has_the_original_record_and_names_its_dead_letter(desk: Installation) -> None:
    dead_letter_id = rejected(desk, b"not yet a leg", b"key\x00")
    offset = desk.ends("executions")["executions", 0]
    (planned,) = run_json(desk, "replay", dead_letter_id, "--dry-run")
    assert (planned["attempt"], planned["done"]) == (1, False)
    assert desk.ends("executions")["executions", 0] == offset
    (done,) = run_json(desk, "replay", dead_letter_id, "--by", "ann", "--reason", "the decoder is fixed")
    assert done == {"letter": dead_letter_id, "attempt": 1, "why_not": "", "done": True}
    record = sent(desk, "executions", offset)
    assert (record.key, record.value) == (b"key\x00", b"not yet a leg")
    assert list(record.headers) == [
        ("traderecon-replay-of", dead_letter_id.encode()),
        ("traderecon-replay-attempt", b"1"),
    ]
    desk.until(lambda: state(desk, dead_letter_id) == "replayed", "the sink has stored it")
    (action,) = run_json(desk, "show", dead_letter_id)["actions"]
    assert (action["by"], action["reason"], action["attempt"]) == ("ann", "the decoder is fixed", 1)


def test_a_dead_letter_of_a_replay_counts_for_the_first_one(desk: Installation) -> None:
    dead_letter_id = first = rejected(desk, b"never a leg")
    for attempt in (1, 2, 3):
        offset = desk.ends("executions")["executions", 0]
        (done,) = run_json(desk, "replay", dead_letter_id)
        assert done["attempt"] == attempt
        dead_letter_id = f"executions/0/{offset}"
        desk.until(partial(is_rejected, desk, dead_letter_id), "it is a dead letter again")
        assert run_json(desk, "show", dead_letter_id)["replay_of"] == first
    for each in (dead_letter_id, first):
        done = run(desk, "replay", each)
        assert done.exit_code == Exit.INPUT
        assert "it was replayed 3 times" in done.stderr
    desk.until(lambda: attempts(desk, first) == 3, "the sink has stored all of them")
    assert desk.ends("executions")["executions", 0] == offset + 1


def test_a_false_header_uses_up_no_attempt_of_another_dead_letter(desk: Installation) -> None:
    dead_letter_id = rejected(desk, b"honest")
    offset = desk.ends("executions")["executions", 0]
    forged = [
        Outgoing(b"T1", b"forged %d" % number, None, ((REPLAY_OF, dead_letter_id.encode()),)) for number in range(3)
    ]
    asyncio.run(append(desk, "executions", forged))
    for number in range(3):
        forged_id = f"executions/0/{offset + number}"
        desk.until(partial(is_rejected, desk, forged_id), "it is a dead letter")
        assert run_json(desk, "show", forged_id)["replay_of"] == dead_letter_id
        assert run_json(desk, "replay", forged_id)[0]["attempt"] == 1
    assert run_json(desk, "replay", dead_letter_id)[0]["attempt"] == 1


def test_a_foreign_record_does_not_hold_up_decisions(tmp_path: Path) -> None:
    alone = Installation(tmp_path)
    alone.create_topics()
    try:
        worker = alone.start_ready()
        dead_letter_id = rejected(alone, b"beside garbage")
        assert worker.leave() == 0  # otherwise the garbage would end it twice, then become a dead letter
        key = dead_letter_id.encode()
        asyncio.run(append(alone, "actions", [Outgoing(key, b"garbage")], partition_for(key, 4)))
        assert run_json(alone, "replay", dead_letter_id)[0]["attempt"] == 1
    finally:
        alone.close()


async def append(desk: Installation, topic: str, rows: Sequence[Outgoing], partition: int = 0) -> None:
    async with connect(desk.broker, desk.data_dir) as client:
        await client.append(topic, partition, rows)


def test_concurrent_replays_stay_within_the_limit(desk: Installation) -> None:
    """Each decider has read the topic before the others wrote: the order on the topic decides."""
    dead_letter_id = rejected(desk, b"wanted by many")
    before = desk.ends("executions")["executions", 0]
    queries = Queries.open(f"sqlite:///{desk.data_dir / 'traderecon.db'}")
    record = sent_record(queries.engine, DeadLetterId("executions", 0, int(dead_letter_id.rpartition("/")[2])))
    queries.close()
    assert record is not None

    async def all_at_once() -> list[str]:
        async with connect(desk.broker, desk.data_dir) as client:
            deciders = [Decider(client, topics()) for _ in range(8)]
            decision = Decision(Deed.REPLAY, "ann", "")
            outcomes = await asyncio.gather(*(decider.decide(decision, [record]) for decider in deciders))
            return [outcome.why_not for (outcome,) in outcomes]

    reasons = asyncio.run(all_at_once())
    assert reasons.count("") == 3
    assert desk.ends("executions")["executions", 0] == before + 3


def test_all_open_dead_letters_of_a_code_are_replayed(desk: Installation) -> None:
    wanted = [rejected(desk, b'{"trade_id":"T9","price":"12,5"}') for _ in range(3)]
    code = run_json(desk, "show", wanted[0])["code"]
    before = [row["id"] for row in run_json(desk, "list", "--code", code, "--state", "open", "--limit", "1000")]
    done = run_json(desk, "replay", "--code", code)
    assert [decision["letter"] for decision in done] == before[::-1]
    assert set(wanted) <= {decision["letter"] for decision in done}
    desk.until(lambda: {state(desk, each) for each in wanted} == {"replayed"}, "the sink has stored it")


def test_a_discarded_dead_letter_stays_discarded(desk: Installation) -> None:
    dead_letter_id = rejected(desk, b"a test of the broker")
    done = run(desk, "discard", dead_letter_id, "--reason", "a test of the broker", "--by", "bob")
    assert (done.exit_code, done.stdout) == (0, f"{dead_letter_id}: discarded\n")
    desk.until(lambda: state(desk, dead_letter_id) == "discarded", "the sink has stored it")
    for again in (("replay",), ("discard", "--reason", "again", "--by", "ann")):
        done = run(desk, *again, dead_letter_id)
        assert done.exit_code == Exit.INPUT
        assert "it was discarded by bob at " in done.stderr
        past = f"{again[0]}ed"
        assert f"{dead_letter_id}: not {past}: " in done.stderr
        assert f"1 of 1 dead letter cannot be {past}, see above" in done.stderr


def test_a_truncated_record_is_not_replayed(desk: Installation) -> None:
    dead_letter_id = rejected(desk, b"9" * 600_000)
    done = run(desk, "replay", dead_letter_id)
    assert done.exit_code == Exit.INPUT
    assert "its record was truncated (over 64 kB): ask its sender to send it again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "executions/0"), Exit.INPUT, "'executions/0' is not an ID"),
        (("show", "executions/0/999999"), Exit.INPUT, "there is no dead letter executions/0/999999"),
        (("show", "executions/0/9999999999999999999"), Exit.INPUT, "is not an ID"),
        (("replay",), Exit.USAGE, "give one or more IDs, or --code"),
        (("replay", "executions/0/0", "--code", "KEY_MISSING"), Exit.USAGE, "give one or more IDs, or --code"),
        (("discard", "executions/0/0"), Exit.USAGE, "--reason"),
        (("discard", "executions/0/0", "--reason", " "), Exit.USAGE, "write 1 to 500 characters"),
        (("discard", "executions/0/0", "--reason", "a\nb"), Exit.USAGE, "no control characters"),
        (("list", "--code", "NONSENSE"), Exit.USAGE, "NONSENSE"),
    ],
)
def test_impossible_requests_are_explained(
    desk: Installation, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(desk, *arguments)
    assert done.exit_code == code
    assert message in done.stderr
    assert done.stdout == ""


def test_without_a_database_there_is_an_error(tmp_path: Path) -> None:
    done = run(Installation(tmp_path), "list")
    assert done.exit_code == Exit.UNREACHABLE
    assert "there is no database" in done.stderr


def test_a_rebuilt_database_has_the_decisions(tmp_path: Path) -> None:
    desk = Installation(tmp_path)
    try:
        desk.create_topics()
        worker = desk.start_ready()
        dead_letter_ids = [rejected(desk, b"one"), rejected(desk, b"two")]
        assert run(desk, "replay", dead_letter_ids[0], "--by", "ann").exit_code == 0
        assert run(desk, "discard", dead_letter_ids[1], "--by", "ann", "--reason", "a test").exit_code == 0
        columns = "SELECT action_id, deed, letter, root, attempt, by, at, reason, chain FROM dead_letter_actions"
        desk.until(lambda: len(desk.rows(columns)) == 2, "the sink has stored it")
        before = sorted(desk.rows(columns))
        assert worker.leave() == 0
        for path in desk.data_dir.glob("traderecon.db*"):
            path.unlink()
        worker = desk.start_ready()
        desk.until(lambda: sorted(desk.rows(columns)) == before, "the database is as it was")
        page = json.loads(worker.get("/dead-letters.json?state=discarded"))
        assert [row["source_offset"] for row in page["rows"]] == [1]
        assert "discarded" in worker.get("/dead-letters").decode()
    finally:
        desk.close()


BUG = """
from traderecon.cli import main
from traderecon.intake import agent

decode = agent.decode

def failing(source, value, *rest):
    if b"T13" in (value or b""):
        raise ZeroDivisionError("a bug")
    return decode(source, value, *rest)

agent.decode = failing
main()
"""


def test_a_record_rejected_by_a_bug_is_replayed_after_the_fix(tmp_path: Path) -> None:
    desk = Installation(tmp_path)
    program = [sys.executable, "-c", BUG]
    leg = b'{"trade_id":"T13","ticker":"AAPL","quantity":1,"price":"1","timestamp":"2025-07-26T10:01:23Z"}'
    try:
        desk.create_topics()
        for topic in ("executions", "broker_confirmations"):
            desk.append(topic, [leg if topic == "executions" else leg.replace(b"T13", b"T14")])
        for _ in range(LIMIT - 1):
            assert desk.start(program=program).ended() == Exit.SOFTWARE
        faulty = desk.start(program=program)
        desk.until(lambda: ids(desk) == {"executions/0/0"}, "it is a dead letter")
        assert faulty.leave() == 0
        desk.start_ready()
        (done,) = run_json(desk, "replay", "--code", "HANDLER_ERROR", "--reason", "fixed")
        assert (done["letter"], done["attempt"]) == ("executions/0/0", 1)
        desk.append("broker_confirmations", [leg])
        desk.until_decided()
        assert desk.rows("SELECT trade_id, state FROM results WHERE trade_id = 'T13'") == [("T13", "MATCHED")]
        assert ids(desk) == {"executions/0/0"}
        assert state(desk, "executions/0/0") == "replayed"
    finally:
        desk.close()
