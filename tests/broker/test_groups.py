"""Groups: each database has a sink group of its own; workers of one group have the same rules, or sources."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from broker.waiting import until
from pipeline.trades import matched_count, send
from pipeline_case import READY_S, Installation

pytestmark = pytest.mark.installation(inputs=(1, 1, 1), topic_partitions=4)
TRADES = 40


Beside = Callable[..., Installation]


@pytest.fixture
def beside(installation: Installation, tmp_path: Path) -> Iterator[Beside]:
    """Other hosts on the same topics, each with a data directory and a database of its own."""
    made: list[Installation] = []

    def another(**settings: object) -> Installation:
        chosen = {"topic_prefix": installation.prefix, "topic_partitions": installation.partitions, **settings}
        made.append(Installation(tmp_path / f"beside-{len(made)}", installation.broker, **chosen))
        return made[-1]

    yield another
    for one in made:
        one.close()


def id_of(installation: Installation) -> str:
    return str(installation.one("SELECT database_id FROM database_ids ORDER BY id DESC LIMIT 1"))


def stored(installation: Installation, count: int) -> None:
    until(lambda: matched_count(installation) == count, f"all {count} are stored", READY_S)


@pytest.mark.matrix("Z8")
def test_two_databases_on_one_prefix_get_everything_each(installation: Installation, beside: Beside) -> None:
    other = beside()
    first = installation.start_ready()
    second = other.start_ready("sink,web")
    send(installation, range(TRADES))
    stored(installation, TRADES)
    stored(other, TRADES)
    assert id_of(installation) != id_of(other)
    history = 'SELECT topic, partition, max("offset"), count(*), max(chain) FROM result_history GROUP BY 1, 2'
    assert sorted(installation.rows(history)) == sorted(other.rows(history))
    # Two workers of one database still share the work.
    third = installation.start_ready("sink")
    send(installation, range(TRADES, TRADES + 10))
    stored(installation, TRADES + 10)
    stored(other, TRADES + 10)
    assert [worker.leave() for worker in (third, second, first)] == [0, 0, 0]


@pytest.mark.matrix("Z8")
def test_a_copy_of_a_database_gets_an_id_of_its_own(installation: Installation, beside: Beside) -> None:
    worker = installation.start_ready()
    send(installation, range(TRADES))
    stored(installation, TRADES)
    assert worker.leave() == 0
    original = installation.start_ready("sink")  # nothing is published now: a copy is as far as its original
    installation.until(installation.stored, "all is stored")
    # A backup has no id, a file that was only copied has its original's.
    restored, copied = beside(), beside()
    for place in (restored, copied):
        place.data_dir.mkdir(parents=True)
    installation.run("db", "backup", restored.data_dir / "traderecon.db")
    with closing(sqlite3.connect(restored.data_dir / "traderecon.db")) as backup:
        assert backup.execute("SELECT database_id FROM database_ids ORDER BY id DESC").fetchone() == ("",)
    files = (installation.data_dir / "traderecon.db", copied.data_dir / "traderecon.db")
    with closing(sqlite3.connect(files[0])) as source, closing(sqlite3.connect(files[1])) as copy:
        source.backup(copy)
    assert id_of(copied) == id_of(installation)
    others = [restored.start_ready("sink"), copied.start_ready("sink")]
    assert len({id_of(one) for one in (installation, restored, copied)}) == 3
    assert "has members with another file open" in others[1].log
    again = installation.start_ready("intake,matching")
    send(installation, range(TRADES, TRADES + 20))
    for place in (installation, restored, copied):
        stored(place, TRADES + 20)
    assert [one.leave() for one in (*others, again, original)] == [0, 0, 0, 0]


@pytest.mark.matrix("Z8")
def test_a_database_that_was_set_back_leaves_the_group_it_is_behind(installation: Installation, tmp_path: Path) -> None:
    worker = installation.start_ready()
    send(installation, range(10))
    stored(installation, 10)
    assert worker.leave() == 0
    database, old = installation.data_dir / "traderecon.db", tmp_path / "old.db"
    shutil.copy(database, old)
    before = id_of(installation)
    worker = installation.start_ready()
    assert id_of(installation) == before
    send(installation, range(10, 30))
    stored(installation, 30)
    assert worker.leave() == 0
    shutil.copy(old, database)  # as someone would who restores a plain copy
    again = installation.start_ready()
    stored(installation, 30)
    assert id_of(installation) != before
    assert "it was restored from a backup or is a copy" in again.log
    assert again.leave() == 0


@pytest.mark.matrix("Z9")
def test_a_matching_worker_with_other_rules_waits_and_logs_it(installation: Installation, beside: Beside) -> None:
    first = installation.start_ready()
    send(installation, range(10))
    stored(installation, 10)
    other = beside(grace_seconds=7)
    second = other.start("matching")
    until(lambda: "; this worker has the rules " in second.log, "it says that it waits", READY_S)
    assert not second.ready()
    waits = next(line for line in second.log.splitlines() if "; this worker has the rules " in line)
    theirs, mine = re.findall(r"the rules [^(;]* \(sha256 ([0-9a-f]{8})\), 35 days of retention", waits)
    assert theirs != mine
    doctor = other.run("doctor", "--role", "matching").stdout
    (finding,) = [line for line in doctor.splitlines() if "rules in force" in line]
    assert theirs in finding
    assert mine in finding
    # It stays out when the others end: only a start of its own, with nobody there, takes the new rules into force.
    send(installation, range(10, 20))
    stored(installation, 20)
    assert first.leave() == 0
    until(lambda: "is empty now" in second.log, "it does not take over", READY_S)
    assert second.leave() == 0
    # Stop all, start all: the change is on record, once for each partition of the journal.
    installation.environment.update(TRADERECON_GRACE_SECONDS="7")
    again = installation.start_ready()
    send(installation, range(20, 60))
    stored(installation, 60)
    changes = installation.rows(
        "SELECT journal_partition, before_sha256, after_sha256, difference FROM rules_changes WHERE before_sha256 <> ''"
    )
    assert {row[0] for row in changes} == {0, 1, 2, 3}
    assert len(changes) == 4
    assert {row[1:] for row in changes} == {(*changes[0][1:3], '{"grace_ns":[2000000000,7000000000]}')}
    assert changes[0][1] != changes[0][2]
    assert str(changes[0][2]).startswith(mine)
    assert str(changes[0][1]).startswith(theirs)
    assert again.leave() == 0


@pytest.mark.matrix("Z9")
def test_an_intake_worker_with_other_sources_waits_and_logs_it(
    installation: Installation, beside: Beside, tmp_path: Path
) -> None:
    rules = tmp_path / "desk.toml"
    rules.write_text('name = "founding"\n[sources.executions]\nzone = "Europe/London"\n', encoding="utf-8")
    first = installation.start_ready()
    send(installation, range(10))
    stored(installation, 10)
    other = beside(rules=rules)
    second = other.start("intake")
    waiting = "; this worker has settings of the sources with sha256 "
    until(lambda: waiting in second.log, "it says that it waits", READY_S)
    assert not second.ready()
    (waits,) = {line.partition("the other workers")[2] for line in second.log.splitlines() if waiting in line}
    assert "have the standard settings of every source" in waits
    doctor = other.run("doctor", "--role", "intake").stdout
    (finding,) = [line for line in doctor.splitlines() if "sources in force" in line]
    assert "stop every intake worker" in doctor
    assert "the standard settings of every source" in finding
    send(installation, range(10, 20))
    stored(installation, 20)
    assert second.leave() == 0
    assert first.leave() == 0
    # Stop all, start all: the new settings are in force.
    installation.environment["TRADERECON_RULES"] = str(rules)
    again = installation.start_ready()
    send(installation, range(20, 40))
    stored(installation, 40)
    assert again.leave() == 0
