"""A rules file: what it may contain, and its error texts."""

import inspect
from decimal import Decimal
from typing import get_args

import msgspec
import pytest

from traderecon.records import Reason, Severity
from traderecon.records.business_time import Calendar
from traderecon.records.match_keys import KeyField
from traderecon.rules import (
    FOUNDING,
    Absolute,
    Attribute,
    AttributeName,
    Band,
    Base,
    Basis,
    Bound,
    Capped,
    Commission,
    DriftProfile,
    Incomplete,
    Override,
    Pnl,
    Precision,
    Price,
    Quantity,
    Relative,
    Timestamp,
)
from traderecon.rules import file as rules_file
from traderecon.rules.asset_classes import AssetClass
from traderecon.rules.file import RulesError, parse_rules
from traderecon.rules.rules import GroupField, Rule
from traderecon.rules.severity import SeverityRow
from traderecon.rules.tables import ChecksTable
from traderecon.rules.wording import explain

D = Decimal
ONE_SIZE = "write absolute, or ticks and tick, or percent or basis_points (and at_most), or below and above"


def error_text(text: str) -> str:
    with pytest.raises(RulesError) as error:
        parse_rules(text)
    return str(error.value)


def test_whatever_is_left_out_is_as_in_the_founding_rules() -> None:
    assert parse_rules('name = " founding "') == FOUNDING


def test_everything_a_file_may_contain() -> None:
    rules = parse_rules("""
        name = "desk-7"
        grace_seconds = 1.5
        pnl_required = true

        [checks]
        ticker = false
        quantity = { tolerance = { percent = "2" } }

        [checks.price]
        tolerance = { basis_points = 1, base = "confirmation", bound = "strict" }

        [checks.timestamp]
        tolerance_ms = "2.000001"
        bound = "strict"
        precision = "granularity_aware"

        [checks.pnl.tolerance]
        below = "0"
        above = 0.01
    """)
    assert (rules.name, rules.grace_ns, rules.pnl_required) == ("desk-7", 1_500_000_000, True)
    assert rules.checks == (
        Quantity(tolerance=Relative(share=D("0.02"), base=Base.EXECUTION)),
        Price(tolerance=Relative(share=D("0.0001"), base=Base.CONFIRMATION, bound=Bound.STRICT)),
        Timestamp(tolerance_ns=2_000_001, bound=Bound.STRICT, precision=Precision.GRANULARITY_AWARE),
        Pnl(tolerance=Band(below=D("0"), above=D("0.01"))),
    )


@pytest.mark.parametrize("name", ["ticker", "quantity", "price", "timestamp", "pnl"])
def test_each_check_can_be_off_or_on(name: str) -> None:
    off = parse_rules(f'name = "x"\nchecks = {{ {name} = false }}')
    assert off.checks == tuple(rule for rule in FOUNDING.checks if rule.name != name)
    assert parse_rules(f'name = "founding"\nchecks = {{ {name} = true }}') == FOUNDING


@pytest.mark.parametrize("name", ["quantity", "price", "pnl"])
def test_bounds_and_bases_reach_the_tolerance(name: str) -> None:
    def tolerance(wish: str) -> object:
        rules = parse_rules(f'name = "x"\n[checks.{name}]\ntolerance = {{ {wish} }}')
        return next(rule for rule in rules.checks if rule.name == name).tolerance  # type: ignore[union-attr]

    assert tolerance("absolute = 1") == Absolute(amount=D(1))
    assert tolerance('ticks = 2, tick = "0.01"') == Absolute(amount=D("0.02"))
    assert tolerance('tick = "1e-9", ticks = "2.5", bound = "strict"') == Absolute(
        amount=D("2.5E-9"), bound=Bound.STRICT
    )
    assert tolerance("percent = 2, at_most = 5") == Capped(share=D("0.02"), base=Base.EXECUTION, at_most=D(5))
    capped = Capped(share=D("0.0001"), base=Base.LARGER, at_most=D(0), bound=Bound.STRICT)
    assert tolerance('basis_points = 1, at_most = 0, base = "larger", bound = "strict"') == capped
    assert tolerance('absolute = "0.005", bound = "strict"') == Absolute(amount=D("0.005"), bound=Bound.STRICT)
    assert tolerance('percent = 2, base = "larger"') == Relative(share=D("0.02"), base=Base.LARGER)
    strict = Relative(share=D("0.02"), base=Base.EXECUTION, bound=Bound.STRICT)
    assert tolerance('percent = 2, bound = "strict"') == strict
    assert tolerance("basis_points = 0.5") == Relative(share=D("0.00005"), base=Base.EXECUTION)
    band = Band(below=D(1), above=D(2), bound=Bound.STRICT)
    assert tolerance('above = 2, below = 1, bound = "strict"') == band


