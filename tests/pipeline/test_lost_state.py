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
from pipeline.trades import doubled, execution, matched, send
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
"""A worker whose log has no leader for a partition of the outputs, while a file is there."""


DIES = """
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
"""A worker that is killed when results are acknowledged, and nothing of them is in the changelog."""


HALF = """
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
"""A worker that is killed when ``reconciled`` has its results, and ``mismatch`` has not."""


DIES_READING_BACK = """
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
"""A worker that is killed when the changelog says of a break that was read back that it is published."""


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Installation]:
    """An installation in which trades wait for an hour."""
    installation = Installation(tmp_path, grace_seconds=3600)
    installation.create_topics()
    yield installation
    installation.close()


def lose_changelog(installation: Installation) -> None:
    """Delete every record of the changelog and its offsets, as a topic that was deleted and made again."""
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
    """The confirmations of these trades."""
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in numbers])


def waiting(installation: Installation) -> int:
    """How many trades wait, as matching says."""
    return sum(sum(json.loads(pending).values()) for (pending,) in installation.rows("SELECT pending FROM standings"))


def half_done(installation: Installation) -> None:
    """Twenty trades matched, thirty executions that wait, and no worker."""
    worker = installation.start_ready()
    send(installation, range(20))
    installation.append(installation.topics.executions, [execution(number) for number in range(20, 50)])
    installation.until(lambda: matched(installation) == 20 and waiting(installation) == 30, "twenty match, thirty wait")
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_a_deleted_changelog_and_no_store_lose_no_trade(patient: Installation) -> None:
    half_done(patient)
    before = patient.ends(patient.topics.reconciled, patient.topics.mismatch)
    lose_changelog(patient)
    lose_stores(patient)
    worker = patient.start_ready()
    confirm(patient, range(20, 50))
    patient.until(lambda: matched(patient) == 50, "those that waited match")
    assert "a table ends at offset 0, the group has committed" in worker.log
    assert doubled(patient) == 0
    after = patient.ends(patient.topics.reconciled, patient.topics.mismatch)
    assert sum(after.values()) == sum(before.values()) + 30  # nothing of before is published again
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_outputs_without_a_leader_keep_only_their_partition_waiting(patient: Installation) -> None:
    half_done(patient)
    lose_changelog(patient)
    lose_stores(patient)
    gone = patient.directory / "gone"
    gone.touch()
    worker = patient.start(program=[sys.executable, "-c", LEADERLESS.format(path=str(gone))])
    confirm(patient, range(20, 50))
    waits = {number for number in range(20, 50) if partition_for(b"G%d" % number, patient.partitions) == 1}
    patient.until(lambda: matched(patient) == 50 - len(waits), "the other partitions go on")
    patient.until(lambda: "reconciled[1] has no leader that answers" in worker.log, "it is reported")
    assert 0 < len(waits) < 30
    gone.unlink()
    patient.until(lambda: matched(patient) == 50, "and those that waited match")
    assert doubled(patient) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_an_older_changelog_and_no_store_are_refused_and_the_journal_has_it_all(patient: Installation) -> None:
    """What is left of a changelog may be any part of it: nobody can say that only its end is missing."""
    worker = patient.start_ready()
    send(patient, range(20))
    patient.until(lambda: matched(patient) == 20, "twenty match")
    assert worker.leave() == 0
    aside = patient.directory / "older.db"
    with closing(sqlite3.connect(patient.data_dir / "log.db")) as log, closing(sqlite3.connect(aside)) as copy:
        log.backup(copy)
    worker = patient.start_ready()
    patient.append(patient.topics.executions, [execution(number) for number in range(20, 50)])
    patient.until(lambda: waiting(patient) == 30, "thirty wait")
    assert worker.leave() == 0
    lose_changelog(patient)
    with closing(sqlite3.connect(patient.data_dir / "log.db")) as log, log:
        log.execute("ATTACH ? AS older", (str(aside),))
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
    lose_stores(patient)
    refused = patient.start()
    assert refused.ended() == REFUSED
    assert f"{CHANGELOG}[" in refused.log
    lose_changelog(patient)
    lose_stores(patient)
    worker = patient.start_ready()
    confirm(patient, range(20, 50))
    patient.until(lambda: matched(patient) == 50, "those that waited match")
    assert doubled(patient) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_a_replay_under_other_rules_publishes_no_version_twice(patient: Installation) -> None:
    worker = patient.start_ready()
    legs = [execution(number) for number in range(20)]
    patient.append(patient.topics.executions, legs)
    patient.append(patient.topics.broker_confirmations, [execution(number, price="190.504") for number in range(20)])
    patient.until(lambda: matched(patient) == 20, "all are matched, within the tolerance")
    assert worker.leave() == 0
    before = patient.ends(patient.topics.reconciled, patient.topics.mismatch)
    lose_changelog(patient)
    lose_stores(patient)
    rules = patient.directory / "strict.toml"
    rules.write_text(STRICT)
    patient.environment["TRADERECON_RULES"] = str(rules)
    worker = patient.start_ready()
    # A fact more for each: the next version, and only that, is under the rules of today.
    patient.append(patient.topics.pnl_snapshot, [_snapshot(number) for number in range(20)])
    patient.until(
        lambda: patient.one("SELECT count(*) FROM results WHERE version = 3") == 20, "each has a version more"
    )
    assert doubled(patient) == 0
    assert patient.one("SELECT count(*) FROM results WHERE state = 'MISMATCHED'") == 20
    after = patient.ends(patient.topics.reconciled, patient.topics.mismatch)
    assert sum(after.values()) == sum(before.values()) + 40  # each on both topics, once
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
@pytest.mark.parametrize("how", [pytest.param("read-back", marks=pytest.mark.nightly), "read-back-cut-off", "rebuild"])
def test_a_half_published_result_is_completed_after_the_table_is_lost(patient: Installation, how: str) -> None:
    worker = patient.start_ready()
    send(patient, range(5))
    patient.until(lambda: matched(patient) == 5, "all match")
    assert worker.leave() == 0
    before = sum(patient.ends(patient.topics.reconciled).values())
    worker = patient.start(program=[sys.executable, "-c", HALF])
    amended = [execution(number, price=7, version=2, kind="amend") for number in range(5)]
    patient.append(patient.topics.executions, amended)
    assert worker.ended() == -signal.SIGKILL
    half = sum(patient.ends(patient.topics.reconciled).values()) - before
    assert half
    assert not sum(patient.ends(patient.topics.mismatch).values())
    lose_changelog(patient)
    lose_stores(patient)
    if how == "rebuild":
        patient.run("state", "rebuild")
    if how == "read-back-cut-off":
        assert patient.start(program=[sys.executable, "-c", DIES_READING_BACK]).ended() == -signal.SIGKILL
    worker = patient.start_ready()
    broken = "SELECT count(*) FROM results WHERE state = 'MISMATCHED'"
    patient.until(lambda: patient.one(broken) == 5, "all are breaks")
    assert sum(patient.ends(patient.topics.mismatch).values()) == 5
    assert doubled(patient) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
def test_results_published_but_not_stored_before_a_rules_change_are_not_published_again(
    patient: Installation,
) -> None:
    worker = patient.start_ready()
    patient.append(patient.topics.executions, [execution(number) for number in range(20)])
    patient.until(lambda: waiting(patient) == 20, "all wait")
    assert worker.leave() == 0
    worker = patient.start(program=[sys.executable, "-c", DIES])
    patient.append(patient.topics.broker_confirmations, [execution(number, price="190.504") for number in range(20)])
    assert worker.ended() == -signal.SIGKILL
    published = sum(patient.ends(patient.topics.reconciled).values())
    assert published
    rules = patient.directory / "strict.toml"
    rules.write_text(STRICT)
    patient.environment["TRADERECON_RULES"] = str(rules)
    worker = patient.start_ready()
    patient.until(lambda: patient.one("SELECT count(*) FROM results") == 20, "all are decided")
    patient.until(patient.stored, "everything is stored")
    assert matched(patient) == published  # under the rules of then, and once
    assert doubled(patient) == 0
    ends = patient.ends(patient.topics.reconciled, patient.topics.mismatch)
    assert sum(ends.values()) == 20
    assert worker.leave() == 0


def _snapshot(number: int) -> bytes:
    return json.dumps({"trade_id": f"G{number}", "pnl_impact": "-19050", "commission": "0"}).encode()


def refused(installation: Installation) -> str:
    """What a worker says that is refused."""
    worker = installation.start()
    assert worker.ended() == REFUSED
    return worker.log


def trimmed(installation: Installation, topic: str) -> int:
    """Retention takes everything that a topic has; how many records that were."""
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
        lambda: matched(installation) == 20 and installation.one(one_sided) == 10, "twenty match, ten are breaks"
    )
    assert worker.leave() == 0
    assert trimmed(installation, installation.topics.legs) > 50
    lose_changelog(installation)
    lose_stores(installation)
    said = refused(installation)
    assert re.search(r"legs\[\d\]: a table ends at offset 0, the group has committed \d+, and the log has \d+ to", said)
    ((_, of_the_page),) = scripts(Needs.LOST_STATE)
    assert f"run `{of_the_page.strip()}`" in said
    before = installation.ends(installation.topics.reconciled, installation.topics.mismatch)
    done = json.loads(installation.run("state", "rebuild", "--json").stdout)
    assert [one["partition"] for one in done] == [0, 1, 2, 3]
    assert all(one["lost"] == one["first"] > 0 == one["known"] for one in done)
    assert sum(one["results"] for one in done) == 30
    again = json.loads(installation.run("state", "rebuild", "--json").stdout)
    assert all((one["lost"], one["rows"], one["known"]) == (0, 0, one["first"]) for one in again)
    worker = installation.start_ready()
    confirm(installation, range(20, 30))
    installation.until(lambda: matched(installation) == 30, "the breaks are resolved")
    resolved = {
        number for (number,) in installation.rows("SELECT DISTINCT version FROM results WHERE trade_id = 'G25'")
    }
    assert resolved == {2}
    assert installation.one("SELECT count(*) FROM breaks WHERE status = 'RESOLVED'") == 10
    assert doubled(installation) == 0
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
