"""Schedules and cut-offs: when a source should speak, and when no hold lasts longer, in log time."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from held_trades import BATCH, breaks, outage, run, states, trades
from legs import ours
from silence_case import LAG_S, START_S, Arrival, Journal

from traderecon.records import Hint, Source, State
from traderecon.records.business_time import Calendar
from traderecon.rules import FOUNDING
from traderecon.rules.rules import SourceSchedule

DAY = Calendar("UTC", 0, 1_440, days=(1, 2, 3, 4, 5, 6, 7))


def test_a_scheduled_source_that_never_spoke_holds_its_trades_to_the_limit(tmp_path: Path) -> None:
    rules = msgspec.structs.replace(FOUNDING, source_schedules=(SourceSchedule(Source.CONFIRMATIONS, DAY),))
    journal = Journal().write([*trades(120, every_s=10, confirmed=lambda _: None)], 1_300)
    without = run(tmp_path / "without", journal)
    assert min(result.at_s for result in without) < 120
    limited = run(tmp_path / "limited", journal, rules=rules)
    assert {result.state for result in limited} == {State.UNMATCHED}
    assert len(limited) == 120
    assert min(result.at_s for result in limited) in range(900, 960)
    assert {result.trade_id for result in limited if Hint.SOURCE_WAS_SILENT in result.hints} == breaks(limited)


def test_a_hold_ends_at_the_cut_off_in_one_step(tmp_path: Path) -> None:
    started = datetime.fromtimestamp(START_S, UTC)
    cut_off = started.hour * 60 + started.minute + 8
    rules = msgspec.structs.replace(FOUNDING, calendar=msgspec.structs.replace(DAY, cut_off=cut_off))
    until_s = (cut_off * 60 - started.hour * 3_600 - started.minute * 60) - started.second
    journal = Journal().write([*trades(600, confirmed=outage(100, 900))], 1_200)
    found = run(tmp_path, journal, rules=rules)
    broken = {result.trade_id: result.at_s for result in found if result.state is State.UNMATCHED}
    assert min(broken.values()) >= until_s
    assert states(found) == {f"T{number}": State.MATCHED for number in range(600)}
    at_the_cut_off = [at_s for at_s in broken.values() if at_s <= until_s + LAG_S + BATCH]  # a batch later at most
    assert len(at_the_cut_off) > 300


@pytest.mark.parametrize("gap", [range(0), range(590, 640)], ids=["progress", "no progress"])
def test_a_leg_just_after_the_cut_off_prolongs_no_hold(tmp_path: Path, gap: range) -> None:
    started = datetime.fromtimestamp(START_S, UTC)
    day = msgspec.structs.replace(DAY, cut_off=started.hour * 60 + started.minute + 10)
    rules = msgspec.structs.replace(FOUNDING, calendar=day)
    arrivals = [
        *trades(400, every_s=1, confirmed=lambda due_s: due_s if due_s < 200 else None),
        Arrival(600.4, ours(trade_id="E0")),
        Arrival(640.4, ours(trade_id="E1")),
    ]
    journal = Journal().write(arrivals, gap.start or 1_300)
    if gap:
        journal.write(arrivals, 1_300, since_s=gap.stop)
    broken = {result.trade_id: result.at_s for result in run(tmp_path, journal, rules=rules)}
    assert {f"T{number}" for number in range(200, 400)} <= broken.keys()
    assert max(broken[f"T{number}"] for number in range(200, 400)) <= max(600, gap.stop) + LAG_S + 2 * BATCH
