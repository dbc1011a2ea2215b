"""Retention of the embedded log: deletes records that every group has read and that are old enough, and no others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from traderecon.sink.store import Store
from traderecon.topics import DAY_MS, topics
from traderecon.transport.log import Log
from traderecon.worker.log_databases import in_use, record
from traderecon.worker.log_retention import trim_log
from traderecon.worker.sink_group import sink_group

NAMES = topics()
DECLARED = NAMES.declared(2, 3)
KEPT_DAYS = 4
"""Two days, and an equal margin."""
DAYS = 10
A_DAY = 500
INTAKE, MATCHING, SINK = "traderecon-intake", "traderecon-matching", "traderecon-sink-1f"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """Every topic with ten days of records in one partition; no group has read anything."""
    with Log.open(tmp_path / "log.db") as log:
        for topic in DECLARED:
            log.create(topic.name, 1, compacted=topic.compacted)
            for day in range(DAYS):
                entries = [(b"k%d" % number, b"v" * 200, day * DAY_MS + number, ()) for number in range(A_DAY)]
                log.append([(topic.name, 0, entries)])
        yield log


def read_all(log: Log, group: str, *names: str, upto: int = DAYS * A_DAY) -> None:
    log.commit(group, dict.fromkeys(((name, 0) for name in names), upto))


def firsts(log: Log) -> dict[str, int]:
    return {topic.name: log.earliest(topic.name, 0) for topic in DECLARED if log.earliest(topic.name, 0)}


def trim(log: Log, day: int) -> dict[str, int]:
    trim_log(log, NAMES, DECLARED, "", day * DAY_MS)
    return firsts(log)


@pytest.mark.matrix("S14")
def test_nothing_goes_that_a_reader_has_not_done_or_that_is_young(log: Log) -> None:
    assert trim(log, 100) == {}  # no group has read anything
    read_all(log, INTAKE, *NAMES.inputs)
    assert trim(log, 3) == {}  # all of it is young
    kept = dict.fromkeys(NAMES.inputs, (DAYS - KEPT_DAYS) * A_DAY)
    assert trim(log, DAYS) == kept
    read_all(log, MATCHING, NAMES.legs, upto=700)
    assert trim(log, DAYS) == kept | {NAMES.legs: 700}
    read_all(log, MATCHING, NAMES.legs)
    assert trim(log, DAYS)[NAMES.legs] == kept[NAMES.executions]


@pytest.mark.matrix("S14")
def test_the_slowest_database_holds_outputs_back_and_actions_stay(log: Log) -> None:
    read_all(log, SINK, *NAMES.outputs)
    read_all(log, "traderecon-sink-2e", NAMES.reconciled, upto=40)
    read_all(
        log, "traderecon-sink", *NAMES.outputs, upto=1
    )  # the group of earlier versions, which no worker uses any more
    assert trim(log, 100) == {
        NAMES.reconciled: 40,
        NAMES.mismatch: DAYS * A_DAY,
        NAMES.accounts: DAYS * A_DAY,
    }


@pytest.mark.matrix("S14")
def test_a_database_that_was_restored_keeps_only_what_it_needs_itself(log: Log, tmp_path: Path) -> None:
    database, elsewhere = tmp_path / "t.db", tmp_path / "other.db"

    def drawn(path: Path, reason: str) -> str:
        store = Store.open(f"sqlite:///{path}")
        store.prepare()
        made = store.renew_id(reason, "2025-07-26T12:00:00Z")
        store.close()
        record(tmp_path, path)
        return sink_group("", made)

    def trimmed_now() -> dict[str, int]:
        trim_log(log, NAMES, DECLARED, "", 100 * DAY_MS, in_use(tmp_path))
        return firsts(log)

    read_all(log, drawn(database, "the first sink"), *NAMES.outputs, upto=40)
    second = drawn(database, "it was restored")
    assert trimmed_now() == {}  # it has not read anything yet
    read_all(log, second, *NAMES.outputs, upto=60)
    assert set(trimmed_now().values()) == {60}
    read_all(log, drawn(elsewhere, "the first sink"), *NAMES.outputs, upto=80)
    read_all(log, second, *NAMES.outputs)
    assert set(trimmed_now().values()) == {80}  # the other database is there, and has not read more
    elsewhere.unlink()
    assert set(trimmed_now().values()) == {DAYS * A_DAY}


@pytest.mark.matrix("S14")
def test_without_database_retention_results_stay_forever(log: Log) -> None:
    read_all(log, SINK, *NAMES.outputs)
    trim_log(log, NAMES, NAMES.declared(2), "", 100 * DAY_MS)
    assert firsts(log) == {NAMES.accounts: DAYS * A_DAY}


@pytest.mark.matrix("S14")
def test_freed_space_is_reused(log: Log, tmp_path: Path) -> None:
    names = [*NAMES.inputs, NAMES.legs, NAMES.reconciled, NAMES.mismatch, NAMES.accounts]
    sizes = []
    for day in range(DAYS, 3 * DAYS):
        for name in names:
            entries = [(b"k", b"v" * 200, day * DAY_MS + number, ()) for number in range(A_DAY)]
            log.append([(name, 0, entries)])
        for group, read in ((INTAKE, NAMES.inputs), (MATCHING, [NAMES.legs]), (SINK, NAMES.outputs)):
            log.commit(group, {(name, 0): log.end(name, 0) for name in read})
        trim(log, day)
        sizes.append(sum(file.stat().st_size for file in tmp_path.glob("log.db*")))
    assert max(sizes[DAYS:]) <= max(sizes[:DAYS])
