"""Evidence and break histories written by hand: consistent ones pass, inconsistent ones are found."""

from typing import Any

import pytest

from torture.findings import Defect, Entry
from torture.pipeline_evidence import judge_breaks, judge_evidence, normalized
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
COMPLETE = {("executions", 0, 4): {name: str(value) for name, value in PAYLOAD.items()}}


def result_with_leg(offset: int, **changes: Any) -> dict[str, Any]:
    leg = {"payload": {**PAYLOAD, **changes}, "topic": "t-executions", "partition": 0, "offset": offset}
    return {"legs": {"executions": [leg]}}


def test_a_leg_in_two_notations_is_the_same_leg() -> None:
    one, other = ROWS["executions", 0, 4], ROWS["executions", 0, 5]
    assert one
    assert other
    assert normalized(one) == normalized(other)


def test_a_result_with_the_right_evidence_has_no_finding() -> None:
    assert list(judge_evidence(COMPLETE, {"T1": result_with_leg(4)}, NAMES)) == []


@pytest.mark.parametrize(
    ("result", "defects"),
    [
        ({"legs": {}}, {Defect.LOST}),
        (result_with_leg(5), {Defect.WRONG, Defect.LOST}),
        (result_with_leg(4, quantity="101"), {Defect.WRONG}),
        (result_with_leg(4, quantity="none"), {Defect.WRONG}),
    ],
    ids=["no leg", "a leg that does not exist", "another leg", "no leg at all"],
)
def test_a_result_with_wrong_evidence_is_found(result: dict[str, Any], defects: set[Defect]) -> None:
    found = list(judge_evidence(COMPLETE, {"T1": result}, NAMES))
    assert {finding.defect for finding in found} == defects
    assert {finding.invariant for finding in found} == {"I2"}


def result_of(version: int, state: str, transition: str, previous: int | None, reason: str = "") -> dict[str, Any]:
    previous_event_id = None if previous is None else f"e{previous}"
    break_ = {"transition": transition, "previous_event_id": previous_event_id}
    return {"event_id": f"e{version}", "version": version, "state": state, "reasons": [reason], "break": break_}


HISTORY = [
    result_of(1, "UNMATCHED", "opened", None, "A"),
    result_of(2, "MISMATCHED", "reclassified", 1, "B"),
    result_of(3, "MISMATCHED", "none", 2, "B"),
    result_of(5, "MATCHED", "resolved", 3),
    result_of(6, "MATCHED", "none", 5),
    result_of(7, "MISMATCHED", "opened", 6, "B"),
]


def test_a_break_that_is_opened_reclassified_resolved_and_reopened_has_no_finding() -> None:
    assert list(judge_breaks({"T1": HISTORY})) == []


@pytest.mark.parametrize("missing", range(5))
def test_a_missing_result_in_the_history_of_a_break_is_found(missing: int) -> None:
    history = HISTORY[:missing] + HISTORY[missing + 1 :]
    assert {finding.invariant for finding in judge_breaks({"T1": history})} == {"I3"}


LINE = "[WARNING] break opened trade='T1' state=UNMATCHED severity=high reasons=A version=1 event=0123456789ab\n"
RESULT = Result("mismatch", Entry(0, 0, b"T1", b""), "0123456789abcdef", "T1", 1, "UNMATCHED")


def test_a_break_logged_more_often_than_its_result_was_published_is_found() -> None:
    assert list(judge_logs([LINE, ""], [RESULT])) == []
    assert list(judge_logs([LINE, LINE], [RESULT, RESULT])) == []
    (twice,) = judge_logs([LINE, LINE], [RESULT])
    assert twice.invariant == "I11"


def test_an_uncaught_exception_is_found() -> None:
    (finding,) = judge_logs(["fine\n[ERROR] Task exception was never retrieved\n"], [])
    assert finding.invariant == "I12"
