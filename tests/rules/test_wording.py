"""Errors of the decoder in plain words: where, what was found, what to write, and what to drop to read on."""

import pytest

from traderecon.rules.positions import Path
from traderecon.rules.tables import FileTable, OverriddenChecksTable, ToleranceTable
from traderecon.rules.wording import Finding, explain, spoken

OVERRIDDEN, SIZES = (", ".join(table.__struct_fields__) for table in (OverriddenChecksTable, ToleranceTable))


@pytest.mark.parametrize(
    ("message", "path", "text", "meant"),
    [
        (
            "Object contains unknown field `nam`",
            ("nam",),
            f"nam is not known: did you mean name? Known names: {', '.join(FileTable.__struct_fields__)}",
            ("name",),
        ),
        (
            "Object contains unknown field `tolerence` - at `$.checks.price`",
            ("checks", "price", "tolerence"),
            "checks.price.tolerence is not known: did you mean tolerance? Known names: tolerance",
            ("checks", "price", "tolerance"),
        ),
        (
            "Object contains unknown field `tickss` - at `$.checks.price.tolerance`",
            ("checks", "price", "tolerance", "tickss"),
            f"checks.price.tolerance.tickss is not known: did you mean ticks? Known names: {SIZES}",
            ("checks", "price", "tolerance", "ticks"),
        ),
        (
            "Object contains unknown field `a\nb` - at `$.override[11].checks`",
            ("override", 11, "checks", "a\nb"),
            f"override[11].checks.a\nb is not known. Known names: {OVERRIDDEN}",
            ("override", 11, "checks"),
        ),
        (
            "Object contains unknown field `prices` - at `$.override[0].checks`",
            ("override", 0, "checks", "prices"),
            f"override[0].checks.prices is not known: did you mean price? Known names: {OVERRIDDEN}",
            ("override", 0, "checks", "price"),
        ),
    ],
)
def test_an_unknown_name_has_the_nearest_and_all_the_known(message: str, path: Path, text: str, meant: Path) -> None:
    assert explain(message, FileTable) == Finding(path, text, path, meant)


@pytest.mark.parametrize(
    ("message", "path", "text"),
    [
        ("Object missing required field `name`", ("name",), "name is missing: it is required"),
        (
            "Object missing required field `tolerance` - at `$.override[0].checks.price`",
            ("override", 0, "checks", "price", "tolerance"),
            "override[0].checks.price.tolerance is missing: it is required",
        ),
    ],
)
def test_without_a_required_name_its_table_is_dropped(message: str, path: Path, text: str) -> None:
    assert explain(message, FileTable) == Finding(path, text, path[:-1])


@pytest.mark.parametrize(
    ("message", "path", "text"),
    [
        ("Expected `object`, got `int`", (), "the file is a whole number: write a table"),
        ("Expected `str`, got `decimal` - at `$.name`", ("name",), "name is a number: write text"),
        (
            "Expected `str | null`, got `array` - at `$.override[2].broker`",
            ("override", 2, "broker"),
            "override[2].broker is a list: write text",
        ),
        (
            "Expected `bool | object`, got `str` - at `$.checks.price`",
            ("checks", "price"),
            "checks.price is text: write true or false or a table",
        ),
        (
            "Expected `datetime | null`, got `time` - at `$.override[0].effective_from`",
            ("override", 0, "effective_from"),
            "override[0].effective_from is a time of day: write a date and time",
        ),
        ("Expected `float`, got `date` - at `$.name`", ("name",), "name is a date: write float"),
        (
            "Invalid enum value 'x' - at `$.checks.timestamp.profile`",
            ("checks", "timestamp", "profile"),
            "checks.timestamp.profile is 'x': write EU_HFT or EU_ALGO or EU_VOICE or US_CAT or US_CAT_MANUAL",
        ),
        (
            "Invalid enum value 'a\nb' - at `$.severity[0].severity`",
            ("severity", 0, "severity"),
            "severity[0].severity is 'a\nb': write critical or high or medium or low",
        ),
        ("Invalid value - at `$.grace_seconds`", ("grace_seconds",), "grace_seconds is invalid: Invalid value"),
        ("Invalid value", (), "Invalid value"),
    ],
)
def test_a_wrong_value_says_what_to_write_and_is_dropped(message: str, path: Path, text: str) -> None:
    assert explain(message, FileTable) == Finding(path, text, path)


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a",), "a"), (("a", "b"), "a.b"), (("override", 0, "checks"), "override[0].checks")],
)
def test_a_path_is_written_as_a_reader_writes_it(path: Path, text: str) -> None:
    assert spoken(path) == text
