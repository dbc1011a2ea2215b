"""Free space: intake waits first, the others at half of it, and nobody flickers at the edge."""

from traderecon.transport.pauses import Pauses
from traderecon.worker.free_space import HOLD, MIB, floor_bytes, judge


def test_intake_has_the_whole_floor_and_the_others_half_of_it() -> None:
    assert [floor_bytes(role, 512) // MIB for role in ("intake", "matching", "sink")] == [512, 256, 256]


def test_f8_a_role_waits_below_its_floor_and_goes_on_a_twentieth_above() -> None:
    holds, floor = Pauses("intake"), 1_000
    seen = []
    for free in (1_001, 999, 1_000, 1_049, 1_050, 1_049, 1_000, 999):
        judge(holds, free, floor, "here")
        seen.append(bool(holds))
    assert seen == [False, True, True, True, False, False, False, True]
    assert "TRADERECON_MIN_FREE_MB" in holds.said[HOLD]


def test_without_a_floor_nothing_is_held() -> None:
    holds = Pauses("intake")
    judge(holds, 0, 0, "here")
    assert not holds
