"""Overrides: which one applies, what a file may say, what is refused."""

import time
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.records.instants import NS_PER_S
from traderecon.rules import (
    FOUNDING,
    SELECTORS,
    Absolute,
    Basis,
    Bound,
    Commission,
    DriftProfile,
    Override,
    Pnl,
    Precision,
    Price,
    Quantity,
    Rules,
    Timestamp,
)
from traderecon.rules.content import content
from traderecon.rules.file import RulesError, parse_rules
from traderecon.rules.from_tables import MAX_OVERRIDES
from traderecon.rules.overrides import ambiguous

D = Decimal
NOON_NS = 1_753_531_200 * NS_PER_S
CENT = Price(tolerance=Absolute(amount=D("0.01")))


def overrides_of(text: str) -> tuple[Override, ...]:
    return parse_rules(f'name = "x"\n{text}').overrides or ()


def lines_of(text: str) -> list[str]:
    with pytest.raises(RulesError) as error:
        parse_rules(f'name = "x"\n{text}')
    return error.value.lines("f")


def test_an_override_has_its_selectors_its_beginning_and_its_checks() -> None:
    (override,) = overrides_of("""
        [[override]]
        broker = "BRKA"
        account = "A7"
        ticker = "BRK.B"
        effective_from = 2025-07-26T14:00:00.000001+02:00
        [override.checks]
        quantity = { tolerance = { absolute = 1 } }
        price = { tolerance = { ticks = 1, tick = "0.01" } }
        timestamp = { profile = "EU_VOICE", bound = "strict" }
        pnl = { basis = "gross" }
        commission = { tolerance = { absolute = "0.1" } }
    """)
    assert override == Override(
        ticker="BRK.B",
        broker="BRKA",
        account="A7",
        effective_from_ns=NOON_NS + 1_000,
        checks=(
            Quantity(tolerance=Absolute(amount=D(1))),
            CENT,
            Timestamp(2 * NS_PER_S, Bound.STRICT, profile=DriftProfile.EU_VOICE),
            Pnl(tolerance=Absolute(amount=D(1), bound=Bound.STRICT), basis=Basis.GROSS),
            Commission(tolerance=Absolute(amount=D("0.1"))),
        ),
    )
    assert override.describe() == "ticker BRK.B, broker BRKA, account A7, from 2025-07-26T12:00:00.000001Z"


def test_what_an_override_leaves_out_is_as_in_the_file() -> None:
    rules = parse_rules("""
        name = "x"
        [checks.timestamp]
        tolerance_ms = 5
        bound = "strict"
        precision = "granularity_aware"
        [checks.pnl]
        basis = "cash_flow"
        tolerance = { absolute = 5 }
        [checks.commission]
        must_be_present = true
        [[override]]
        broker = "A"
        [override.checks]
        timestamp = { bound = "inclusive" }
        pnl.tolerance = { absolute = 7 }
        commission.tolerance = { absolute = 1 }
        [[override]]
        broker = "B"
        checks.timestamp.profile = "US_CAT"
        [[override]]
        broker = "C"
        checks.timestamp.tolerance_ms = 6
        checks.pnl.basis = "gross"
    """)
    first, second, third = rules.overrides or ()
    aware = Precision.GRANULARITY_AWARE
    assert first.checks == (
        Timestamp(5_000_000, Bound.INCLUSIVE, aware),
        Pnl(tolerance=Absolute(amount=D(7)), basis=Basis.CASH_FLOW),
        Commission(tolerance=Absolute(amount=D(1)), must_be_present=True),
    )
    assert second.checks == (Timestamp(100_000_000, Bound.STRICT, aware, DriftProfile.US_CAT),)
    assert third.checks == (
        Timestamp(6_000_000, Bound.STRICT, aware),
        Pnl(tolerance=Absolute(amount=D(5)), basis=Basis.GROSS),
    )


def test_a_tolerance_in_place_of_a_profile() -> None:
    (override,) = overrides_of("""
        checks.timestamp.profile = "US_CAT"
        [[override]]
        broker = "A"
        checks.timestamp.tolerance_ms = 6
    """)
    assert override.checks == (Timestamp(6_000_000),)


def test_without_overrides_the_rules_are_as_before() -> None:
    rules = parse_rules('name = "founding"\noverride = []')
    assert rules == FOUNDING
    assert rules.stamp() == FOUNDING.stamp()
    assert rules.selection.find({"ticker": "AAPL"}, NOON_NS) == {}


def override(text: str = "", **selectors: str | int) -> Override:
    return msgspec.convert({"checks": [msgspec.to_builtins(CENT)], **selectors}, Override)


