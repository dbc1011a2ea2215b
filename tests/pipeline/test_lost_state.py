"""Tables that have lost what their group has committed: rebuilt from the journal and the outputs, or refused."""

import json
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from doc_pages import Needs, scripts
from pipeline.trades import duplicate_results, execution, matched_count, send
from pipeline_case import Installation

from traderecon.transport import partition_for
from traderecon.transport.log import Log

CHANGELOG = "traderecon-matching-trades-changelog"
REFUSED = 78
STRICT = """
name = "strict"
grace_seconds = 3600
[checks.price]
tolerance = { absolute = "0.0001", bound = "strict" }
"""
LEADERLESS = """
from pathlib import Path
from faust.types import TP
from traderecon.cli import main
from traderecon.transport.embedded_consumer import EmbeddedConsumer as Consumer

gone = Path({path!r})

def without(question):
    async def answer(self, *tps):
        found = await question(self, *tps)
        return {{tp: at for tp, at in found.items() if tp != TP("reconciled", 1) or not gone.exists()}}
    return answer

for name in ("earliest_offsets", "highwaters", "readable_ends"):
    setattr(Consumer, name, without(getattr(Consumer, name)))
main()
"""
"""A worker whose log has no leader for a partition of the outputs while a file exists."""


KILLED_BEFORE_CHANGELOG = """
import os, signal
from traderecon.cli import main
from traderecon.transport import failpoints

sent = []

def die(point, topic):
    if point == failpoints.Failpoint.SENT and topic == "reconciled":
        sent.append(topic)
    if point == failpoints.Failpoint.CHANGELOG_NEXT and sent:
        os.kill(os.getpid(), signal.SIGKILL)

failpoints.listen(die)
main()
"""
"""A worker that is killed when results are acknowledged but not yet in the changelog."""


KILLED_HALF_PUBLISHED = """
import asyncio, os, signal
from traderecon.cli import main
from traderecon.transport import app

append, reconciled = app.StreamApp.append, asyncio.Event()

async def half(self, topic, partition, rows):
    if topic == "mismatch":
        await reconciled.wait()
        os.kill(os.getpid(), signal.SIGKILL)
    appended = await append(self, topic, partition, rows)
    if topic == "reconciled":
        reconciled.set()
    return appended

app.StreamApp.append = half
main()
"""
"""A worker that is killed when ``reconciled`` has its results and ``mismatch`` does not."""


KILLED_READING_BACK = """
import os, signal
from traderecon.cli import main
from traderecon.tables import BatchTable

put_rows = BatchTable.put_rows

async def die(self, partition, changes):
    await put_rows(self, partition, changes)
    if any(key.startswith(b"e") and b"MISMATCHED" in row for key, row in changes.items()):
        os.kill(os.getpid(), signal.SIGKILL)

BatchTable.put_rows = die
main()
"""
"""A worker that is killed when a break it read back has been written to the changelog."""


@pytest.fixture
def long_graces(tmp_path: Path) -> Iterator[Installation]:
    """An installation with graces of an hour."""
    installation = Installation(tmp_path, grace_seconds=3600)
    installation.create_topics()
    yield installation
    installation.close()


def lose_changelog(installation: Installation) -> None:
    """Delete every record of the changelog and its offsets, as if the topic had been deleted and recreated."""
    with closing(sqlite3.connect(installation.data_dir / "log.db")) as log, log:
        numbers = [row[0] for row in log.execute("SELECT id FROM partitions WHERE topic = ?", (CHANGELOG,))]
        for number in numbers:
            log.execute("DELETE FROM batches WHERE place >= ? AND place < ?", (number << 44, (number + 1) << 44))
        log.execute("UPDATE partitions SET first = 0, next = 0, cleaned = 0, kept = 0 WHERE topic = ?", (CHANGELOG,))


def lose_stores(installation: Installation) -> None:
    """Remove every local store."""
    for home in installation.data_dir.glob("worker-*"):
        shutil.rmtree(home / "matching")


def confirm(installation: Installation, numbers: range) -> None:
    """Send the confirmations of these trades."""
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in numbers])


