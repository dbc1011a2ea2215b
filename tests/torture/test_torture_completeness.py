"""The judge of completeness finds each thing it is there for, and nothing in a history without it."""

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


def fact(offset: int, of: int) -> Entry:
    return Entry(
        0, offset, b"k", json.dumps({"origin": {"topic": "executions", "partition": 0, "offset": of}}).encode()
    )


def row(topic: str, following: int, **counts: int) -> dict[str, Any]:
    rest = dict.fromkeys(("legs", "duplicates", "rejected", "control", "skipped", "unaccounted"), 0)
    return {"topic": topic, "partition": 0, "start": 0, "next_offset": following, "gaps": "[]", **rest, **counts}


def history() -> dict[str, Any]:
    """Three legs, one of them twice in the journal and one a duplicate, and a dead letter."""
    letter = {"source_topic": "executions", "source_partition": 0, "source_offset": 4}
    return {
        "sources": {"executions": list(RECORDS)},
        "committed": {("executions", 0): 5},
        "legs": [fact(0, 0), fact(1, 1), Entry(0, 2, None, b"{}"), fact(3, 1), fact(4, 3)],
        "ledger": [
            row("executions", 5, legs=3, rejected=1, control=1),
            row("legs", 5, legs=2, duplicates=2, control=1),
        ],
        "dead_letters": [{**letter, "sha256": hashlib.sha256(b"no leg").hexdigest()}],
    }


def found(said: dict[str, Any]) -> list[Defect]:
    return [finding.defect for finding in judge_completeness(**said)]


def test_a_history_without_a_defect_has_no_finding() -> None:
    assert found(history()) == []


def lose_an_account(said: dict[str, Any]) -> None:
    said["ledger"][0] |= {"unaccounted": 2, "gaps": "[[0,2]]", "legs": 1}


def stop_telling(said: dict[str, Any]) -> None:
    said["ledger"][0] |= {"next_offset": 4, "rejected": 0}


def tell_nothing(said: dict[str, Any]) -> None:
    del said["ledger"][0]


def count_twice(said: dict[str, Any]) -> None:
    said["ledger"][0]["legs"] = 4


def call_a_leg_a_hole(said: dict[str, Any]) -> None:
    said["ledger"][0] |= {"legs": 2, "control": 2}


def lose_a_leg(said: dict[str, Any]) -> None:
    del said["legs"][-1]


def lose_a_letter(said: dict[str, Any]) -> None:
    said["dead_letters"] = []


def spoil_a_letter(said: dict[str, Any]) -> None:
    said["dead_letters"][0]["sha256"] = hashlib.sha256(b"").hexdigest()


def invent_a_letter(said: dict[str, Any]) -> None:
    said["dead_letters"].append({**said["dead_letters"][0], "source_offset": 99})


def forget_a_duplicate(said: dict[str, Any]) -> None:
    said["ledger"][1]["duplicates"] = 1


DEFECTS = (
    lose_an_account,
    stop_telling,
    tell_nothing,
    count_twice,
    call_a_leg_a_hole,
    lose_a_leg,
    lose_a_letter,
    spoil_a_letter,
    invent_a_letter,
    forget_a_duplicate,
)


@pytest.mark.parametrize("defect", DEFECTS, ids=[one.__name__ for one in DEFECTS])
def test_each_defect_is_found(defect: Callable[[dict[str, Any]], None]) -> None:
    said = deepcopy(history())
    defect(said)
    assert found(said)
