"""The report: what makes a run fail, and how runs add up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torture.__main__ import main
from torture.report import Report, Total


def fault(kind: str, *, fired: bool = True) -> dict[str, Any]:
    return {"at_s": 1.0, "kind": kind, "target": "w1", "hold_s": 1.0, "limit": 0, "fired": fired, "observed": "exit -9"}


GOOD = Report(
    seed=44,
    plan="0123456789ab",
    workload="ours",
    bug="",
    commit="abc1234",
    circumstances={"python": "3.11.2"},
    workers=2,
    records=20_000,
    faults=[fault("kill"), fault("stop"), fault("kill")],
    counted=["LOST", "WRONG", "STATE"],
    defects={},
    passing=0,
    findings=[],
    repeated=123,
    fed_again=0,
    exits={"-9": 2, "0": 4, "70": 1},
    unasked={"70": 1},
    disallowed=[],
    settled_s=[7.1, 0.2, 0.5],
    still_open=[],
    took_s=90.0,
)


def test_a_good_run_in_one_line() -> None:
    assert GOOD.ok
    assert GOOD.line == (
        "seed 44 | commit abc1234 | 3 faults (2 kill, 1 stop) | 20000 records | LOST 0 | WRONG 0 | STATE 0 "
        "| REPEATED 123 | settled 7.1 s | SAFE LIVE"
    )


def test_a_fault_that_never_fired_fails_the_run() -> None:
    report = replace(GOOD, faults=[fault("kill"), fault("quota", fired=False)])
    assert report.safe
    assert report.live
    assert not report.ok
    assert "| 1 faults (1 kill) |" in report.line
    assert "| fault quota w1 never fired |" in report.line


def test_an_exit_code_that_is_not_allowed_fails_the_run() -> None:
    report = replace(GOOD, exits={**GOOD.exits, "78": 2}, disallowed=["exit code 78 after 2.1 s: no rights"])
    assert not report.ok
    assert "| exit code 78 after 2.1 s: no rights |" in report.line


@pytest.mark.parametrize("defect", ["LOST", "WRONG", "STATE", "COMMIT", "INPUT"])
def test_any_defect_is_unsafe(defect: str) -> None:
    report = replace(GOOD, defects={defect: 3})
    assert not report.ok
    assert f"| {defect} 3 |" in report.line
    assert report.line.endswith("| UNSAFE LIVE")


def test_a_defect_that_is_gone_at_the_end_is_still_unsafe() -> None:
    report = replace(GOOD, passing=1)
    assert not report.ok
    assert "| PASSING 1 |" in report.line
    assert report.line.endswith("| UNSAFE LIVE")


@pytest.mark.parametrize("settled_s", [[None, 0.2, 0.5], [7.1, None, 0.5], [7.1, 0.2, None]])
def test_a_run_that_does_not_settle_is_safe_but_not_live(settled_s: list[float | None]) -> None:
    report = replace(GOOD, settled_s=settled_s)
    assert not report.ok
    assert report.line.endswith("| SAFE NOT LIVE")


def test_another_workload_and_a_bug_are_named() -> None:
    assert "| workload stock |" in replace(GOOD, workload="stock").line
    assert "| bug early-ack |" in replace(GOOD, bug="early-ack").line


def test_counted_defects_are_listed_even_if_there_are_none() -> None:
    line = replace(GOOD, counted=["LOST", "DOUBLED"], defects={"CHAIN": 2}).line
    assert "| LOST 0 | DOUBLED 0 | CHAIN 2 | REPEATED 123 |" in line


def test_a_saved_report_is_the_report() -> None:
    assert Report.from_json(GOOD.to_json()) == GOOD


def test_runs_add_up() -> None:
    bad = replace(GOOD, seed=45, defects={"LOST": 2}, repeated=7, settled_s=[9.5, 1.0, 1.0], faults=[fault("bounce")])
    total = Total([GOOD, bad, replace(GOOD, seed=46, settled_s=[None])])
    assert not total.ok
    assert total.line == (
        "3 runs | commit abc1234 | 7 faults (4 kill, 2 stop, 1 bounce) | 60000 records | LOST 2 | WRONG 0 | STATE 0 "
        "| REPEATED 253 | exits 6x -9, 12x 0, 3x 70 | settled p50 8.3 s, 9.5 s at most | 4 minutes "
        "| FAILED seed 45 | FAILED seed 46 | 2 SAFE 2 LIVE"
    )
    assert Total([GOOD, GOOD]).ok
    with pytest.raises(ValueError, match="no reports"):
        Total([])


def test_reports_and_their_sum_have_the_times_to_readiness() -> None:
    run = replace(GOOD, ready_s=[3.0, 4.0, 9.0])
    assert "| settled 7.1 s | ready p50 4.0 s, 9.0 s at most | SAFE LIVE" in run.line
    total = Total([run, replace(GOOD, ready_s=[20.0]), GOOD])
    assert "| ready p50 6.5 s, 20.0 s at most |" in total.line
    content = json.loads(total.to_json())
    assert (content["ready_p50_s"], content["ready_most_s"]) == (6.5, 20.0)


def schedule(plan: str, digest: str) -> Report:
    return replace(GOOD, feed="f1", plan=plan, digest=digest)


def test_two_schedules_of_one_feed_must_have_the_same_digest() -> None:
    alike = Total([schedule("p1", "d1"), schedule("p2", "d1"), replace(GOOD, feed="f2", digest="d3")])
    assert alike.ok
    assert "| 1 pairs, 0 UNLIKE |" in alike.line
    unlike = Total([schedule("p1", "d1"), schedule("p2", "d2")])
    assert not unlike.ok
    assert "| 1 pairs, 1 UNLIKE |" in unlike.line


def test_a_plan_run_twice_is_not_a_pair() -> None:
    assert not Total([schedule("p1", "d1"), schedule("p1", "d1")]).pairs


def test_a_broken_invariant_is_listed() -> None:
    report = replace(GOOD, defects={"LOST": 1}, broken={"I2": 1, "I1": 3}, digest="d1", fault_seed=9)
    assert report.line.startswith("seed 44/9 | ")
    assert "| digest d1 | broken I1, I2 |" in report.line


def test_the_command_adds_up_files_and_directories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for path in paths:
        path.write_text(GOOD.to_json())
    for paths_given in (map(str, paths), [str(tmp_path)]):
        assert main(["sum", *paths_given]) == 0
        assert capsys.readouterr().out == Total([GOOD, GOOD]).line + "\n"
    paths[0].write_text(replace(GOOD, defects={"WRONG": 1}).to_json())
    assert main(["sum", str(tmp_path), "--json", str(tmp_path / "sum.txt")]) == 1
    content = json.loads((tmp_path / "sum.txt").read_text())
    assert (content["runs"], content["ok"], content["defects"], content["settled_most_s"]) == (
        2,
        False,
        {"WRONG": 1},
        7.1,
    )


@pytest.mark.parametrize("text", ["", "[]", '{"seed": 1}'])
def test_an_invalid_report_is_rejected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    assert main(["sum", str(path)]) == 2
    assert main(["sum"]) == 2


def test_a_sum_of_reports_that_do_not_exist_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sum", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == (
        f"torture: {tmp_path / 'x'}: no such directory; name one with reports of `torture --reports`, or a report\n"
    )


def test_an_impossible_plan_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--faults", "kill,flood"]) == 2
    assert "unknown faults flood" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 1, "records": [], "epilogue": [], "faults": []}'])
def test_a_file_that_is_not_a_plan_is_a_usage_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    assert main(["--plan", str(path)]) == 2