@pytest.mark.parametrize(
    ("profile", "tolerance_ns"),
    [
        ("EU_HFT", 200_000),
        ("EU_ALGO", 2_000_000),
        ("EU_VOICE", 2_000_000_000),
        ("US_CAT", 100_000_000),
        ("US_CAT_MANUAL", 2_000_000_000),
    ],
)
def test_a_drift_profile_is_the_tolerance_of_both_sides(profile: str, tolerance_ns: int) -> None:
    rules = parse_rules(f'name = "x"\nchecks.timestamp = {{ profile = "{profile}", bound = "strict" }}')
    assert rules.checks[3] == Timestamp(tolerance_ns, Bound.STRICT, profile=DriftProfile(profile))
    same = parse_rules(
        f'name = "x"\nchecks.timestamp = {{ tolerance_ms = {tolerance_ns // 10**5}e-1, bound = "strict" }}'
    )
    assert same.checks[3] == Timestamp(tolerance_ns, Bound.STRICT)
    assert {DriftProfile(profile)} < set(DriftProfile)


def test_a_bound_keeps_the_founding_tolerance() -> None:
    rules = parse_rules('name = "x"\nchecks.timestamp.bound = "strict"')
    assert rules.checks[3] == Timestamp(tolerance_ns=100_000_000, bound=Bound.STRICT)


def test_defaults_of_a_timestamp_table() -> None:
    assert parse_rules('name = "founding"\n[checks.timestamp]') == FOUNDING


