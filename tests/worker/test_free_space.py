"""Free space: intake pauses first, the other stages at half of the floor, without flapping at the edge."""

from traderecon.transport.pauses import Pauses
from traderecon.worker.free_space import MIB, PAUSE, floor_bytes, pause_or_resume


def test_intake_has_the_whole_floor_and_the_other_stages_half_of_it() -> None:
    assert [floor_bytes(role, 512) // MIB for role in ("intake", "matching", "sink")] == [512, 256, 256]


def test_f8_a_role_pauses_below_its_floor_and_resumes_a_twentieth_above() -> None:
    pauses, floor = Pauses("intake"), 1_000
    paused = []
    for free in (1_001, 999, 1_000, 1_049, 1_050, 1_049, 1_000, 999):
        pause_or_resume(pauses, free, floor, "here")
        paused.append(bool(pauses))
    assert paused == [False, True, True, True, False, False, False, True]
    assert "TRADERECON_MIN_FREE_MB" in pauses.reasons[PAUSE]


def test_without_a_floor_nothing_is_paused() -> None:
    pauses = Pauses("intake")
    pause_or_resume(pauses, 0, 0, "here")
    assert not pauses
