"""The comparison sees what it must see, and a copy of a story is the story."""

from scenario import stories

from story.copies import Copy, copies_of
from story.course import Step, course_of
from story.stored import Newest, Stored
from traderecon.records import State
from traderecon.rules import FOUNDING

STORIES = stories()
LATE = "F14-confirmed-late"
REFUSED = "E14-no-trade-id"


def course(name: str) -> list[Step]:
    return course_of(copies_of(name, STORIES[name], orders=1), FOUNDING, partitions=2)


def as_expected(step: Step) -> Stored:
    """A database that has exactly what is expected."""
    expected = step.expected
    return Stored(dict(expected.newest), dict(expected.states), dict(expected.transitions), dict(expected.dead_letters))


def test_a_story_with_a_grace_is_sent_in_two_phases() -> None:
    steps = course(LATE)
    assert [step.passes_grace for step in steps] == [False, True, False, True]
    states = [[newest.state for newest in step.expected.newest.values()] for step in steps]
    assert states == [[], ["UNMATCHED"], ["MATCHED"], ["MATCHED"]]
    (trade_id,) = steps[-1].expected.newest
    assert steps[-1].expected.states == {trade_id: [State.UNMATCHED, State.MATCHED]}
    assert steps[-1].expected.transitions == {trade_id: ["opened", "resolved"]}


def test_every_kind_of_difference_is_found() -> None:
    (*_, last) = course(LATE)
    assert last.expected.differences(as_expected(last)) == []
    (trade_id,) = last.expected.newest
    newest = last.expected.newest[trade_id]
    wrong: list[Stored] = [
        as_expected(last)._replace(newest={}),
        as_expected(last)._replace(newest={trade_id: newest._replace(hints=())}),
        as_expected(last)._replace(newest={trade_id: newest._replace(event_id="0")}),
        as_expected(last)._replace(newest={trade_id: newest, "T9": Newest("MATCHED", (), (), "1")}),
        as_expected(last)._replace(states={trade_id: [State.MATCHED]}),
        as_expected(last)._replace(transitions={trade_id: ["opened"]}),
        as_expected(last)._replace(dead_letters={("executions", 0, 0): "KEY_MISSING"}),
    ]
    assert [len(last.expected.differences(stored)) for stored in wrong] == [1] * len(wrong)


def test_a_dead_letter_is_expected_at_the_place_of_its_message() -> None:
    (*_, last) = course(REFUSED)
    (place, *_) = last.expected.dead_letters
    assert last.expected.dead_letters[place] == "KEY_MISSING"
    assert last.expected.differences(as_expected(last)._replace(dead_letters={}))


def test_copies_are_the_story_under_other_trade_ids() -> None:
    story = STORIES["E12-trade-ids-trimmed"]
    copies = copies_of("E12", story)
    assert len(copies) == 6
    assert {tuple(sorted(copy.results(FOUNDING))) for copy in copies} == {
        (f"E12/{number}/T1", f"E12/{number}/t1") for number in range(6)
    }
    ids = [message.fields["trade_id"] for message in copies[0].messages if message.fields]
    assert ids == ["E12/0/T1", "E12/0/T1 ", "E12/0/t1"]


def test_a_copy_of_raw_bytes_has_its_own_trade_id() -> None:
    for copy in copies_of("G02", STORIES["G02-a-key-twice"]):
        values = b"".join(message.value or b"" for message in copy.messages)
        assert values.count(b'"trade_id"') == values.count(copy.prefix.encode())


def test_ids_that_cannot_be_lengthened_are_left_alone() -> None:
    (copy,) = copies_of("E13", STORIES["E13-numeric-trade-ids"])
    assert sorted(copy.results(FOUNDING)) == ["001", "1"]


def test_the_core_says_of_every_copy_what_the_story_expects() -> None:
    for name, story in STORIES.items():
        for copy in copies_of(name, story, orders=2):
            assert outcome(copy) == {
                copy.prefix + trade.trade_id: (trade.state, trade.reasons)
                for trade in story.out
                if trade.state is not State.PENDING
            }


def outcome(copy: Copy) -> dict[str, tuple[State, tuple[str, ...]]]:
    found = copy.results(copy.story.parsed_rules)
    return {trade_id: (it.verdict.state, it.verdict.reasons) for trade_id, it in found.items()}
