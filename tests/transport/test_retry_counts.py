"""Failures of a record are counted across the processes it ends."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from traderecon.transport import LOG_APPEND_TIME, MicroBatch
from traderecon.transport.retry_counts import LIMIT, MAX_COUNTS, RetryCounts


class Row(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_type: int = LOG_APPEND_TIME


def batch(topic: str, *values: bytes, first: int = 7) -> MicroBatch:
    return MicroBatch(topic, 0, [Row(offset, value=value) for offset, value in enumerate(values, first)])


def test_failures_are_counted_across_processes(tmp_path: Path) -> None:
    path = tmp_path / "retry-counts.json"
    legs = batch("legs", b"a", b"b")
    assert [RetryCounts(path).count_failure(legs, legs.records[1]) for _ in range(3)] == [1, 2, LIMIT]


def test_records_of_a_batch_are_counted_separately(tmp_path: Path) -> None:
    path = tmp_path / "retry-counts.json"
    legs = batch("legs", b"a", b"b")
    seen = []
    for _ in range(LIMIT):
        retry_counts = RetryCounts(path)
        seen.append([retry_counts.count_failure(legs, record) for record in legs.records])
    assert seen == [[1, 1], [2, 2], [LIMIT, LIMIT]]


def test_a_record_written_again_at_another_offset_is_the_same_record(tmp_path: Path) -> None:
    retry_counts = RetryCounts(tmp_path / "retry-counts.json")
    once, again = batch("legs", b"a"), batch("legs", b"a", first=900)
    assert retry_counts.count_failure(once, once.records[0]) == 1
    assert retry_counts.count_failure(again, again.records[0]) == 2


def test_topics_are_counted_separately(tmp_path: Path) -> None:
    retry_counts = RetryCounts(tmp_path / "retry-counts.json")
    here, there = batch("legs", b"a"), batch("executions", b"a")
    assert retry_counts.count_failure(here, here.records[0]) == 1
    assert retry_counts.count_failure(there, there.records[0]) == 1
    assert retry_counts.count_failure(here, here.records[0]) == 2


def test_only_the_latest_failures_are_stored(tmp_path: Path) -> None:
    retry_counts = RetryCounts(tmp_path / "retry-counts.json")
    legs = batch("legs", *(b"%d" % number for number in range(MAX_COUNTS + 1)))
    assert {retry_counts.count_failure(legs, record) for record in legs.records} == {1}
    assert retry_counts.count_failure(legs, legs.records[-1]) == 2
    assert retry_counts.count_failure(legs, legs.records[0]) == 1


def process(path: Path, legs: MicroBatch, bad: bytes) -> int:
    """Run a process that is killed at one value; return the signal, or the offset it dead-letters, else 0."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    poison = 0
    retry_counts = RetryCounts(path)
    with retry_counts.attempting(legs):
        suspect = retry_counts.is_suspect(legs)
        for record in legs:
            if suspect and retry_counts.is_poison(legs, record):
                poison = record.offset
            elif record.value == bad:
                os.kill(os.getpid(), signal.SIGKILL)
    os._exit(poison)


@pytest.mark.matrix("K14")
def test_only_a_record_that_killed_the_process_three_times_is_a_poison_record(tmp_path: Path) -> None:
    path = tmp_path / "retry-counts.json"
    legs = batch("legs", b"a", b"bad", b"c")
    assert [process(path, legs, b"bad") for _ in range(LIMIT)] == [-signal.SIGKILL] * LIMIT
    assert process(path, legs, b"bad") == legs.records[1].offset
    assert process(path, batch("legs", b"d", first=20), b"bad") == 0


@pytest.mark.matrix("K14")
def test_only_a_batch_whose_process_was_killed_is_suspect(tmp_path: Path) -> None:
    path = tmp_path / "retry-counts.json"
    legs = batch("legs", b"a", b"b")
    with pytest.raises(ZeroDivisionError), RetryCounts(path).attempting(legs):
        raise ZeroDivisionError
    assert not RetryCounts(path).is_suspect(legs)
    assert process(path, legs, b"b") == -signal.SIGKILL
    again = RetryCounts(path)
    assert again.is_suspect(legs)
    assert not again.is_suspect(batch("legs", b"a", first=9))
    assert not again.is_suspect(batch("executions", b"a"))
    assert not RetryCounts(path).is_suspect(legs)  # the attempt ended regularly


@pytest.mark.matrix("K14")
def test_a_truncated_attempt_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "retry-counts.attempt").write_bytes(b'["legs", 0')
    assert not RetryCounts(tmp_path / "retry-counts.json").is_suspect(batch("legs", b"a"))
