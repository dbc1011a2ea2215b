"""The judge of completeness finds each defect, and nothing in a history without one."""

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from torture.completeness import judge_completeness
from torture.findings import Defect, Entry

RECORDS = [Entry(0, offset, b"k", b"leg") for offset in (0, 1, 3)] + [Entry(0, 4, b"k", b"no leg")]
"""Offset 2 holds none."""


def fact(offset: int, origin_offset: int) -> Entry:
    return Entry(
        0,
        offset,
        b"k",
        json.dumps({"origin": {"topic": "executions", "partition": 0, "offset": origin_offset}}).encode(),
    )


def row(topic: str, next_offset: int, **counts: int) -> dict[str, Any]:
    rest = dict.fromkeys(("legs", "duplicates", "rejected", "control", "skipped", "unaccounted"), 0)
    return {"topic": topic, "partition": 0, "start": 0, "next_offset": next_offset, "gaps": "[]", **rest, **counts}


def history() -> dict[str, Any]:
    """Three legs, one of them twice in the journal and one a duplicate, and a dead letter."""
    origin = {"source_topic": "executions", "source_partition": 0, "source_offset": 4}
    return {
        "sources": {"executions": list(RECORDS)},
        "committed": {("executions", 0): 5},
        "legs": [fact(0, 0), fact(1, 1), Entry(0, 2, None, b"{}"), fact(3, 1), fact(4, 3)],
        "ledger": [
            row("executions", 5, legs=3, rejected=1, control=1),
            row("legs", 5, legs=2, duplicates=2, control=1),
        ],
        "dead_letters": [{**origin, "sha256": hashlib.sha256(b"no leg").hexdigest()}],
    }


def defects_of(case: dict[str, Any]) -> list[Defect]:
    return [finding.defect for finding in judge_completeness(**case)]


def test_a_history_without_a_defect_has_no_finding() -> None:
    assert defects_of(history()) == []


def leave_offsets_unaccounted(case: dict[str, Any]) -> None:
    case["ledger"][0] |= {"unaccounted": 2, "gaps": "[[0,2]]", "legs": 1}


def end_accounts_early(case: dict[str, Any]) -> None:
    case["ledger"][0] |= {"next_offset": 4, "rejected": 0}


def drop_the_ledger_row(case: dict[str, Any]) -> None:
    del case["ledger"][0]


def count_twice(case: dict[str, Any]) -> None:
    case["ledger"][0]["legs"] = 4


def count_a_leg_as_control(case: dict[str, Any]) -> None:
    case["ledger"][0] |= {"legs": 2, "control": 2}


def lose_a_leg(case: dict[str, Any]) -> None:
    del case["legs"][-1]


def lose_a_dead_letter(case: dict[str, Any]) -> None:
    case["dead_letters"] = []


def spoil_a_dead_letter(case: dict[str, Any]) -> None:
    case["dead_letters"][0]["sha256"] = hashlib.sha256(b"").hexdigest()


def invent_a_dead_letter(case: dict[str, Any]) -> None:
    case["dead_letters"].append({**case["dead_letters"][0], "source_offset": 99})


def forget_a_duplicate(case: dict[str, Any]) -> None:
    case["ledger"][1]["duplicates"] = 1


DEFECTS = (
    leave_offsets_unaccounted,
    end_accounts_early,
    drop_the_ledger_row,
    count_twice,
    count_a_leg_as_control,
    lose_a_leg,
    lose_a_dead_letter,
    spoil_a_dead_letter,
    invent_a_dead_letter,
    forget_a_duplicate,
)


@pytest.mark.parametrize("defect", DEFECTS, ids=[defect.__name__ for defect in DEFECTS])
def test_each_defect_is_found(defect: Callable[[dict[str, Any]], None]) -> None:
    case = deepcopy(history())
    defect(case)
    assert defects_of(case)