def test_numbers_are_read_exactly() -> None:
    rules = parse_rules('name = "x"\n[checks.price]\ntolerance = { absolute = 0.123456789012345678 }')
    assert rules.checks[2] == Price(tolerance=Absolute(amount=D("0.123456789012345678")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = " "', "name is blank: results show it as the rules in force"),
        (
            'name = "x"\n[checks]\nticker = false\nquantity = false\nprice = false\ntimestamp = false\npnl = false',
            "every check of a term is off: every pair without attributes would match",
        ),
        (
            'name = "x"\nmatch_key = ["venue", "trade_id"]',
            "match_key has 'venue': write trade_id and some of broker, trade_date, ticker, account, side",
        ),
        (
            'name = "x"\nmatch_key = ["broker"]',
            "match_key is broker: write trade_id and other fields, each once",
        ),
        ('name = "x"\nmatch_key = []', "match_key is empty: write trade_id and other fields, each once"),
        (
            'name = "x"\nmatch_key = ["trade_id", "side", "side"]',
            "match_key is trade_id, side, side: write trade_id and other fields, each once",
        ),
        (
            'name = "x"\ngroup_by = "order_id"\nmatch_key = ["trade_id", "side"]',
            "match_key and group_by are both set: a group has one id, so remove one of them",
        ),
        (
            'name = "x"\npnl_required = true\nchecks = { pnl = false }',
            "pnl_required is true but the pnl check is off: trades would wait for a snapshot that is never checked",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = {}',
            f"checks.price.tolerance has nothing: {ONE_SIZE}",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { absolute = 1, percent = 2 }',
            f"checks.price.tolerance has absolute and percent: {ONE_SIZE}",
        ),
        (
            'name = "x"\n[checks.pnl]\ntolerance = { basis_points = 1, percent = 2 }',
            f"checks.pnl.tolerance has percent and basis_points: {ONE_SIZE}",
        ),
        (
            'name = "x"\n[checks.pnl]\ntolerance = { below = 1 }',
            f"checks.pnl.tolerance has below: {ONE_SIZE}",
        ),
        (
            'name = "x"\n[checks.pnl]\ntolerance = { below = 1, above = 1, absolute = 1 }',
            f"checks.pnl.tolerance has absolute and below and above: {ONE_SIZE}",
        ),
        *[
            (
                f'name = "x"\n[checks.price]\ntolerance = {{ {sizes} }}',
                f"checks.price.tolerance has {named}: {ONE_SIZE}",
            )
            for sizes, named in (
                ("ticks = 1", "ticks"),
                ("tick = 1", "tick"),
                ("ticks = 1, tick = 1, at_most = 1", "ticks and tick and at_most"),
                ("at_most = 1", "at_most"),
                ("absolute = 1, at_most = 1", "absolute and at_most"),
                ("percent = 1, at_most = 1, below = 1", "percent and at_most and below"),
                ("basis_points = 1, tick = 1", "tick and basis_points"),
            )
        ],
        (
            'name = "x"\n[checks.price]\ntolerance = { ticks = 1, tick = 0 }',
            "checks.price.tolerance.tick is 0: write the smallest step of the price",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { ticks = 1e9, tick = 1e9 }',
            "checks.price.tolerance is 1000000000000000000: write a number of zero or more, of at most 18 digits",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { absolute = -1 }',
            "checks.price.tolerance.absolute is -1: write a number of zero or more, of at most 18 digits",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { absolute = nan }',
            "checks.price.tolerance.absolute is NaN: write a number of zero or more, of at most 18 digits",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { percent = "1.234567890123456789" }',
            "checks.price.tolerance.percent is 1.234567890123456789:"
            " write a number of zero or more, of at most 18 digits",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { percent = 1e-19 }',
            "checks.price.tolerance.percent is 1E-19: write a number between 1E-18 and 1E18",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { percent = "1e18" }',
            "checks.price.tolerance.percent is 1E+18: write a number between 1E-18 and 1E18",
        ),
        (
            'name = "x"\n[checks.timestamp]\ntolerance_ms = "0.0000001"',
            "checks.timestamp.tolerance_ms is 1E-7: write whole nanoseconds at most",
        ),
        (
            'name = "x"\n[checks.timestamp]\ntolerance_ms = 2\nprofile = "EU_ALGO"',
            "checks.timestamp has tolerance_ms and profile: write one of them",
        ),
        ('name = "x"\ngrace_seconds = -1', "grace_seconds is -1: write a number of zero or more, of at most 18 digits"),
        ('name = "x"\ngrace_seconds = 1e-10', "grace_seconds is 1E-10: write whole nanoseconds at most"),
    ],
)
def test_error_texts(text: str, message: str) -> None:
    assert error_text(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name is missing: it is required"),
        ("name = 5", "name is a whole number: write text"),
        (
            'name = "x"\ngrace = 60',
            "grace is not known. Known names: name, checks, grace_seconds, pnl_required",
        ),
        (
            'name = "x"\ngrace_second = 60',
            "grace_second is not known: did you mean grace_seconds? Known names: name, checks, grace_seconds, "
            "pnl_required",
        ),
        (
            'name = "x"\n[checks]\npnll = true',
            "checks.pnll is not known: did you mean pnl? Known names: ticker, quantity, price, timestamp, pnl",
        ),
        (
            'name = "x"\n[checks]\nprice = { tolerence = {} }',
            "checks.price.tolerence is not known: did you mean tolerance? Known names: tolerance",
        ),
        ('name = "x"\n[checks]\nprice = {}', "checks.price.tolerance is missing: it is required"),
        ('name = "x"\n[checks]\nprice = "on"', "checks.price is text: write true or false or a table"),
        (
            'name = "x"\n[checks]\nticker = { tolerance = { absolute = 1 } }',
            "checks.ticker is a table: write true or false",
        ),
        ('name = "x"\nchecks = []', "checks is a list: write a table"),
        ('name = "x"\ngrace_seconds = 2025-07-26', "grace_seconds is a date: write a number"),
        (
            'name = "x"\n[checks.price]\ntolerance = { absolute = "a lot" }',
            "checks.price.tolerance.absolute is 'a lot': write a decimal with a point and nothing else in it",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { absolute = "0_005" }',  # Python reads 5
            "checks.price.tolerance.absolute is '0_005': write a decimal with a point and nothing else in it",
        ),
        (
            'name = "x"\n[checks.timestamp]\ntolerance_ms = "\u0665"',
            "checks.timestamp.tolerance_ms is '\u0665': write a decimal with a point",
        ),
        (
            'name = "x"\n[checks.price]\ntolerance = { percent = 1, base = "notional" }',
            "checks.price.tolerance.base is 'notional': write execution or",
        ),
        (
            'name = "x"\n[checks.timestamp]\nprecision = "vague"',
            "checks.timestamp.precision is 'vague': write exact or granularity_aware",
        ),
        (
            'name = "x"\n[checks.timestamp]\nprofile = "EU"',
            "checks.timestamp.profile is 'EU': write EU_HFT or EU_ALGO or EU_VOICE or US_CAT or US_CAT_MANUAL",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "urgent"',
            "severity[0].severity is 'urgent': write critical or high or medium or low",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nreasons = []',
            "severity[0].reasons is not known: did you mean reason?",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\n[[severity]]\nseverity = "low"\nstake_below = 5',
            "row 2 of severity: it has a stake without a currency",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nstake_at_least = -5\ncurrency = "USD"',
            "row 1 of severity: its stake is not a number of zero or more",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nopen_hours = 0',
            "row 1 of severity: open_hours is 0: write 1 or more",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nstake_below = 5\ncurrency = "usd"',
            "row 1 of severity: currency is 'usd': write USD",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nstake_at_least = 9\nstake_below = 9\ncurrency = "USD"',
            "row 1 of severity: no stake is at least 9 and below 9",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nreason = "GROUP_PENDING"',
            "row 1 of severity: no break has the reason GROUP_PENDING",
        ),
        (
            'name = "x"\n[[severity]]\nseverity = "low"\nopen_hours = 87601',
            "row 1 of severity: open_hours is 87601: write 87600 or less",
        ),
    ],
)
def test_a_misspelt_or_missing_name_is_an_error(text: str, message: str) -> None:
    assert error_text(text).startswith(message)