@pytest.mark.parametrize(
    "winner_first",
    [
        (override(ticker="T"), override(broker="B")),
        (override(broker="B"), override(account="A")),
        (override(ticker="T"), override(broker="B", account="A")),
        (override(ticker="T", account="A"), override(ticker="T")),
        (override(ticker="T", broker="B", account="A"), override(ticker="T", broker="B")),
        (override(broker="B", account="A"), override(broker="B")),
        (override(account="A"), override(effective_from_ns=NOON_NS)),
        (override(ticker="T"), override(ticker="T", broker="C"), override(ticker="U"), override(account="B")),
        (override(broker="B", effective_from_ns=NOON_NS), override(broker="B")),
        (override(broker="B", effective_from_ns=NOON_NS), override(broker="B", effective_from_ns=NOON_NS - 1)),
        (override(broker="B"), override(broker="B", effective_from_ns=NOON_NS + 1)),
        (override(effective_from_ns=NOON_NS), override(ticker="T", effective_from_ns=NOON_NS + 1)),
    ],
)
def test_the_most_specific_override_in_effect_applies(winner_first: tuple[Override, ...]) -> None:
    values = {"ticker": "T", "broker": "B", "account": "A"}
    for order in (winner_first, winner_first[::-1]):
        rules = msgspec.structs.replace(FOUNDING, overrides=order)
        assert rules.selection.find(values, NOON_NS) == {"price": winner_first[0]}
        overridden = rules.overridden({"price": winner_first[0]})
        assert (overridden.checks[2], overridden.overrides) == (CENT, msgspec.UNSET)


def test_what_is_not_known_is_never_selected_on() -> None:
    rules = msgspec.structs.replace(
        FOUNDING, overrides=(override(broker="B"), override(ticker="T", broker="B"), override(effective_from_ns=1))
    )
    assert rules.selection.find({}, None) == {}
    assert rules.selection.find({"ticker": "T"}, None) == {}
    assert set(rules.selection.find({"broker": "B"}, None)) == {"price"}


selectors = st.fixed_dictionaries({}, optional={field: st.sampled_from("ab") for field in SELECTORS})
beginnings = st.none() | st.integers(1, 3)


@st.composite
def override_sets(draw: st.DrawFn) -> list[Override]:
    checks = st.sampled_from([(CENT,), (Quantity(),), (CENT, Quantity())])
    one = st.builds(
        lambda fields, begins, changed: Override(checks=changed, effective_from_ns=begins, **fields),
        selectors,
        beginnings,
        checks,
    )
    return draw(st.lists(one, max_size=6))


def applies(override: Override, trade: dict[str, str], at: int) -> bool:
    return all(trade[field] == getattr(override, field) for field in override.fields) and (
        override.effective_from_ns is None or override.effective_from_ns <= at
    )


@given(override_sets(), st.fixed_dictionaries(dict.fromkeys(SELECTORS, st.sampled_from("abc"))), st.integers(0, 4))
def test_exactly_one_wins_unless_the_file_is_ambiguous(
    overrides: list[Override], trade: dict[str, str], at: int
) -> None:
    """The definition, written out: of those that apply, the best by fields, number of fields, and beginning."""
    pairs = list(ambiguous(overrides))
    found = msgspec.structs.replace(FOUNDING, overrides=tuple(overrides)).selection.find(trade, at)
    for name in ("price", "quantity"):
        candidates = [
            one for one in overrides if applies(one, trade, at) and name in {rule.name for rule in one.checks}
        ]
        ranked = sorted(
            candidates,
            key=lambda one: (
                min([SELECTORS.index(field) for field in one.fields], default=9),
                -len(one.fields),
                -(one.effective_from_ns or 0),
            ),
        )
        assert (name in found) is bool(candidates)
        if not pairs and candidates:
            assert found[name] == ranked[0]


def test_overrides_of_which_none_would_win_are_refused() -> None:
    """B23, with both lines."""
    lines = lines_of("""[[override]]
        ticker = "BRK.B"
        broker = "BRKA"
        [override.checks.price]
        tolerance = { absolute = "0.01" }

        [[override]]
        ticker = "BRK.B"
        account = "A7"
        [override.checks.price]
        tolerance = { absolute = "0.02" }
    """)
    assert lines == [
        "f:8:9: this override (ticker BRK.B, account A7) and another one (ticker BRK.B, broker BRKA) can apply to the "
        "same trade, and neither is more specific: remove one, or let both name the same fields: see line 2"
    ]


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ('broker = "A"', 'broker = "A"', True),
        ('broker = "A"', 'broker = "B"', False),
        ('broker = "A"', 'broker = "A"\neffective_from = 2025-07-26T12:00:00Z', False),
        ("effective_from = 2025-07-26T12:00:00Z", "effective_from = 2025-07-26T14:00:00+02:00", True),
        ("effective_from = 2025-07-26T12:00:00Z", "effective_from = 2025-07-26T14:00:00Z", False),
        ('ticker = "T"\nbroker = "A"', 'ticker = "U"\naccount = "A"', False),
        ('ticker = "T"\nbroker = "A"', 'ticker = "T"\nbroker = "B"', False),
        ('ticker = "T"\nbroker = "A"', 'ticker = "T"\naccount = "B"\neffective_from = 2025-07-26T14:00:00Z', True),
        ('ticker = "T"', 'broker = "T"', False),
        ('ticker = "T"', 'ticker = "T"\naccount = "B"', False),
    ],
)
def test_what_is_ambiguous(first: str, second: str, refused: bool) -> None:
    check = '[override.checks.price.tolerance]\nabsolute = "0.01"\n'
    text = f'name = "x"\n[[override]]\n{first}\n{check}[[override]]\n{second}\n{check}'
    if refused:
        with pytest.raises(RulesError, match="neither is more specific"):
            parse_rules(text)
    else:
        assert len(parse_rules(text).overrides or ()) == 2


