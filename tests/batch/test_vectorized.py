"""Vectorized rules change nothing: with or without them, a run gives the same bytes and the same summary."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from batches import PLAIN, Files, cut_up, file_of, left_by, plain_files, rows_of, simulated, written
from edges import days, rule_sets
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from traderecon.batch.outputs import Format
from traderecon.batch.vectorized import VectorizedResult, VectorizedRules
from traderecon.records import Source
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import parse_rules
from traderecon.simulator import PROFILES

CHECKS = ("ticker", "quantity", "price", "timestamp", "pnl")
TERMS = "AAPL,100,190.5,2025-07-26T10:01:23Z"
BOOKED = "19049.5,0.5"
SIDES = (Source.EXECUTIONS, Source.CONFIRMATIONS)

each_example_overwrites_the_last = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def vectorized(folder: Path, files: Files, rules: Rules = FOUNDING) -> VectorizedResult:
    """The vectorized result for files with the founding columns."""
    vectorized_rules = VectorizedRules.of(rules)
    assert vectorized_rules is not None
    return vectorized_rules.judge({file.source: cut_up(file).read(0) for file in written(folder, files)})


def pair(ours: str = TERMS, theirs: str | None = None, booked: str | None = BOOKED) -> dict[Source, bytes]:
    """One trade; the cells of each source follow its trade_id."""
    return plain_files([f"T1,{ours}"], [f"T1,{theirs or ours}"], [f"T1,{booked}"] if booked else [])


def assert_nothing_changes(folder: Path, files: Files, rules: Rules = FOUNDING, form: Format = Format.CSV) -> None:
    inputs = written(folder, files)
    with_it, without = (left_by(inputs, rules, form, vectorized=vectorized) for vectorized in (True, False))
    assert with_it.out == without.out
    assert with_it.rejects == without.rejects
    assert with_it.summary == without.summary


@each_example_overwrites_the_last
@given(days())
def test_nothing_changes_under_the_founding_rules(tmp_path: Path, files: dict[Source, bytes]) -> None:
    assert_nothing_changes(tmp_path, files)


@each_example_overwrites_the_last
@given(days(), rule_sets())
def test_nothing_changes_under_other_rules(tmp_path: Path, files: dict[Source, bytes], rules: Rules) -> None:
    assert_nothing_changes(tmp_path, files, rules)


@pytest.mark.parametrize("seed", [7, 8, 20250725])
@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_changes_on_a_simulated_day(tmp_path: Path, profile: str, seed: int) -> None:
    assert_nothing_changes(tmp_path, simulated(profile, trades=1500, seed=seed))


@pytest.mark.parametrize("form", Format)
def test_nothing_changes_in_any_form(tmp_path: Path, form: Format) -> None:
    assert_nothing_changes(tmp_path, simulated("typical", trades=1000), form=form)


@pytest.mark.parametrize(
    "rules_text",
    [
        *(f"checks = {{ {name} = false }}" for name in CHECKS),
        *(f"checks = {{ {', '.join(f'{other} = false' for other in CHECKS if other != name)} }}" for name in CHECKS),
        '[checks.price.tolerance]\nabsolute = "0.005"\nbound = "strict"',
        '[checks.pnl.tolerance]\nabsolute = "1"\nbound = "inclusive"',
        '[checks.timestamp]\ntolerance_ms = 100\nbound = "strict"',
        '[checks.price.tolerance]\nabsolute = "0.00499999"',
        '[checks.pnl.tolerance]\nabsolute = "0.99995"\nbound = "strict"',
        '[checks.timestamp]\ntolerance_ms = "99.999999"',
        "[checks.price.tolerance]\nabsolute = 0",
        "[checks.timestamp]\ntolerance_ms = 0",
        "pnl_required = true",
        '[checks.price.tolerance]\npercent = "0.002"',
        "[checks.quantity.tolerance]\nabsolute = 50",
        '[checks.timestamp]\ntolerance_ms = 2\nprecision = "granularity_aware"',
    ],
)
def test_nothing_changes_under_a_rules_file(tmp_path: Path, rules_text: str) -> None:
    assert_nothing_changes(tmp_path, simulated("typical", trades=600), parse_rules(f'name = "desk"\n{rules_text}'))


def test_a_required_snapshot_without_a_check_changes_nothing(tmp_path: Path) -> None:
    rules = replace(FOUNDING, checks=FOUNDING.checks[:-1], pnl_required=True)
    assert_nothing_changes(tmp_path, pair(booked=None), rules)


@pytest.mark.parametrize(
    "line",
    [
        "T1\udcff,1,1",
        "T1,\udcff,1",
        "\udcff",
        '"T1\udcff",1,1',
        "T1é,1,1",
        "T1\x00,1,1",
        '"T1',
        "",
        " ",
        ",",
        "🙂,1,1",
        ' "T1",1,1',
        "\u00a0T1\u2007,1,1",
        "T\u00a01,1,1",
        "\u200b",
        "T1,1,1,, ",
    ],
    ids=ascii,
)
def test_nothing_changes_beside_a_line_that_is_odd(tmp_path: Path, line: str) -> None:
    files = pair() | {Source.PNL: file_of([f"T1,{BOOKED}", line], PLAIN[Source.PNL])}
    assert_nothing_changes(tmp_path, files)


def test_most_trades_of_a_typical_day_are_plain(tmp_path: Path) -> None:
    rows = vectorized(tmp_path, simulated("typical", trades=2000)).rows()
    assert 2000 * 8 // 10 < len(rows) <= 2000
    assert {"PASS", "WITHIN_TOLERANCE"} <= set(rows["timestamp_check"])
    assert {"PASS", "WITHIN_TOLERANCE", "NOT_CHECKED"} <= set(rows["pnl_check"])


def test_a_line_is_of_a_trade_that_is_judged_or_left_to_the_core(tmp_path: Path) -> None:
    files = simulated("typical", trades=500)
    files[Source.EXECUTIONS] = files[Source.EXECUTIONS].replace(b"S7-00000007,", b'"S7-00000007",')
    judged = vectorized(tmp_path, files)
    known = set(judged.rows()["trade_id"])
    stated = {
        line.partition(",")[0].strip('"') for source in SIDES for line in files[source].decode().split("\n")[1:-1]
    }
    left = {key for lines in judged.others.values() for key in lines["trade_id"]}
    assert "S7-00000007" in left
    assert not known & left
    assert known | left >= stated
    for source, content in files.items():
        keys = [line.partition(",")[0].strip('"') for line in content.decode().split("\n")[1:-1]]
        numbers = [number for number, key in enumerate(keys, start=2) if key in left]
        assert sorted(judged.others[source]["number"]) == numbers


def test_more_breaks_than_a_summary_shows(tmp_path: Path) -> None:
    """Of equal severity and notional, so that only their names order them."""
    sent = [f"T{(number * 7919) % 10_000:04d},A,{1 + number % 3},10,2025-07-26T10:01:23Z" for number in range(1200)]
    assert_nothing_changes(tmp_path, plain_files(sent, sent[::2]))
    assert_nothing_changes(tmp_path, plain_files(sent, [line.replace(",10,", ",10.5,") for line in sent]))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            pair("A,10000000,999999.9999,1980-01-01T00:00:00.999999Z", booked="9999999998999.9999,0.0001"),
            {"execution_price": "999999.9999", "pnl_impact": "9999999998999.9999", "pnl_difference": "0"},
        ),
        (
            pair("ABCDEFGHIJKLMNOP,99999999,999999.9999,2199-12-31T23:59:59Z", booked=None),
            {"execution_quantity": "99999999", "event_time": "2199-12-31T23:59:59Z", "pnl_check": "NOT_CHECKED"},
        ),
        (
            pair("A,1,0,2025-07-26T00:00:00.000Z", booked="-9999999999999.9999,9999999999999.9999"),
            {"execution_price": "0", "pnl_impact": "-9999999999999.9999", "event_time": "2025-07-26T00:00:00Z"},
        ),
        (pair("A,1,0.0000,2025-07-26T00:00:00Z", booked="-0.0,-0"), {"execution_price": "0", "commission": "0"}),
        (
            pair("A,1,1.0050,2025-07-26T00:00:00.100Z", "A,1,1.01,2025-07-26T00:00:00Z", None),
            {"price_difference": "0.005", "timestamp_difference_ms": "100", "hints": "CONFIRM_BEFORE_EXECUTION"},
        ),
        (
            pair("A,1,1,2025-07-26T00:00:00Z", "A,1,1,2025-07-25T23:59:59.999999Z", None),
            {"timestamp_difference_ms": "0.001", "hints": "CONFIRM_BEFORE_EXECUTION;TRADE_DATE_ROLL"},
        ),
        (pair("A,1,1.5,2025-07-26T00:00:00Z", booked="1.4501,-0.9498"), {"pnl_difference": "0.9997"}),
    ],
)
def test_values_at_the_edge_are_plain(tmp_path: Path, files: dict[Source, bytes], expected: dict[str, str]) -> None:
    assert len(vectorized(tmp_path, files).rows()) == 1
    (row,) = rows_of(left_by(written(tmp_path, files)).out)
    assert {name: row[name] for name in expected} == expected
    assert_nothing_changes(tmp_path, files)


def test_every_product_and_sum_is_exact(tmp_path: Path) -> None:
    """The largest possible price, quantity and commission, with a tolerance that allows anything."""
    rules = parse_rules('name = "x"\nchecks.pnl.tolerance.absolute = "1E17"')
    files = pair("A,99999999,999999.9999,2025-07-26T10:01:23Z", booked="-9999999999999.9999,-9999999999999.9999")
    assert vectorized(tmp_path, files, rules).rows()["pnl_difference"].to_list() == [
        str(99999999 * 9_999_999_999 + 2 * 99_999_999_999_999_999)[:-4] + ".9999"
    ]
    assert_nothing_changes(tmp_path, files, rules)


@pytest.mark.parametrize("key", ['"T1"', " T1", "T1 "])
@pytest.mark.parametrize("source", Source)
def test_a_trade_with_a_line_anywhere_that_is_not_plain_is_left_to_the_core(
    tmp_path: Path, source: Source, key: str
) -> None:
    files = pair()
    assert vectorized(tmp_path, files).rows()["trade_id"].to_list() == ["T1"]
    files[source] += f"{key},{BOOKED if source is Source.PNL else TERMS}\n".encode()
    assert vectorized(tmp_path, files).rows().is_empty()
    assert_nothing_changes(tmp_path, files)


@pytest.mark.parametrize("source", Source)
def test_a_plain_trade_with_two_contents_of_one_leg_is_left_to_the_core(tmp_path: Path, source: Source) -> None:
    files = pair()
    files[source] += b"T1,1,1\n" if source is Source.PNL else b"T1,A,1,1,2025-07-26T10:01:23Z\n"
    files[source] += files[source].split(b"\n")[1] + b"\n"
    assert vectorized(tmp_path, files).rows().is_empty()
    assert_nothing_changes(tmp_path, files)


@pytest.mark.parametrize("source", Source)
def test_a_leg_sent_in_two_notations_is_one_leg(tmp_path: Path, source: Source) -> None:
    files = pair()
    files[source] += b"T1,19049.50,0.50\n" if source is Source.PNL else f"T1,{TERMS.replace('.5', '.500')}\n".encode()
    assert_nothing_changes(tmp_path, files)


@pytest.mark.parametrize(
    "rules_text",
    [
        "checks.pnl.tolerance.basis_points = 1",
        "checks.price.tolerance.percent = 1",
        "checks.price.tolerance = { below = 0, above = 1 }",
        "checks.quantity.tolerance.percent = 1",
        'checks.timestamp.precision = "granularity_aware"',
        "override = [{ effective_from = 2025-07-26T12:00:00Z, checks.price.tolerance.absolute = 1 }]",
    ],
)
def test_rules_that_cannot_be_vectorized(rules_text: str) -> None:
    assert VectorizedRules.of(parse_rules(f'name = "x"\n{rules_text}')) is None


@pytest.mark.parametrize("bound", ["inclusive", "strict"])
@pytest.mark.parametrize("tolerance", ["0.005", "0.0050001", "0.00499", "0", "1E17"])
def test_a_tolerance_that_covers_a_small_price_is_said(tmp_path: Path, tolerance: str, bound: str) -> None:
    rules = parse_rules(f'name = "x"\nchecks.price.tolerance = {{ absolute = "{tolerance}", bound = "{bound}" }}')
    prices = ("0", "0.0001", "0.0049", "0.005", "0.0051", "0.01", "0.0101")
    pairs = [(f"T{i}", here, there) for i, (here, there) in enumerate(product(prices, prices))]
    terms = "AAPL,100,{},2025-07-26T10:01:23Z"
    files = plain_files(
        [f"{name},{terms.format(here)}" for name, here, _ in pairs],
        [f"{name},{terms.format(there)}" for name, _, there in pairs],
    )
    assert_nothing_changes(tmp_path, files, rules)


@pytest.mark.parametrize("ticker", ["aapl", "Aapl", "AAP1", "MSFT"])
def test_a_ticker_in_another_case_is_said(tmp_path: Path, ticker: str) -> None:
    assert_nothing_changes(tmp_path, pair(TERMS, TERMS.replace("AAPL", ticker)))


def test_trades_with_overrides_are_left_to_the_core(tmp_path: Path) -> None:
    rules = parse_rules("""
        name = "x"
        [[override]]
        broker = "BRKA"
        checks.price.tolerance.absolute = 100
        [[override]]
        ticker = "AAPL"
        checks.price.tolerance.absolute = 5
        [[override]]
        ticker = "MSFT"
        effective_from = 2025-07-26T12:00:00Z
        checks.price.tolerance.absolute = 5
    """)
    vectorized = VectorizedRules.of(rules)
    assert vectorized is not None
    assert vectorized.overridden == ("AAPL", "MSFT")
    assert_nothing_changes(tmp_path, simulated("typical", trades=600), rules)


def test_a_rule_that_it_does_not_know_is_no_rule_to_pass_over() -> None:
    """Else its breaks would be MATCHED in files that only hold plain lines."""
    unknown: Any = "a sixth rule"
    with pytest.raises(AssertionError, match="a sixth rule"):
        VectorizedRules.of(Rules(name="more", checks=(*FOUNDING.checks, unknown)))