def test_text_that_is_not_toml_is_an_error() -> None:
    assert "Invalid value" in error_text("name = ")


def test_an_error_of_another_form_is_unchanged() -> None:
    assert explain("Invalid value", msgspec.Struct).text == "Invalid value"


def test_the_limits_of_a_number_are_allowed() -> None:
    for sent in ("0", "1e-18", "999999999999999999", "1e17", "0.123456789012345678"):
        rules = parse_rules(f'name = "x"\n[checks.price]\ntolerance = {{ absolute = "{sent}" }}')
        assert rules.checks[2] == Price(tolerance=Absolute(amount=D(sent)))
    assert parse_rules('name = "founding"\ngrace_seconds = 0') == msgspec.structs.replace(FOUNDING, grace_ns=0)


def test_the_example_in_the_docstring_is_valid() -> None:
    about = inspect.getdoc(rules_file) or ""
    example = inspect.cleandoc(about[about.index("    name =") : about.index("\n\nNumbers may be")])
    assert parse_rules(example) == msgspec.structs.replace(
        FOUNDING,
        name="desk-7",
        checks=(
            Quantity(),
            Price(tolerance=Relative(share=D("0.0001"), base=Base.EXECUTION, bound=Bound.STRICT)),
            Timestamp(tolerance_ns=2_000_000, precision=Precision.GRANULARITY_AWARE),
            msgspec.structs.replace(FOUNDING.checks[-1], basis=Basis.CASH_FLOW, incomplete=Incomplete.BREAK),
            Attribute(AttributeName.ACCOUNT, must_be_present=True),
        ),
        attributes=tuple([rule for rule in FOUNDING.attributes if rule.name != "account"]),
        severity=(SeverityRow(Severity.LOW, Reason.TIMESTAMP_DRIFT),),
        overrides=(
            Override(
                broker="BRKA",
                effective_from_ns=1_753_531_200_000_000_000,
                checks=(Price(tolerance=Absolute(amount=D("0.01"))),),
            ),
        ),
        asset_classes=(AssetClass("fx", ("EUR/*", "GBP/USD")),),
        last_wins=True,
        group_by=GroupField.ORDER_ID,
        calendar=Calendar("America/New_York", 480, 1_080),
    )


