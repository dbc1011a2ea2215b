"""The registry: every reason is described, every code is its own name."""

from hashlib import sha256
from pathlib import Path

import pytest

import traderecon
from traderecon.records import REASON_INFO, Hint, Reason, ReasonInfo, RejectCode, Severity
from traderecon.records.codes import GIVEN, WAITING
from traderecon.records.formats import NEWEST


@pytest.mark.parametrize("codes", [Reason, Hint, RejectCode])
def test_a_code_is_its_own_name(codes: type[Reason] | type[Hint] | type[RejectCode]) -> None:
    assert [code.value for code in codes] == [code.name for code in codes]


def test_every_code_is_unique() -> None:
    names = [code.value for codes in (Reason, Hint, RejectCode) for code in codes]
    # A field that is missing rejects a record; in a snapshot it is a break, where the rules say so (DOMAIN.md D18).
    # A cancel that several trades may be about is a break of each; a snapshot is only not compared (DOMAIN.md E20).
    assert {name for name in names if names.count(name) > 1} == {"FIELD_MISSING", "KEY_AMBIGUOUS"}


def test_a_new_reason_comes_with_a_new_format() -> None:
    """A sink refuses (78) a format that it does not know; of a reason that it does not know it makes a dead letter."""
    codes = sha256(",".join(sorted(Reason)).encode()).hexdigest()[:12]
    assert (NEWEST, codes) == (6, "2cf99b2da5ed"), (
        "raise NEWEST (records/formats.py); results with the new code have it"
    )


def test_a_reason_is_offered_if_something_gives_it() -> None:
    package = Path(traderecon.__file__).parent
    code = "".join(path.read_text() for path in package.rglob("*.py") if path.name != "codes.py")
    assert {*GIVEN, *WAITING} == {reason for reason in Reason if f"Reason.{reason}" in code}


def test_every_reason_is_described() -> None:
    assert set(REASON_INFO) == set(Reason)
    for info in REASON_INFO.values():
        assert info.meaning
        assert len(info.iso_code) == 4


def test_stable_reason_codes() -> None:
    assert REASON_INFO[Reason.MISSING_CONFIRMATION] == ReasonInfo(
        Severity.HIGH, 0, None, "CMIS", "no confirmation within the grace period"
    )
    assert REASON_INFO[Reason.QUANTITY_MISMATCH] == ReasonInfo(Severity.HIGH, 4, 15, "DQUA", "the quantities differ")
    critical = {reason for reason, info in REASON_INFO.items() if info.severity is Severity.CRITICAL}
    assert critical == {"MISSING_EXECUTION", "TICKER_MISMATCH", "SIDE_MISMATCH", "CURRENCY_MISMATCH"}


def test_the_most_urgent_comes_first() -> None:
    assert [str(severity) for severity in Severity] == ["critical", "high", "medium", "low"]
