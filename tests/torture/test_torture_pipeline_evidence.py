"""Evidence and courses of trades by hand: what follows passes, what does not is found."""

from typing import Any

import pytest

from torture.findings import Defect, Entry
from torture.pipeline_evidence import judge_courses, judge_evidence, meaning
from torture.pipeline_input import Row
from torture.pipeline_logs import judge_logs
from torture.pipeline_oracle import Result

ROWS: dict[tuple[str, int, int], Row | None] = {
    ("executions", 0, 4): {"trade_id": "T1", "quantity": "100", "timestamp": "2025-07-26T10:01:23.50Z"},
    ("executions", 0, 5): {"trade_id": "T1", "quantity": "1e2", "timestamp": "2025-07-26T10:01:23.5Z", "desk": "x"},
    ("executions", 0, 6): None,
    ("executions", 0, 7): {"trade_id": "T2", "quantity": "100"},
}
NAMES = {"executions": "t-executions"}
PAYLOAD = {
    "trade_id": "T1",
    "ticker": "A",
    "quantity": "100",
    "price": "1",
    "timestamp": "2025-07-26T10:01:23.5Z",
}
WHOLE = {("executions", 0, 4): {name: str(value) for name, value in PAYLOAD.items()}}


def shown(offset: int, **more: Any) -> dict[str, Any]:
    leg = {"payload": {**PAYLOAD, **more}, "topic": "t-executions", "partition": 0, "offset": offset}
    return {"legs": {"executions": [leg]}}


def test_one_leg_spelt_two_ways_is_one_leg() -> None:
    one, other = ROWS["executions", 0, 4], ROWS["executions", 0, 5]
    assert one
    assert other
    assert meaning(one) == meaning(other)


def test_a_result_that_shows_its_leg_is_fine() -> None:
    assert list(judge_evidence(WHOLE, {"T1": shown(4)}, NAMES)) == []


@pytest.mark.parametrize(
    ("result", "defects"),
    [
        ({"legs": {}}, {Defect.LOST}),
        (shown(5), {Defect.WRONG, Defect.LOST}),
        (shown(4, quantity="101"), {Defect.WRONG}),
        (shown(4, quantity="none"), {Defect.WRONG}),
    ],
    ids=["no leg", "a leg of nowhere", "another leg", "no leg at all"],
)
def test_a_result_that_shows_another_is_not(result: dict[str, Any], defects: set[Defect]) -> None:
    found = list(judge_evidence(WHOLE, {"T1": result}, NAMES))
    assert {finding.defect for finding in found} == defects
    assert {finding.invariant for finding in found} == {"I2"}


def told(version: int, state: str, transition: str, previous: int | None, reason: str = "") -> dict[str, Any]:
    previous_event_id = None if previous is None else f"e{previous}"
    break_ = {"transition": transition, "previous_event_id": previous_event_id}
    return {"event_id": f"e{version}", "version": version, "state": state, "reasons": [reason], "break": break_}


COURSE = [
    told(1, "UNMATCHED", "opened", None, "A"),
    told(2, "MISMATCHED", "reclassified", 1, "B"),
    told(3, "MISMATCHED", "none", 2, "B"),
    told(5, "MATCHED", "resolved", 3),
    told(6, "MATCHED", "none", 5),
    told(7, "MISMATCHED", "opened", 6, "B"),
]


def test_a_break_opens_changes_is_resolved_and_opens_again() -> None:
    assert list(judge_courses({"T1": COURSE})) == []


@pytest.mark.parametrize("left_out", range(5))
def test_a_course_with_a_result_left_out_is_found(left_out: int) -> None:
    course = COURSE[:left_out] + COURSE[left_out + 1 :]
    assert {finding.invariant for finding in judge_courses({"T1": course})} == {"I3"}


LINE = "[WARNING] break opened trade='T1' state=UNMATCHED severity=high reasons=A version=1 event=0123456789ab\n"
RESULT = Result("mismatch", Entry(0, 0, b"T1", b""), "0123456789abcdef", "T1", 1, "UNMATCHED")


def test_a_break_is_told_as_often_as_its_result_was_sent() -> None:
    assert list(judge_logs([LINE, ""], [RESULT])) == []
    assert list(judge_logs([LINE, LINE], [RESULT, RESULT])) == []
    (twice,) = judge_logs([LINE, LINE], [RESULT])
    assert twice.invariant == "I11"


def test_an_uncaught_exception_is_found() -> None:
    (left,) = judge_logs(["fine\n[ERROR] Task exception was never retrieved\n"], [])
    assert left.invariant == "I12"
