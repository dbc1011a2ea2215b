"""What a file says of sources and overrides, and the whole text of what is refused."""

from typing import Any

import pytest
from msgspec import UNSET, Struct
from msgspec.structs import replace

from traderecon.records import Source
from traderecon.rules import FOUNDING, Basis, OperandSource, Pnl
from traderecon.rules.file import RulesError, parse_rules, read_tables
from traderecon.rules.from_tables import MAX_OVERRIDES
from traderecon.rules.rules import SourceGrace
from traderecon.rules.wording import Finding


def lines_of(text: str) -> list[str]:
    with pytest.raises(RulesError) as error:
        parse_rules(f'name = "x"\n{text}')
    return error.value.lines("f")


def test_the_tables_of_sources_are_read_elsewhere_except_for_their_grace() -> None:
    rules = parse_rules('name = "x"\n[sources.executions]\npercent = "a lot"\nticks = "many"')
    assert rules == parse_rules('name = "x"')
    assert lines_of('[sources.executions]\npercent = "a lot"\ngrace_seconds = "0_5"') == [
        "f:4:1: sources.executions.grace_seconds is '0_5': write a decimal with a point and nothing else in it"
    ]


def test_a_text_that_is_cut_off_has_the_position_of_its_end() -> None:
    with pytest.raises(RulesError) as error:
        parse_rules('name = "x"\na = 1\nb = """')
    assert [(it.position.line, it.position.column) for it in error.value.problems] == [(3, 8)]