FILE = """
    name = "desk"
    grace_seconds = 5
    [checks]
    ticker = false
    price = { tolerance = { absolute = "0.005", bound = "strict" } }
    timestamp = { tolerance_ms = 2, bound = "strict" }
"""


@pytest.mark.parametrize(
    "again",
    [
        """
    grace_seconds = 5.0  # in another order, in other notations
    name = " desk "
    checks.timestamp.bound = "strict"
    checks.timestamp.tolerance_ms = "2.000"
    checks.ticker = false
    checks.pnl = true
    [checks.price.tolerance]
    bound = "strict"
    absolute = 5e-3
""",
        FILE.replace("0.005", "0.0050"),
        FILE + "quantity = { tolerance = { absolute = 0 } }\n",
    ],
)
def test_an_equivalent_file_has_the_same_stamp(again: str) -> None:
    assert parse_rules(again) == parse_rules(FILE)
    assert parse_rules(again).stamp() == parse_rules(FILE).stamp()


def test_ticks_have_the_stamp_of_their_amount() -> None:
    ticks, amount = (
        parse_rules(f'name = "x"\nchecks.price.tolerance = {{ {size} }}')
        for size in ('ticks = 2, tick = "0.0050"', 'absolute = "0.01"')
    )
    assert ticks.stamp() == amount.stamp()


def test_a_share_has_the_same_stamp_in_any_unit() -> None:
    per_cent, basis_points = (
        parse_rules(f'name = "x"\nchecks.price.tolerance.{size}') for size in ("percent = 2", "basis_points = 200")
    )
    assert per_cent == basis_points
    assert per_cent.stamp() == basis_points.stamp()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"desk"', '"desk-7"'),
        ("grace_seconds = 5", "grace_seconds = 6"),
        ("ticker = false", "ticker = true"),
        ("0.005", "0.006"),
        ('"0.005", bound = "strict"', '"0.005"'),
        ("tolerance_ms = 2", "tolerance_ms = 2.5"),
        ('2, bound = "strict"', "2"),
        ("[checks]", "pnl_required = true\n[checks]"),
        ('absolute = "0.005"', 'percent = "0.005"'),
    ],
)
def test_a_different_file_has_another_stamp(old: str, new: str) -> None:
    assert FILE.replace(old, new) != FILE
    assert parse_rules(FILE.replace(old, new)).stamp().sha256 != parse_rules(FILE).stamp().sha256


@pytest.mark.parametrize(("size", "share"), [("percent = 0.07", "0.0007"), ("basis_points = 0.3", "0.00003")])
def test_a_share_is_exact(size: str, share: str) -> None:
    rules = parse_rules(f'name = "x"\nchecks.price.tolerance.{size}')
    assert rules.checks[2] == Price(tolerance=Relative(share=D(share), base=Base.EXECUTION))


def test_a_grace_of_more_than_a_year_is_an_error() -> None:
    assert parse_rules('name = "x"\ngrace_seconds = 31536000').grace_ns == 31_536_000_000_000_000
    with pytest.raises(RulesError, match="grace_seconds is 31536001: write at most 31536000, a year"):
        parse_rules('name = "x"\ngrace_seconds = 31536001')


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse_rules('\ufeffname = "desk"').name == "desk"


def test_every_rule_can_be_switched_off() -> None:
    """A switch that no rule has would be accepted and ignored."""
    switches = {field.name for field in msgspec.structs.fields(ChecksTable)}
    terms = {rule.name for rule in get_args(Rule) if rule is not Attribute}
    assert switches == terms | set(AttributeName)
    for name in switches:
        left = parse_rules(
            f'name = "x"\nchecks = {{ order_id = true, {name} = false }}'.replace(
                "order_id = true, order_id", "order_id"
            )
        )
        assert {rule.name for rule in left.every} == switches - {name}


