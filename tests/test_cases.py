"""docs/cases.md is current; every row of the domain has a story or a reason, and a reason names something."""

from pathlib import Path

import pytest
from cases import CORE, ENGINES, NOT_IN_THE_PRODUCT, PAGE, Case, Standing, cases, page
from scenario import Engine

ROOT = Path(__file__).parents[1]
MOST_MISSING = 40
CASES = {case.row: case for case in cases()}


def test_the_page_is_current() -> None:
    """``python -m cases`` in tests/ writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_row_of_the_domain_is_there() -> None:
    assert len(CASES) == len(cases()) == 116


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_row_has_a_story_or_a_reason(case: Case) -> None:
    assert case.told or case.uncovered
    assert case.told or all(not part.part for part in case.uncovered)


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.uncovered], ids=lambda case: case.row)
def test_a_reason_names_what_is_missing_or_tests_that_are_there(case: Case) -> None:
    for part in case.uncovered:
        if part.missing:
            assert len(part.reason.removeprefix(NOT_IN_THE_PRODUCT).split()) > 1
        else:
            assert part.tests
        for test in part.tests:
            found = [*ROOT.glob(f"tests/**/{test}"), *ROOT.glob(test)]
            assert found, test


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_full_lacks_nothing_and_most_rows_are(engine: str) -> None:
    full = [case for case in CASES.values() if case.standing(engine) is Standing.FULL]
    for case in full:
        assert not any(part.missing for part in case.uncovered)
        assert engine == CORE or not case.told or any(Engine(engine) not in it.not_in for it in case.told.values())
    assert sum(case.standing(engine) is Standing.NO for case in CASES.values()) < MOST_MISSING
