"""The journal's tail: a reset begins an epoch, and times of earlier epochs no longer count."""

import pytest
from legs import arrived, ours

from traderecon.intake.journal_tail import Tail, latest
from traderecon.records.journal import Progress, encode_journal

S = 1_000_000_000


def progress(at_s: int, epoch: int = 0) -> tuple[None, bytes]:
    return None, encode_journal(Progress(at_s * S, {}, {}, epoch))


def fact(at_s: int) -> tuple[bytes, bytes]:
    return b"T1", encode_journal(arrived(ours(), received_at_ns=at_s * S)[0])


def tail(*records: tuple[bytes | None, bytes]) -> Tail:
    records_read = Tail()
    for key, value in records:
        records_read.add(key, value)
    return records_read


@pytest.mark.matrix("C6")
def test_a_reset_makes_all_times_before_it_count_no_more() -> None:
    newest = tail(fact(5_000), progress(5_001), progress(100, 1), fact(101), progress(5_002))
    assert (newest.epoch, newest.newest_ns, newest.complete) == (1, 101 * S, True)
    assert tail(fact(7)).complete is False


def test_progress_from_before_any_clock_was_believed_has_no_time() -> None:
    newest = tail(progress(0), progress(0))
    assert (newest.complete, latest([newest])) == (False, (0, 0))
    assert tail(progress(0), fact(7)).complete is True


def test_records_that_cannot_be_decoded_are_skipped() -> None:
    undecodable = [(None, b"{}"), (b"T1", b"none"), (None, b'{"format": 99}'), (b"T1", b'{"format": 99}')]
    newest = tail(fact(7), *undecodable)
    assert (newest.epoch, newest.newest_ns, newest.complete) == (0, 7 * S, False)


@pytest.mark.matrix("C6")
def test_the_latest_epoch_of_any_partition_counts() -> None:
    assert latest([tail(progress(5_000)), tail(progress(100, 1)), tail(progress(90, 1)), tail()]) == (1, 100 * S)
    assert latest([]) == (0, 0)