def waiting_count(installation: Installation) -> int:
    """How many trades wait, by partition status."""
    return sum(sum(json.loads(pending).values()) for (pending,) in installation.rows("SELECT pending FROM standings"))


def match_some_and_wait(installation: Installation) -> None:
    """Leave twenty matched trades and thirty waiting executions, and no worker."""
    worker = installation.start_ready()
    send(installation, range(20))
    installation.append(installation.topics.executions, [execution(number) for number in range(20, 50)])
    installation.until(
        lambda: matched_count(installation) == 20 and waiting_count(installation) == 30, "twenty match, thirty wait"
    )
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_a_deleted_changelog_and_no_store_lose_no_trade(long_graces: Installation) -> None:
    match_some_and_wait(long_graces)
    before = long_graces.ends(long_graces.topics.reconciled, long_graces.topics.mismatch)
    lose_changelog(long_graces)
    lose_stores(long_graces)
    worker = long_graces.start_ready()
    confirm(long_graces, range(20, 50))
    long_graces.until(lambda: matched_count(long_graces) == 50, "those that waited match")
    assert "a table ends at offset 0, the group has committed" in worker.log
    assert duplicate_results(long_graces) == 0
    after = long_graces.ends(long_graces.topics.reconciled, long_graces.topics.mismatch)
    assert sum(after.values()) == sum(before.values()) + 30  # earlier results are not published again
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_outputs_without_a_leader_keep_only_their_partition_waiting(long_graces: Installation) -> None:
    match_some_and_wait(long_graces)
    lose_changelog(long_graces)
    lose_stores(long_graces)
    flag = long_graces.directory / "gone"
    flag.touch()
    worker = long_graces.start(program=[sys.executable, "-c", LEADERLESS.format(path=str(flag))])
    confirm(long_graces, range(20, 50))
    blocked = {number for number in range(20, 50) if partition_for(b"G%d" % number, long_graces.partitions) == 1}
    long_graces.until(lambda: matched_count(long_graces) == 50 - len(blocked), "the other partitions go on")
    long_graces.until(lambda: "reconciled[1] has no leader that answers" in worker.log, "it is reported")
    assert 0 < len(blocked) < 30
    flag.unlink()
    long_graces.until(lambda: matched_count(long_graces) == 50, "and those that waited match")
    assert duplicate_results(long_graces) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_an_older_changelog_without_a_store_is_refused_and_rebuilt_from_the_journal(long_graces: Installation) -> None:
    """The rest of a changelog may be any part of it: there is no proof that only its end is missing."""
    worker = long_graces.start_ready()
    send(long_graces, range(20))
    long_graces.until(lambda: matched_count(long_graces) == 20, "twenty match")
    assert worker.leave() == 0
    backup = long_graces.directory / "older.db"
    with closing(sqlite3.connect(long_graces.data_dir / "log.db")) as log, closing(sqlite3.connect(backup)) as copy:
        log.backup(copy)
    worker = long_graces.start_ready()
    long_graces.append(long_graces.topics.executions, [execution(number) for number in range(20, 50)])
    long_graces.until(lambda: waiting_count(long_graces) == 30, "thirty wait")
    assert worker.leave() == 0
    lose_changelog(long_graces)
    with closing(sqlite3.connect(long_graces.data_dir / "log.db")) as log, log:
        log.execute("ATTACH ? AS older", (str(backup),))
        for number, *rest in log.execute(
            "SELECT id, first, next, cleaned, kept FROM older.partitions WHERE topic = ?", (CHANGELOG,)
        ).fetchall():
            log.execute(
                "INSERT INTO batches SELECT * FROM older.batches WHERE place >= ? AND place < ?",
                (number << 44, (number + 1) << 44),
            )
            log.execute(
                "UPDATE partitions SET first = ?, next = ?, cleaned = ?, kept = ? WHERE id = ?", (*rest, number)
            )
    lose_stores(long_graces)
    worker = long_graces.start()
    assert worker.ended() == REFUSED
    assert f"{CHANGELOG}[" in worker.log
    lose_changelog(long_graces)
    lose_stores(long_graces)
    worker = long_graces.start_ready()
    confirm(long_graces, range(20, 50))
    long_graces.until(lambda: matched_count(long_graces) == 50, "those that waited match")
    assert duplicate_results(long_graces) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_a_replay_under_other_rules_publishes_no_version_twice(long_graces: Installation) -> None:
    worker = long_graces.start_ready()
    legs = [execution(number) for number in range(20)]
    long_graces.append(long_graces.topics.executions, legs)
    long_graces.append(
        long_graces.topics.broker_confirmations, [execution(number, price="190.504") for number in range(20)]
    )
    long_graces.until(lambda: matched_count(long_graces) == 20, "all are matched, within the tolerance")
    assert worker.leave() == 0
    before = long_graces.ends(long_graces.topics.reconciled, long_graces.topics.mismatch)
    lose_changelog(long_graces)
    lose_stores(long_graces)
    rules = long_graces.directory / "strict.toml"
    rules.write_text(STRICT)
    long_graces.environment["TRADERECON_RULES"] = str(rules)
    worker = long_graces.start_ready()
    # One more fact for each: only the next version is decided under the new rules.
    long_graces.append(long_graces.topics.pnl_snapshot, [_snapshot(number) for number in range(20)])
    long_graces.until(
        lambda: long_graces.one("SELECT count(*) FROM results WHERE version = 3") == 20, "each has a version more"
    )
    assert duplicate_results(long_graces) == 0
    assert long_graces.one("SELECT count(*) FROM results WHERE state = 'MISMATCHED'") == 20
    after = long_graces.ends(long_graces.topics.reconciled, long_graces.topics.mismatch)
    assert sum(after.values()) == sum(before.values()) + 40  # each on both topics, once
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
@pytest.mark.parametrize(
    "recovery", [pytest.param("read-back", marks=pytest.mark.nightly), "read-back-cut-off", "rebuild"]
)
def test_a_half_published_result_is_completed_after_the_table_is_lost(long_graces: Installation, recovery: str) -> None:
    worker = long_graces.start_ready()
    send(long_graces, range(5))
    long_graces.until(lambda: matched_count(long_graces) == 5, "all match")
    assert worker.leave() == 0
    before = sum(long_graces.ends(long_graces.topics.reconciled).values())
    worker = long_graces.start(program=[sys.executable, "-c", KILLED_HALF_PUBLISHED])
    amends = [execution(number, price=7, version=2, kind="amend") for number in range(5)]
    long_graces.append(long_graces.topics.executions, amends)
    assert worker.ended() == -signal.SIGKILL
    half_published = sum(long_graces.ends(long_graces.topics.reconciled).values()) - before
    assert half_published
    assert not sum(long_graces.ends(long_graces.topics.mismatch).values())
    lose_changelog(long_graces)
    lose_stores(long_graces)
    if recovery == "rebuild":
        long_graces.run("state", "rebuild")
    if recovery == "read-back-cut-off":
        assert long_graces.start(program=[sys.executable, "-c", KILLED_READING_BACK]).ended() == -signal.SIGKILL
    worker = long_graces.start_ready()
    mismatched = "SELECT count(*) FROM results WHERE state = 'MISMATCHED'"
    long_graces.until(lambda: long_graces.one(mismatched) == 5, "all are breaks")
    assert sum(long_graces.ends(long_graces.topics.mismatch).values()) == 5
    assert duplicate_results(long_graces) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_results_published_but_not_stored_before_a_rules_change_are_not_published_again(
    long_graces: Installation,
) -> None:
    worker = long_graces.start_ready()
    long_graces.append(long_graces.topics.executions, [execution(number) for number in range(20)])
    long_graces.until(lambda: waiting_count(long_graces) == 20, "all wait")
    assert worker.leave() == 0
    worker = long_graces.start(program=[sys.executable, "-c", KILLED_BEFORE_CHANGELOG])
    long_graces.append(
        long_graces.topics.broker_confirmations, [execution(number, price="190.504") for number in range(20)]
    )
    assert worker.ended() == -signal.SIGKILL
    published = sum(long_graces.ends(long_graces.topics.reconciled).values())
    assert published
    rules = long_graces.directory / "strict.toml"
    rules.write_text(STRICT)
    long_graces.environment["TRADERECON_RULES"] = str(rules)
    worker = long_graces.start_ready()
    long_graces.until(lambda: long_graces.one("SELECT count(*) FROM results") == 20, "all are decided")
    long_graces.until(long_graces.stored, "everything is stored")
    assert matched_count(long_graces) == published  # under the old rules, and once
    assert duplicate_results(long_graces) == 0
    ends = long_graces.ends(long_graces.topics.reconciled, long_graces.topics.mismatch)
    assert sum(ends.values()) == 20
    assert worker.leave() == 0


