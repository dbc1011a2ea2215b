"""The calendar of a rules file, and severities in its business time. Source: DOMAIN.md F34."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from legs import arrived, ours, theirs

from traderecon.matching.lifecycle import judge_trade
from traderecon.matching.results import result_of
from traderecon.records import Source
from traderecon.records.business_time import Calendar
from traderecon.records.formats import WITH_CUT_OFF
from traderecon.records.instants import FOREVER_NS, NS_PER_S, iso
from traderecon.records.result_message import encode_result
from traderecon.rules.content import as_json
from traderecon.rules.file import RulesError, parse_rules
from traderecon.rules.rules import SourceSchedule
from traderecon.sink.break_projection import HistoryEntry, UnreadableResult, project
from traderecon.sourcebook import parse_file

DESK = """
name = "desk"

[calendar]
zone = "America/New_York"
opens = "08:00"
closes = "18:00"
market = "XNYS"
holidays = [2025-07-28]

[[severity]]
open_hours = 2
severity = "critical"
"""


def calendar(text: str) -> Calendar:
    found = parse_rules(f'name = "x"\n[calendar]\n{text}').calendar
    assert isinstance(found, Calendar)
    return found


def test_the_holidays_of_a_market_are_part_of_the_rules() -> None:
    rules = parse_rules(DESK)
    assert rules.calendar
    assert {"2025-07-04", "2025-11-27", "2025-12-25", "2025-07-28"} <= set(rules.calendar.holidays)
    assert "2025-07-28" in json.dumps(as_json(rules)), "so a change of them is a change of rules"
    assert rules.stamp() != parse_rules(DESK.replace("2025-07-28", "2025-07-29")).stamp()


def test_days_and_the_whole_day() -> None:
    found = calendar('zone = "UTC"\nopens = "00:00"\ncloses = "24:00"\ndays = ["sun", "mon", "sun"]')
    assert found == Calendar("UTC", 0, 1_440, (1, 7))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            'zone = "localtime"\nopens = "08:00"\ncloses = "18:00"',
            "calendar.zone is 'localtime': write a name",
        ),
        ('zone = "Mars"\nopens = "08:00"\ncloses = "18:00"', "calendar.zone is 'Mars': write a name of the IANA"),
        ('zone = "UTC"\nopens = "8"\ncloses = "18:00"', "calendar.opens is '8': write a time as in \"08:00\""),
        ('zone = "UTC"\nopens = "18:00"\ncloses = "18:30"', "calendar.closes is '18:30': write a time of the same day"),
        (
            'zone = "UTC"\nopens = "08:00"\ncloses = "18:00"\ndays = []',
            "calendar.days is empty: write",
        ),
        ('zone = "UTC"\nopens = "08:00"\ncloses = "18:00"\nmarket = "NYC"', "calendar.market is 'NYC': write the MIC"),
        ('zone = "UTC"\nopens = "08:00"', "calendar.closes is missing"),
    ],
)
def test_what_is_wrong_is_refused(text: str, error: str) -> None:
    with pytest.raises(RulesError) as found:
        parse_rules(f'name = "x"\n[calendar]\n{text}')
    assert error in str(found.value)


def test_a_missing_name_does_not_hide_what_else_is_wrong_with_the_calendar() -> None:
    with pytest.raises(RulesError) as found:
        parse_rules('name = "x"\n[calendar]\nzone = "Mars"\ncloses = "18"\ndays = []\nmarket = "NYC"')
    assert [(problem.position.line, problem.text.split(":")[0]) for problem in found.value.problems] == [
        (2, "calendar.opens is missing"),
        (3, "calendar.zone is 'Mars'"),
        (4, "calendar.closes is '18'"),
        (5, "calendar.days is empty"),
        (6, "calendar.market is 'NYC'"),
    ]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("", ["calendar.zone is missing", "calendar.opens is missing", "calendar.closes is missing"]),
        (
            "zone = 1\nopens = 2\ncloses = 3",
            ["calendar.zone is a w", "calendar.opens is a w", "calendar.closes is a w"],
        ),
        ('zone = "UTC"\nopens = "23:30"', ["calendar.closes is missing"]),
    ],
)
def test_the_stand_in_for_a_missing_name_is_no_second_error(text: str, errors: list[str]) -> None:
    with pytest.raises(RulesError) as found:
        parse_rules(f'name = "x"\n[calendar]\n{text}')
    assert len(found.value.problems) == len(errors)
    assert all(error in str(found.value) for error in errors)


def test_business_hours_stay_within_the_holidays_that_a_break_takes_along() -> None:
    with pytest.raises(RulesError, match="open_hours is 2501: write 2500 or less, the business hours of a year"):
        parse_rules(DESK.replace("open_hours = 2", "open_hours = 2501"))
    assert parse_rules(DESK.replace("open_hours = 2", "open_hours = 2500")).severity[0].open_hours == 2500


def test_a_break_of_friday_evening_becomes_urgent_after_two_business_hours() -> None:
    friday = datetime(2025, 7, 25, 20, tzinfo=ZoneInfo("America/New_York"))
    opened_ns = int(friday.timestamp()) * NS_PER_S
    rules = parse_rules(DESK)
    facts = arrived(ours(), theirs(price="191"), received_at_ns=opened_ns)
    result = result_of(judge_trade(facts, FOREVER_NS, rules), rules.stamp())
    text = encode_result(result).decode()
    taken = json.loads(text)["escalation"]["calendar"]["holidays"]
    assert ("2025-07-28" in taken, "2024-12-25" in taken) == (True, False)
    _, row, _ = project([HistoryEntry(result.trade_id, result.version, iso(opened_ns), text)])
    assert row is not None
    tuesday = datetime(2025, 7, 29, 10, tzinfo=ZoneInfo("America/New_York"))  # Monday is a holiday of the file
    assert row.escalates_at == iso(int(tuesday.timestamp()) * NS_PER_S)


CUT_OFF = DESK.replace('market = "XNYS"', 'cut_off = "21:00"').replace("open_hours = 2", "past_cut_off = true")


def test_a_break_of_friday_night_becomes_urgent_at_the_cut_off_of_the_next_business_day() -> None:
    for hour, day in ((20, 25), (21, 29)):  # Monday is a holiday of the file
        opened = datetime(2025, 7, 25, hour, tzinfo=ZoneInfo("America/New_York"))
        opened_ns = int(opened.timestamp()) * NS_PER_S
        rules = parse_rules(CUT_OFF)
        facts = arrived(ours(), theirs(price="191"), received_at_ns=opened_ns)
        result = result_of(judge_trade(facts, FOREVER_NS, rules), rules.stamp())
        text = encode_result(result).decode()
        entry = HistoryEntry(result.trade_id, result.version, iso(opened_ns), text)
        _, row, _ = project([entry])
        assert row is not None
        cut_off = datetime(2025, 7, day, 21, tzinfo=ZoneInfo("America/New_York"))
        assert (row.escalates_at, row.escalates_to) == (iso(int(cut_off.timestamp()) * NS_PER_S), "critical")
        message = json.loads(text)
        assert message["format"] == WITH_CUT_OFF
        assert message["escalation"]["after_hours"] is None
        del message["escalation"]["calendar"]["cut_off"]
        with pytest.raises(UnreadableResult, match="the escalation has neither hours nor a cut-off"):
            project([entry._replace(result=json.dumps(message))])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            CUT_OFF.replace("21:00", "25:00"),
            "calendar.cut_off is '25:00': write a time as in",
        ),
        (CUT_OFF.replace('cut_off = "21:00"', ""), "row 1 of severity: it has past_cut_off, and there is no cut-off"),
        (
            CUT_OFF + '[[severity]]\nopen_hours = 1\nseverity = "high"',
            "rows of severity have open_hours and past_cut_off: write one of them in all rows: see line 11",
        ),
        (
            CUT_OFF.replace('"08:00"', '"17:30"').replace("21:00", "x"),
            "calendar.closes is [^;]*; calendar.cut_off is 'x'[^;]*$",
        ),
    ],
)
def test_what_is_wrong_with_a_cut_off_is_refused(text: str, error: str) -> None:
    with pytest.raises(RulesError, match=error):
        parse_rules(text)


SCHEDULE = """
name = "x"
[sources.broker_confirmations.schedule]
zone = "Europe/London"
opens = "08:00"
closes = "17:00"
"""


def test_a_source_may_have_a_schedule() -> None:
    (schedule,) = parse_rules(SCHEDULE).source_schedules or ()
    assert schedule == SourceSchedule(Source.CONFIRMATIONS, Calendar("Europe/London", 480, 1_020))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            SCHEDULE + 'cut_off = "21:00"',
            "f:7:1: sources.broker_confirmations.schedule has a cut_off, and only the desk",
        ),
        (SCHEDULE.replace("17:00", "08:30"), "f:6:1: sources.broker_confirmations.schedule.closes is '08:30'"),
        (
            SCHEDULE.replace('zone = "Europe/London"', ""),
            "f:3:1: sources.broker_confirmations.schedule.zone is missing",
        ),
        (SCHEDULE.replace("08:00", "8"), "f:5:1: sources.broker_confirmations.schedule.opens is '8'"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_refused_at_its_place(text: str, error: str) -> None:
    with pytest.raises(RulesError) as found:
        parse_file(text)
    (line,) = found.value.lines("f")
    assert line.startswith(error)