ZERO_OR_MORE = "write a number of zero or more, of at most 18 digits"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("  grace_seconds = 31536001", ["f:2:3: grace_seconds is 31536001: write at most 31536000, a year"]),
        (
            "\npnl_required = true\nchecks.pnl = false",
            [
                "f:3:1: pnl_required is true but the pnl check is off: "
                "trades would wait for a snapshot that is never checked"
            ],
        ),
        (
            "[checks]\nticker = false\nquantity = false\nprice = false\ntimestamp = false\npnl = false",
            ["f:2:1: every check of a term is off: every pair without attributes would match"],
        ),
        (
            '[[severity]]\nseverity = "low"\n  [[severity]]\nseverity = "low"\nopen_hours = 0',
            ["f:4:3: row 2 of severity: open_hours is 0: write 1 or more"],
        ),
        (
            "[sources.executions]\n  grace_seconds = 31536001",
            ["f:3:3: sources.executions.grace_seconds is 31536001: write at most 31536000, a year"],
        ),
        (
            "[sources.pnl_snapshot]\n grace_seconds = 1e-10\n[sources.executions]\ngrace_seconds = -1",
            [
                "f:3:2: sources.pnl_snapshot.grace_seconds is 1E-10: write whole nanoseconds at most",
                f"f:5:1: sources.executions.grace_seconds is -1: {ZERO_OR_MORE}",
            ],
        ),
        (  # what is wrong with two sizes hides that there are two
            "[checks.price]\n  tolerance.absolute = -1\ntolerance.percent = -2",
            [
                f"f:3:3: checks.price.tolerance.absolute is -1: {ZERO_OR_MORE}",
                f"f:4:1: checks.price.tolerance.percent is -2: {ZERO_OR_MORE}",
            ],
        ),
        (
            "[checks.price]\n tolerance = { ticks = 1, tick = 0 }",
            ["f:3:27: checks.price.tolerance.tick is 0: write the smallest step of the price"],
        ),
        (
            "[checks.commission]\n  tolerance = { ticks = 1e9, tick = 1e9 }",
            [f"f:3:3: checks.commission.tolerance is 1000000000000000000: {ZERO_OR_MORE}"],
        ),
        (
            '[checks.timestamp]\n profile = "EU_ALGO"\n tolerance_ms = 1',
            ["f:3:2: checks.timestamp has tolerance_ms and profile: write one of them"],
        ),
        (
            "[checks.timestamp]\n tolerance_ms = 1e-9",
            ["f:3:2: checks.timestamp.tolerance_ms is 1E-9: write whole nanoseconds at most"],
        ),
        (
            '[[override]]\nbroker = "A"\n[override.checks.price.tolerance]\n percent = 1\n at_most = 1e18',
            ["f:6:2: override[0].checks.price.tolerance.at_most is 1E+18: write a number between 1E-18 and 1E18"],
        ),
        (
            "[[override]]\n" * (MAX_OVERRIDES + 2),
            [f"f:{MAX_OVERRIDES + 2}:1: the file has 502 overrides: write at most 500"],
        ),
    ],
)
def test_each_error_is_told_once_at_the_place_it_is_about(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_a_blank_name_is_told_where_it_stands() -> None:
    with pytest.raises(RulesError) as error:
        parse_rules('grace_seconds = 1\nname = " "')
    assert error.value.lines("f") == ["f:2:1: name is blank: results show it as the rules in force"]


def test_a_source_may_have_a_grace_of_its_own() -> None:
    rules = parse_rules('name = "x"\n[sources.executions]\ngrace_seconds = 0.5\n[sources.pnl_snapshot]\nx = 1')
    assert rules.source_graces == (SourceGrace(Source.EXECUTIONS, 500_000_000),)


@pytest.mark.parametrize("name", ["price_source", "quantity_source"])
def test_the_pnl_may_be_computed_from_the_confirmation(name: str) -> None:
    rules = parse_rules(f'name = "x"\nchecks.pnl.{name} = "confirmation"')
    wanted: dict[str, Any] = {name: OperandSource.CONFIRMATION}
    assert rules.checks[-1] == replace(FOUNDING.checks[-1], **wanted)


class Columns(Struct):
    """A table with a list in it that is no list of rows."""

    name: str = ""
    widths: tuple[int, ...] = ()


def test_a_wrong_element_of_a_list_drops_the_list_and_nothing_else() -> None:
    findings: list[Finding] = []
    assert read_tables(Columns, {"name": "x", "widths": [1, "two"]}, findings) == Columns("x")
    assert [found.text for found in findings] == ["widths[1] is text: write a whole number"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('basis = "expression"', 'f:2:1: checks.pnl has basis = "expression" and no expression: write basis'),
        ('expression = "price"', 'f:3:1: checks.pnl has basis = "net_consideration" and an expression: write basis'),
        ('basis = "gross"\nexpression = "price"', 'f:4:1: checks.pnl has basis = "gross" and an expression: write'),
        ('basis = "gross"\nexpression = "price"', "or remove expression"),
        ('basis = "expression"\nexpression = "fees"', "f:4:1: checks.pnl.expression has 'fees': write numbers"),
    ],
)
def test_an_expression_and_its_basis_are_written_together(text: str, line: str) -> None:
    (found,) = lines_of(f"[checks.pnl]\n{text}")
    assert line in found


@pytest.mark.parametrize(
    ("change", "basis", "expression"),
    [
        ('basis = "gross"', Basis.GROSS, UNSET),
        ('basis = "expression"\nexpression = "price"', Basis.EXPRESSION, "price"),
        ("tolerance.absolute = 5", Basis.EXPRESSION, "price * quantity"),
        ('expression = "price"', Basis.EXPRESSION, "price"),
    ],
)
def test_an_override_inherits_the_basis_with_its_expression(change: str, basis: Basis, expression: object) -> None:
    rules = parse_rules(
        'name = "x"\n[checks.pnl]\nbasis = "expression"\nexpression = "price * quantity"\n'
        f'[[override]]\nticker = "T"\n[override.checks.pnl]\n{change}'
    )
    ((rule,),) = [override.checks for override in rules.overrides or ()]
    assert isinstance(rule, Pnl)
    assert (rule.basis, rule.expression) == (basis, expression)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '[[override]]\nticker = "EUR/*"\nchecks.price.tolerance.absolute = 1',
            "f:3:1: override[0].ticker is 'EUR/*': it is one ticker; for a prefix write an [[asset_class]]",
        ),
        ('[asset_class]\nname = "fx"', "f:2:1: asset_class is a table: write [[asset_class]]"),
    ],
)
def test_what_belongs_into_a_list_of_asset_classes(text: str, line: str) -> None:
    assert lines_of(text) == [line]