def _snapshot(number: int) -> bytes:
    return json.dumps({"trade_id": f"G{number}", "pnl_impact": "-19050", "commission": "0"}).encode()


def refusal(installation: Installation) -> str:
    """The log of a worker that is refused."""
    worker = installation.start()
    assert worker.ended() == REFUSED
    return worker.log


def trim_all(installation: Installation, topic: str) -> int:
    """Trim every record of a topic, as retention does; returns how many."""
    with Log.open(installation.data_dir / "log.db") as log:
        ends = [log.end(topic, partition) for partition in range(log.partitions(topic))]
        for partition, end in enumerate(ends):
            log.trim(topic, partition, end)
    return sum(ends)


@pytest.mark.matrix("S13")
def test_state_rebuild_where_the_journal_no_longer_reaches_back(installation: Installation) -> None:
    worker = installation.start_ready()
    send(installation, range(20))
    installation.append(installation.topics.executions, [execution(number) for number in range(20, 30)])
    one_sided = "SELECT count(*) FROM results WHERE state = 'UNMATCHED'"
    installation.until(
        lambda: matched_count(installation) == 20 and installation.one(one_sided) == 10, "twenty match, ten are breaks"
    )
    assert worker.leave() == 0
    assert trim_all(installation, installation.topics.legs) > 50
    lose_changelog(installation)
    lose_stores(installation)
    message = refusal(installation)
    assert re.search(
        r"legs\[\d\]: a table ends at offset 0, the group has committed \d+, and the log has \d+ to", message
    )
    ((_, documented_command),) = scripts(Needs.LOST_STATE)
    assert f"run `{documented_command.strip()}`" in message
    before = installation.ends(installation.topics.reconciled, installation.topics.mismatch)
    partitions = json.loads(installation.run("state", "rebuild", "--json").stdout)
    assert [partition["partition"] for partition in partitions] == [0, 1, 2, 3]
    assert all(partition["lost"] == partition["first"] > 0 == partition["known"] for partition in partitions)
    assert sum(partition["results"] for partition in partitions) == 30
    second_run = json.loads(installation.run("state", "rebuild", "--json").stdout)
    assert all(
        (partition["lost"], partition["rows"], partition["known"]) == (0, 0, partition["first"])
        for partition in second_run
    )
    worker = installation.start_ready()
    confirm(installation, range(20, 30))
    installation.until(lambda: matched_count(installation) == 30, "the breaks are resolved")
    resolved = {
        number for (number,) in installation.rows("SELECT DISTINCT version FROM results WHERE trade_id = 'G25'")
    }
    assert resolved == {2}
    assert installation.one("SELECT count(*) FROM breaks WHERE status = 'RESOLVED'") == 10
    assert duplicate_results(installation) == 0
    after = installation.ends(installation.topics.reconciled, installation.topics.mismatch)
    assert sum(after.values()) == sum(before.values()) + 20
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_state_rebuild_changes_nothing_where_nothing_is_lost(installation: Installation) -> None:
    done = json.loads(installation.run("state", "rebuild", "--json").stdout)
    assert {one["lost"] for one in done} == {0}
    with Log.open(installation.data_dir / "log.db") as log:
        assert [log.readers(installation.topics.legs, number) for number in range(4)] == [{}] * 4


@pytest.mark.matrix("S13")
def test_state_rebuild_is_refused_while_a_worker_runs(installation: Installation) -> None:
    worker = installation.start_ready()
    with pytest.raises(AssertionError, match="a worker is already running on this directory"):
        installation.run("state", "rebuild")
    assert worker.leave() == 0
