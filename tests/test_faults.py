"""docs/faults.md is the whole matrix, and what it says of its tests is so."""

from collections import Counter

from faults import MATRIX, PAGE, Row, automated, rows, written

FEWEST = 60
"""Rows that are automated."""


def by_row() -> dict[str, Row]:
    return {one.row: one for one in rows()}


def test_every_row_of_the_matrix_is_there_once_and_in_order() -> None:
    assert tuple(one.row for one in rows()) == MATRIX
    assert len(MATRIX) == 88


def test_a_row_says_the_fault_and_the_promise() -> None:
    for one in rows():
        assert one.fault, one.row
        assert one.promise, one.row


def test_a_test_that_automates_a_row_is_named_there_and_no_other() -> None:
    """``python -m faults`` (in tests/) brings the page up to date."""
    found = automated()
    by_name = {row: [test._replace(nightly=False) for test in tests] for row, tests in found.items()}
    assert {one.row: list(one.tested_by) for one in rows() if one.tested_by} == by_name


def test_no_row_is_tested_at_night_alone() -> None:
    assert [row for row, tests in automated().items() if all(test.nightly for test in tests)] == []


def test_a_row_that_no_test_automates_says_why() -> None:
    assert not [one.row for one in rows() if not one.tested_by and len(one.not_tested.split()) < 4]


def test_enough_of_the_matrix_is_automated() -> None:
    assert sum(bool(one.tested_by) for one in rows()) >= FEWEST


def test_no_test_has_two_names_on_one_row() -> None:
    for one in rows():
        assert not [test for test, count in Counter(one.tested_by).items() if count > 1], one.row


def test_the_page_is_as_it_is_written() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text, automated()) == text
    assert by_row()["K9"].tested_by
