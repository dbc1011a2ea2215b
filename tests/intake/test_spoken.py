"""What intake tells matching of its sources: the newest leg of each topic, and of each broker in it."""

from hypothesis import given
from hypothesis import strategies as st
from legs import booked, ours, theirs

from traderecon.intake.spoken import MAX_BROKER_CHARACTERS, MAX_REPORTED, Spoken, spoken_by
from traderecon.records import Fact, Leg, Origin


def received(*legs: tuple[Leg, int]) -> list[Fact]:
    return [Fact(leg, Origin("t", 0, offset, at_ns)) for offset, (leg, at_ns) in enumerate(legs)]


def test_the_newest_leg_of_a_topic_and_of_its_brokers() -> None:
    facts = received((ours(broker="A"), 1), (ours(), 2), (ours(broker="B"), 3), (ours(broker="A"), 4))
    assert spoken_by(facts) == {"executions/A": 4, "executions/B": 3, "executions": 4}
    assert spoken_by(received((theirs(), 7))) == {"broker_confirmations": 7}
    assert spoken_by(received((booked(), 1), (booked(), 9))) == {"pnl_snapshot": 9}
    assert spoken_by([]) == {}


def test_a_long_text_is_no_broker() -> None:
    name = "x" * MAX_BROKER_CHARACTERS
    assert spoken_by(received((ours(broker=name), 1))) == {f"executions/{name}": 1, "executions": 1}
    assert spoken_by(received((ours(broker=f"{name}x"), 1))) == {"executions": 1}


def test_a_report_has_what_is_new_and_no_time_beyond_the_log() -> None:
    spoken = Spoken()
    spoken.add({"executions": 5, "broker_confirmations": 9})
    spoken.add({"executions": 4})
    assert spoken.take(7) == {"executions": 5, "broker_confirmations": 7}
    assert spoken.take(7) == {}
    spoken.add({"executions": 6})
    spoken.clear()
    assert spoken.take(7) == {}


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 3))
def test_every_source_is_reported_the_most_recent_first(times: dict[str, int], factor: int) -> None:
    spoken = Spoken()
    taken: dict[str, int] = {}
    many = {f"{name}{copy}": at_ns for name, at_ns in times.items() for copy in range(10 * factor)}
    spoken.add(many)
    oldest = 50
    while report := spoken.take(50):
        assert len(report) <= MAX_REPORTED
        assert max(report.values()) <= oldest
        oldest = min(report.values())
        taken |= report
    assert taken == many
