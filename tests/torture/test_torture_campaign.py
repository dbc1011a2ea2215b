"""A campaign runs until its goal is reached, stores every report, and can be resumed."""

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torture.campaign import reports_in, run_several
from torture.counting_feed import counting_feed
from torture.options import kinds_of, parse_options
from torture.plan import Plan, Ways, make_plan, share_of
from torture.report import Report
from torture.test_torture_report import GOOD

WAYS = Ways(refusable=("out",), quota_bytes_per_s=(5, 5))


def draw(seed: int, fault_seed: int, counts: Mapping[str, int] | None) -> Plan:
    feed = counting_feed(seed, 50)
    return make_plan(
        seed, "ours", feed, WAYS, cycles=4, broker_kills=1, workers=2, counts=counts, fault_seed=fault_seed
    )


def play(plan: Plan) -> Report:
    """The report of a run in which every fault fired."""
    rows = [{**vars(fault), "fired": True, "observed": ""} for fault in plan.faults]
    return replace(
        GOOD, seed=plan.seed, fault_seed=plan.fault_seed, plan=plan.digest, feed=plan.feed, faults=rows, took_s=60.0
    )


def options(directory: Path, **changes: Any) -> Namespace:
    defaults = {
        "seed": 5,
        "reports": directory,
        "resume": False,
        "minutes": None,
        "until": None,
        "pairs": 0,
        "cycles": 4,
    }
    return Namespace(**{**defaults, **changes})


def silent(text: str) -> None: ...


def test_a_campaign_runs_until_each_kind_has_fired_often_enough(tmp_path: Path) -> None:
    until = Counter(kill=7, stop=2, bounce=1)
    reports = run_several(options(tmp_path, until=until), draw, play, silent)
    assert [report.seed for report in reports] == [5, 6, 7]
    assert sum((report.kinds for report in reports), Counter[str]()) == until
    assert reports_in(tmp_path) == reports


def test_a_campaign_runs_for_the_given_minutes(tmp_path: Path) -> None:
    assert len(run_several(options(tmp_path, minutes=2.5), draw, play, silent)) == 3


def test_a_resumed_campaign_counts_existing_reports(tmp_path: Path) -> None:
    run_several(options(tmp_path, minutes=2), draw, play, silent)
    with pytest.raises(ValueError, match="has 2 reports: --resume adds to them"):
        run_several(options(tmp_path, minutes=4), draw, play, silent)
    reports = run_several(options(tmp_path, minutes=4, resume=True), draw, play, silent)
    assert [report.seed for report in reports] == [5, 6, 7, 8]


def test_a_pair_is_one_feed_under_two_schedules_and_is_not_run_again(tmp_path: Path) -> None:
    reports = run_several(options(tmp_path, pairs=2), draw, play, silent)
    assert [report.seed for report in reports] == [5, 5, 6, 6]
    assert len({report.feed for report in reports}) == 2
    assert len({report.plan for report in reports}) == 4
    assert len(run_several(options(tmp_path, pairs=2, resume=True), draw, play, silent)) == 4


def test_a_campaign_stops_after_three_failures(tmp_path: Path) -> None:
    def fail(plan: Plan) -> Report:
        return replace(play(plan), defects={"LOST": 1})

    assert len(run_several(options(tmp_path, minutes=60), draw, fail, silent)) == 3


def test_a_run_without_a_report_ends_the_campaign(tmp_path: Path) -> None:
    assert run_several(options(tmp_path, minutes=60), draw, lambda plan: None, silent) == []


def test_a_run_gets_a_proportional_share_of_the_wanted_faults() -> None:
    counts = Counter(kill=200, stop=50, bounce=20, wipe=20)
    share = share_of(counts, 30)
    assert share.total() == 30
    assert share == Counter(kill=21, stop=5, bounce=2, wipe=2)
    assert share_of(Counter(kill=2), 30) == Counter(kill=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--until", "kill=many"],
        ["--until", "flood=1"],
        ["--minutes", "3"],
        ["--resume", "--reports", "d", "--plan", "p"],
        ["--minutes", "3", "--reports", "d", "--fault-seed", "4"],
        ["--trades", "10", "--records", "10"],
    ],
)
def test_contradictory_options_are_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse_options(arguments)
    assert exit_info.value.code == 2


def test_kinds_are_those_asked_for_or_all_that_apply() -> None:
    assert kinds_of("kill,stop", ()) == ["kill", "stop"]
    assert "slow-db" not in kinds_of(None, ("slow-db",))