def test_overrides_of_different_checks_are_not_ambiguous() -> None:
    text = """
        [[override]]
        ticker = "T"
        broker = "B"
        checks.price.tolerance.absolute = 1
        [[override]]
        ticker = "T"
        account = "A"
        checks.quantity.tolerance.absolute = 1
    """
    assert len(overrides_of(text)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[override]]\n[override.checks.price]\ntolerance.absolute = 1",
            "f:2:1: an override names ticker, asset_class, broker, account or effective_from: "
            "for every trade write it under [checks]",
        ),
        (
            '[[override]]\nbroker = "A"',
            "f:2:1: an override changes a check: write [override.checks.price], or another one",
        ),
        (
            '[[override]]\nbroker = "A"\nchecks.ticker = false',
            "f:4:1: override[0].checks.ticker is not known. Known names: quantity, price, timestamp, pnl, commission",
        ),
        (
            '[[override]]\nbrokr = "A"\nchecks.price.tolerance.absolute = 1',
            "f:3:1: override[0].brokr is not known: did you mean broker? "
            "Known names: ticker, asset_class, broker, account, effective_from, checks",
        ),
        (
            '[[override]]\nbroker = " A"\nchecks.price.tolerance.absolute = 1',
            "f:3:1: override[0].broker is ' A': write the value without white space around it",
        ),
        (
            '[[override]]\nticker = ""\nchecks.price.tolerance.absolute = 1',
            "f:3:1: override[0].ticker is '': write the value without white space around it",
        ),
        (
            "[[override]]\neffective_from = 2025-07-26T12:00:00\nchecks.price.tolerance.absolute = 1",
            "f:3:1: override[0].effective_from is 2025-07-26T12:00:00, without a zone: "
            "write 2025-07-26T12:00:00Z, or with its offset from UTC",
        ),
        (
            "[[override]]\neffective_from = 2025-07-26\nchecks.price.tolerance.absolute = 1",
            "f:3:1: override[0].effective_from is a date: write a date and time",
        ),
        (
            'checks.pnl = false\n[[override]]\nbroker = "A"\nchecks.pnl.basis = "gross"',
            "f:5:1: override[0].checks.pnl changes a check that is off: switch it on under [checks]",
        ),
        (
            '[[override]]\nbroker = "A"\nchecks.price.tolerance.absolute = -1',
            "f:4:1: override[0].checks.price.tolerance.absolute is -1: "
            "write a number of zero or more, of at most 18 digits",
        ),
        (
            '[[override]]\nbroker = "A"\nchecks.timestamp = { tolerance_ms = 1, profile = "US_CAT" }',
            "f:4:40: override[0].checks.timestamp has tolerance_ms and profile: write one of them",
        ),
        ("override = [5]", "f:2:13: override[0] is a whole number: write a table"),
        (
            '[[override]]\nbroker = "A"\nchecks.price = {}',
            "f:4:1: override[0].checks.price.tolerance is missing: it is required",
        ),
    ],
)
def test_an_override_that_is_wrong_is_refused_at_its_place(text: str, message: str) -> None:
    assert lines_of(text) == [message]


def test_the_errors_of_all_overrides_are_found() -> None:
    lines = lines_of('[[override]]\nbroker = 5\n[[override]]\nx = 1\n[[override]]\nbroker = "A"\nchecks.price = {}')
    assert [line.split(" ")[0] for line in lines] == ["f:3:1:", "f:5:1:", "f:8:1:"]


def test_there_is_a_bound_and_reading_stays_quick() -> None:
    def text(count: int) -> str:
        rows = [
            f'[[override]]\nticker = "T{i}"\nbroker = "B"\nchecks.price.tolerance.absolute = 1' for i in range(count)
        ]
        return 'name = "x"\n' + "\n".join(rows)

    started_s = time.monotonic()
    assert len(parse_rules(text(MAX_OVERRIDES)).overrides or ()) == MAX_OVERRIDES
    assert time.monotonic() - started_s < 5
    with pytest.raises(RulesError, match="the file has 501 overrides: write at most 500"):
        parse_rules(text(MAX_OVERRIDES + 1))


def test_the_stamp_and_the_content_cover_overrides() -> None:
    def rules(price: str) -> Rules:
        return parse_rules(f'name = "x"\n[[override]]\nbroker = "A"\nchecks.price.tolerance.absolute = "{price}"')

    assert rules("0.01").stamp() == rules("0.010").stamp()
    assert rules("0.01").stamp() != rules("0.02").stamp()
    differing = {name for name, value in content(rules("0.01")).items() if content(rules("0.02")).get(name) != value}
    assert differing == {"override broker A"}
    assert "overrides" not in content(FOUNDING)
    assert msgspec.json.decode(msgspec.json.encode(rules("0.01")), type=Rules) == rules("0.01")
