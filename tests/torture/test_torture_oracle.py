"""The oracle on handwritten histories: a good one passes, each kind of defect is found."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from torture.findings import Defect, Entry
from torture.oracle import History, judge, repeated, unsettled

INPUTS = [
    Entry(0, 0, b"k1", b"a"),
    Entry(0, 1, b"k1", b"b"),
    Entry(0, 2, b"k1", b"a"),  # a duplicate
    Entry(0, 3, b"k2", b"a"),  # the same uid under another key: a fact
    Entry(0, 4, b"k1", b"c"),
    Entry(1, 0, b"k3", b"a"),
]
OUTPUTS = [
    Entry(0, 0, b"k1", b'{"key":"k1","uid":"a","n":1,"at":0}'),
    Entry(0, 1, b"k1", b'{"key":"k1","uid":"b","n":2,"at":1}'),
    Entry(0, 2, b"k2", b'{"key":"k2","uid":"a","n":1,"at":3}'),
    Entry(0, 3, b"k1", b'{"key":"k1","uid":"c","n":3,"at":4}'),
    Entry(1, 0, b"k3", b'{"key":"k3","uid":"a","n":1,"at":0}'),
]
CHANGELOG = [
    Entry(0, 0, b"k1\x00a", b"0"),
    Entry(0, 1, b"\x00applied", b"1"),
    Entry(0, 2, b"k1\x00b", b"1"),
    Entry(0, 3, b"k2\x00a", b"3"),
    Entry(0, 4, b"k1\x00c", b"4"),
    Entry(0, 5, b"\x00applied", b"4"),
    Entry(1, 0, b"k3\x00a", b"0"),
]


def history(
    inputs: list[Entry] = INPUTS, outputs: list[Entry] = OUTPUTS, changelog: list[Entry] = CHANGELOG
) -> History:
    """A settled history."""
    return History(inputs, outputs, changelog, INPUTS, committed={0: 5, 1: 1}, ends={0: 5, 1: 1})


def without(entries: list[Entry], index: int) -> list[Entry]:
    return entries[:index] + entries[index + 1 :]


def more(entries: list[Entry], value: bytes | None, *, key: bytes, partition: int = 0) -> list[Entry]:
    """The entries, and one that comes after them."""
    offset = 1 + max(entry.offset for entry in entries if entry.partition == partition)
    return [*entries, Entry(partition, offset, key, value)]


def defects(history_judged: History, *, state: bool = True) -> list[Defect]:
    return [finding.defect for finding in judge(history_judged, state=state)]


def test_a_good_history_is_safe_and_settled() -> None:
    assert judge(history(), state=True) == []
    assert unsettled(history()) == []
    assert repeated(history().outputs) == 0


def test_a_lost_output_is_found_at_its_input_offset() -> None:
    history_judged = history(outputs=without(OUTPUTS, 3))
    (finding,) = judge(history_judged, state=True)
    assert (finding.defect, finding.partition, finding.offset) == (Defect.LOST, 0, 4)
    assert unsettled(history_judged) == ["1 outputs are missing"]


@pytest.mark.parametrize("index", range(len(OUTPUTS)))
def test_any_lost_output_is_found(index: int) -> None:
    assert defects(history(outputs=without(OUTPUTS, index))) == [Defect.LOST]


def test_an_output_in_another_partition_is_wrong_and_its_own_is_lost() -> None:
    stray = Entry(0, 4, *OUTPUTS[-1][2:])
    assert defects(history(outputs=[*OUTPUTS[:-1], stray])) == [Defect.WRONG, Defect.LOST]


WRONG: dict[str, Callable[[], list[Entry]]] = {
    "a wrong count beside the right one": lambda: more(OUTPUTS, b'{"key":"k1","uid":"c","n":2,"at":4}', key=b"k1"),
    "a changed byte in a repeat": lambda: more(OUTPUTS, b'{"key":"k1","uid":"a","n":1, "at":0}', key=b"k1"),
    "a repeat under another key": lambda: more(OUTPUTS, OUTPUTS[0].value, key=b"k9"),
    "a repeat without a key": lambda: [*OUTPUTS, Entry(0, 4, None, OUTPUTS[0].value)],
    "an output for a duplicate": lambda: more(OUTPUTS, b'{"key":"k1","uid":"a","n":3,"at":2}', key=b"k1"),
    "an output for nothing": lambda: more(OUTPUTS, b'{"key":"k7","uid":"z","n":1,"at":9}', key=b"k7"),
    "an output of another kind": lambda: more(OUTPUTS, b"not JSON", key=b"k1"),
    "an empty output": lambda: more(OUTPUTS, None, key=b"k1"),
}


@pytest.mark.parametrize("outputs", WRONG.values(), ids=WRONG.keys())
def test_an_output_of_no_fact_is_wrong(outputs: Callable[[], list[Entry]]) -> None:
    (finding,) = judge(history(outputs=outputs()), state=True)
    assert (finding.defect, finding.partition, finding.offset) == (Defect.WRONG, 0, 4)


def test_a_wrong_count_in_place_of_the_right_one_is_also_a_loss() -> None:
    wrong = Entry(0, 3, b"k1", b'{"key":"k1","uid":"c","n":2,"at":4}')
    assert defects(history(outputs=[*OUTPUTS[:3], wrong, OUTPUTS[4]])) == [Defect.WRONG, Defect.LOST]


def test_a_repeat_byte_for_byte_is_counted_and_allowed() -> None:
    outputs = more(more(OUTPUTS, OUTPUTS[0].value, key=b"k1"), OUTPUTS[0].value, key=b"k1")
    assert judge(history(outputs=outputs), state=True) == []
    assert repeated(outputs) == 2


STATE: dict[str, Callable[[], list[Entry]]] = {
    "a missing row": lambda: without(CHANGELOG, 2),
    "a stale row": lambda: more(CHANGELOG, b"0", key=b"k1\x00c"),
    "a deleted row": lambda: more(CHANGELOG, None, key=b"k1\x00c"),
    "a row for nothing": lambda: more(CHANGELOG, b"2", key=b"k1\x00z"),
    "a row in another partition": lambda: more(CHANGELOG, b"4", key=b"k1\x00c", partition=1),
}


@pytest.mark.parametrize("changelog", STATE.values(), ids=STATE.keys())
def test_a_changelog_that_differs_from_the_facts_is_found(changelog: Callable[[], list[Entry]]) -> None:
    assert defects(history(changelog=changelog())) == [Defect.STATE]
    assert defects(history(changelog=changelog()), state=False) == []


def test_only_the_newest_row_counts_and_the_tables_own_rows_do_not() -> None:
    assert judge(history(changelog=more(CHANGELOG, b"4", key=b"k1\x00c")), state=True) == []
    assert judge(history(changelog=[Entry(0, -1, b"k1\x00c", b"3"), *CHANGELOG]), state=True) == []
    assert judge(history(changelog=more(CHANGELOG, b"anything", key=b"\x00other")), state=True) == []


def test_a_commit_beyond_the_end_is_found() -> None:
    history_judged = replace(history(), committed={0: 6, 1: 1})
    (finding,) = judge(history_judged, state=True)
    assert (finding.defect, finding.partition, finding.offset) == (Defect.COMMIT, 0, 6)
    assert unsettled(history_judged) == ["partition 0 is committed to 6 of 5"]


def test_a_commit_ahead_of_finished_records_is_found() -> None:
    in_progress = replace(history(outputs=OUTPUTS[:2], changelog=CHANGELOG[:3]), committed={0: 4})
    assert defects(in_progress) == [Defect.LOST, Defect.STATE]
    assert [finding.offset for finding in judge(in_progress, state=True)] == [3, 3]


def test_uncommitted_records_are_neither_lost_nor_settled() -> None:
    in_progress = replace(history(outputs=OUTPUTS[:2], changelog=CHANGELOG[:3]), committed={0: 2})
    assert judge(in_progress, state=True) == []
    assert unsettled(in_progress) == [
        "partition 0 is committed to 2 of 5",
        "partition 1 is committed to 0 of 1",
        "3 outputs are missing",
    ]


@pytest.mark.parametrize("entry", [Entry(0, 5, b"k1", b"d"), Entry(0, 4, b"k1", b"d")])
def test_an_acknowledged_record_missing_in_the_log_is_found(entry: Entry) -> None:
    history_judged = replace(history(), acknowledged=[*INPUTS, entry])
    assert defects(history_judged) == [Defect.INPUT]


def test_a_record_written_twice_by_a_retry_is_a_duplicate() -> None:
    inputs = more(INPUTS, b"c", key=b"k1")
    history_judged = replace(history(inputs=inputs), committed={0: 6, 1: 1}, ends={0: 6, 1: 1})
    assert judge(history_judged, state=True) == []
