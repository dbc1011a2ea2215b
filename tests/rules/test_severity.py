"""How urgent a break is: which rows fit it, which of them decides, and which rows make no sense."""

from decimal import Decimal

import pytest

from traderecon.records import Escalation, Reason, Severity, Stake
from traderecon.rules.file import parse_rules
from traderecon.rules.severity import LONGEST_HOURS, SeverityRow, Urgency, problem, urgency

D = Decimal
LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
PRICE, DRIFT = Reason.PRICE_MISMATCH, Reason.TIMESTAMP_DRIFT


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (SeverityRow(LOW), True),
        (SeverityRow(LOW, DRIFT), True),
        (SeverityRow(LOW, Reason.TICKER_MISMATCH), False),
        (SeverityRow(LOW, currency="USD"), True),
        (SeverityRow(LOW, currency="EUR"), False),
        (SeverityRow(LOW, stake_at_least=D(50), currency="USD"), True),
        (SeverityRow(LOW, stake_at_least=D("50.01"), currency="USD"), False),
        (SeverityRow(LOW, stake_below=D("50.01"), currency="USD"), True),
        (SeverityRow(LOW, stake_below=D(50), currency="USD"), False),
        (SeverityRow(LOW, stake_at_least=D(50), stake_below=D(51), currency="USD"), True),
        (SeverityRow(LOW, stake_at_least=D(51), stake_below=D(52), currency="USD"), False),
        (SeverityRow(LOW, stake_at_least=D(50), currency="EUR"), False),
    ],
)
def test_a_row_fits_a_reason_a_currency_and_a_stake(row: SeverityRow, fits: bool) -> None:
    assert row.fits((PRICE, DRIFT), Stake(D(50), "USD")) is fits


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (SeverityRow(LOW), True),
        (SeverityRow(LOW, stake_at_least=D(0), currency="USD"), False),
        (SeverityRow(LOW, stake_below=D(9), currency="USD"), False),
    ],
)
def test_a_stake_that_is_unknown_fits_no_amount(row: SeverityRow, fits: bool) -> None:
    assert row.fits((PRICE,), Stake(None, "USD")) is fits


@pytest.mark.parametrize(
    ("table", "severity", "escalation"),
    [
        ((), MEDIUM, None),
        ((SeverityRow(LOW),), LOW, None),
        ((SeverityRow(LOW, PRICE), SeverityRow(CRITICAL)), CRITICAL, None),
        ((SeverityRow(LOW), SeverityRow(CRITICAL)), LOW, None),
        ((SeverityRow(LOW), SeverityRow(HIGH, open_hours=24)), LOW, (24, HIGH)),
        ((SeverityRow(HIGH, open_hours=24), SeverityRow(MEDIUM, open_hours=4), SeverityRow(LOW)), LOW, (4, MEDIUM)),
        ((SeverityRow(LOW), SeverityRow(HIGH, open_hours=4), SeverityRow(CRITICAL, open_hours=4)), LOW, (4, CRITICAL)),
        ((SeverityRow(HIGH), SeverityRow(HIGH, open_hours=4), SeverityRow(LOW, open_hours=4)), HIGH, None),
        ((SeverityRow(LOW), SeverityRow(HIGH, PRICE, open_hours=4)), LOW, None),
        ((SeverityRow(LOW), SeverityRow(HIGH, past_cut_off=True)), LOW, (None, HIGH)),
        ((SeverityRow(HIGH, past_cut_off=True), SeverityRow(CRITICAL, past_cut_off=True)), MEDIUM, (None, CRITICAL)),
    ],
)
def test_the_first_row_that_fits_decides_and_the_earliest_that_is_more_urgent_follows(
    table: tuple[SeverityRow, ...], severity: Severity, escalation: tuple[int | None, Severity] | None
) -> None:
    wanted = None if escalation is None else Escalation(*escalation)
    assert urgency(table, (DRIFT,), Stake(D(50), "USD")) == Urgency(severity, wanted)


def test_a_break_without_a_known_reason_is_critical() -> None:
    assert urgency((), (), Stake(None)) == Urgency(CRITICAL, None)


NO_NUMBER = "its stake is not a number of zero or more"
NO_CURRENCY = "it has a stake without a currency: amounts of different currencies are not compared"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (SeverityRow(LOW), None),
        (SeverityRow(LOW, PRICE, D(0), D("0.01"), "USD", 1), None),
        (SeverityRow(LOW, currency="GBp", open_hours=LONGEST_HOURS), None),
        (SeverityRow(LOW, stake_at_least=D("-0.01"), currency="USD"), NO_NUMBER),
        (SeverityRow(LOW, stake_below=D(-1), currency="USD"), NO_NUMBER),
        (SeverityRow(LOW, stake_at_least=D("nan"), currency="USD"), NO_NUMBER),
        (SeverityRow(LOW, stake_below=D("inf"), currency="USD"), NO_NUMBER),
        (SeverityRow(LOW, stake_at_least=D(5)), NO_CURRENCY),
        (SeverityRow(LOW, stake_below=D(5)), NO_CURRENCY),
        (SeverityRow(LOW, currency="usd"), "currency is 'usd': write USD"),
        (SeverityRow(LOW, Reason.GROUP_PENDING), "no break has the reason GROUP_PENDING"),
        (
            SeverityRow(LOW, stake_at_least=D(9), stake_below=D(9), currency="USD"),
            "no stake is at least 9 and below 9",
        ),
        (
            SeverityRow(LOW, stake_at_least=D(9), stake_below=D(8), currency="USD"),
            "no stake is at least 9 and below 8",
        ),
        (SeverityRow(LOW, open_hours=0), "open_hours is 0: write 1 or more"),
        (SeverityRow(LOW, open_hours=1, past_cut_off=True), "it has open_hours and past_cut_off: write one of them"),
        (
            SeverityRow(LOW, past_cut_off=True),
            "it has past_cut_off, and there is no cut-off: write cut_off under [calendar]",
        ),
        (
            SeverityRow(LOW, open_hours=LONGEST_HOURS + 1),
            "open_hours is 87601: write 87600 or less, ten years",
        ),
    ],
)
def test_what_is_wrong_with_a_row(row: SeverityRow, text: str | None) -> None:
    assert problem(row) == text


def test_a_file_that_names_no_cut_off_has_the_hash_it_had_before_there_was_one() -> None:
    text = """
        name = "desk"
        [calendar]
        zone = "UTC"
        opens = "08:00"
        closes = "18:00"
        [[severity]]
        open_hours = 24
        severity = "critical"
        [checks.pnl]
        basis = "gross"
        [[override]]
        ticker = "T"
        checks.price.tolerance.absolute = 1
    """
    assert parse_rules(text).stamp().sha256 == "7c4be0a91180fff52afeab8f079d6a87ed636387077665e232d591c08ca6a660"
