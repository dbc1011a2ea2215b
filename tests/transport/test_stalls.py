"""What the watch of a consumer finds: nothing stands still in silence, and what waits for a reason is not ended."""

from faust.types import TP

from traderecon.transport.progress import PartitionProgress
from traderecon.transport.stalls import OUTAGE_S, Stalls

LEGS = TP("legs", 0)
STALL_S = 60.0


def watch() -> Stalls:
    return Stalls(0.0, STALL_S, STALL_S + 30)


def reasons(stalls: Stalls, now_s: float, progress: PartitionProgress, end: int = 10) -> list[str | None]:
    return [stall.reason for stall in stalls.find(now_s, {LEGS: progress}, {LEGS: end})]


def test_a_partition_that_lags_is_read_again_and_then_ends_the_process() -> None:
    stalls, progress = watch(), PartitionProgress(3)
    assert reasons(stalls, 0, progress) == []
    assert reasons(stalls, STALL_S / 4, progress) == []
    assert reasons(stalls, STALL_S / 4 + 1, progress) == [None]
    (reason,) = reasons(stalls, STALL_S + 1, progress)
    assert reason == "legs[0] is stuck at offset 3 of 10 for 61 s: 3 committed, 0 open; the log answers"


def test_a_partition_at_its_end_may_stand_still() -> None:
    stalls, progress = watch(), PartitionProgress(10)
    assert [reasons(stalls, now_s, progress) for now_s in (0, STALL_S, 10 * STALL_S)] == [[], [], []]


def test_a_pause_and_a_partition_without_a_leader_begin_anew() -> None:
    stalls, progress = watch(), PartitionProgress(3)
    assert reasons(stalls, 0, progress) == []
    stalls.note_pause(STALL_S)
    assert reasons(stalls, STALL_S + 1, progress) == []
    assert list(stalls.find(STALL_S + 2, {LEGS: progress}, {})) == []
    assert reasons(stalls, 2 * STALL_S + 2, progress) == []


def test_a_log_that_is_silent_for_too_long_ends_the_process() -> None:
    stalls = watch()
    stalls.note_answer(100)
    assert stalls.note_silence(100 + OUTAGE_S) is None
    assert stalls.note_silence(101 + OUTAGE_S) == "the log has not answered for 601 s"


def test_a_rebalance_may_take_long_while_tables_recover() -> None:
    stalls = watch()
    assert stalls.note_recovery(10, 5, rebalancing=True) is None
    assert stalls.note_recovery(90, 6, rebalancing=True) is None
    assert stalls.note_recovery(180, 6, rebalancing=True) is None
    assert stalls.note_recovery(181, 6, rebalancing=True) is not None
    assert stalls.note_recovery(182, 6, rebalancing=False) is None