@pytest.mark.parametrize("name", [*AttributeName, "commission"])
def test_an_attribute_that_must_be_present_is_checked_on_every_pair(name: str) -> None:
    rules = parse_rules(f'name = "x"\n[checks.{name}]\nmust_be_present = true')
    (required,) = rules.checks[len(FOUNDING.checks) :]
    assert (required.name, required.must_be_present) == (name, True)  # type: ignore[union-attr]
    assert name not in {rule.name for rule in rules.attributes}


def test_a_commission_may_have_a_tolerance() -> None:
    rules = parse_rules('name = "x"\n[checks.commission]\ntolerance = { absolute = "0.01" }')
    assert Commission(tolerance=Absolute(amount=D("0.01"))) in rules.attributes


def test_every_error_is_found_at_once_with_its_position() -> None:
    text = '\ufeffnam = "x"\ngrace_seconds = nan\n[checks.price]\ntolerance = { absolute = "a lot", bound = "soft" }\n'
    with pytest.raises(RulesError) as error:
        parse_rules(text + "checks.pnl = 1\n")
    lines = error.value.lines("desk.toml")
    assert [line.split(" ")[:2] for line in lines] == [
        ["desk.toml:1:1:", "nam"],
        ["desk.toml:2:1:", "grace_seconds"],
        ["desk.toml:4:15:", "checks.price.tolerance.absolute"],
        ["desk.toml:4:35:", "checks.price.tolerance.bound"],
        ["desk.toml:5:1:", "checks.price.checks"],
    ]


def test_an_error_hides_what_follows_from_it() -> None:
    """A value that is wrong leaves a hole; that something is missing there is no second error."""
    assert "; " not in error_text('name = "x"\n[checks.price.tolerance]\nabsolute = "much"')
    assert "; " not in error_text('nam = "x"')
    assert "; " not in error_text('name = "x"\n[checks]\nprice = { tolerence = {} }')


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", '"NaN"', '"sNaN"'])
def test_a_grace_that_is_not_finite_is_an_error(number: str) -> None:
    assert error_text(f'name = "x"\ngrace_seconds = {number}').startswith("grace_seconds is ")


@pytest.mark.parametrize(
    ("text", "position"),
    [("name =", (1, 7)), ("a = 1\n\n= 2", (3, 1)), ('a = 1\nname = """', (2, 11)), ("a = 1\na = 2", (2, 6))],
)
def test_a_text_that_is_not_toml_has_a_position(text: str, position: tuple[int, int]) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(text)
    (problem,) = error.value.problems
    assert (problem.position.line, problem.position.column) == position
    assert "(at " not in problem.text


def test_what_is_wrong_in_one_row_hides_no_other_row() -> None:
    text = (
        'name = "x"\nseverity = [{ severity = "urgent" }, { sevrity = "low" }, 5, { open_hours = 1 }, { severity = 1 }]'
    )
    assert error_text(text).split("; ") == [
        "severity[0].severity is 'urgent': write critical or high or medium or low",
        "severity[1].sevrity is not known: did you mean severity? "
        "Known names: severity, reason, stake_at_least, stake_below, currency, open_hours, past_cut_off",
        "severity[2] is a whole number: write a table",
        "severity[3].severity is missing: it is required",
        "severity[4].severity is a whole number: write text",
    ]
    rows = 'name = "x"\nseverity = [{ severity = "low", open_hours = 0 }, { severity = "low", stake_below = 5 }]'
    assert [part.split(":")[0] for part in error_text(rows).split("; ")] == ["row 1 of severity", "row 2 of severity"]


def test_a_match_key_of_the_trade_id_alone_is_none() -> None:
    assert parse_rules('name = "founding"\nmatch_key = ["trade_id"]') == FOUNDING
    keyed = parse_rules('name = "k"\nmatch_key = ["trade_id", "trade_date", "broker"]')
    assert keyed.match_key == (KeyField.TRADE_DATE, KeyField.BROKER)
