"""The timestamp check, in whole nanoseconds. Source: DOMAIN.md 5.2, Timestamp."""

import pytest
from legs import SECOND_NS, ours, theirs

from traderecon.records import Check, Outcome, Reason, Source
from traderecon.rules import Bound, Precision, Timestamp

LIMIT_NS = 100_000_000
FOUNDING = Timestamp(tolerance_ns=LIMIT_NS)
STRICT = Timestamp(tolerance_ns=LIMIT_NS, bound=Bound.STRICT)
AWARE = Timestamp(tolerance_ns=LIMIT_NS, precision=Precision.GRANULARITY_AWARE)


def check(rule: Timestamp, ours_ns: int, theirs_ns: int, *, ours_digits: int = 9, theirs_digits: int = 9) -> Check:
    execution = ours(timestamp_ns=SECOND_NS + ours_ns, granularity=ours_digits)
    confirmation = theirs(timestamp_ns=SECOND_NS + theirs_ns, granularity=theirs_digits)
    return rule.check(execution, confirmation, None)


def test_the_same_instant_passes() -> None:
    assert check(FOUNDING, 0, 0, theirs_digits=3) == Check(
        "timestamp", Reason.TIMESTAMP_DRIFT, Outcome.PASS, SECOND_NS, SECOND_NS, 0, LIMIT_NS, ""
    )


def test_the_check_has_the_size_of_the_drift() -> None:
    later = SECOND_NS + LIMIT_NS + 1
    assert check(FOUNDING, 0, LIMIT_NS + 1) == Check(
        "timestamp", Reason.TIMESTAMP_DRIFT, Outcome.FAIL, SECOND_NS, later, LIMIT_NS + 1, LIMIT_NS, ""
    )


@pytest.mark.parametrize(
    ("drift_ns", "inclusive", "strict"),
    [
        (0, "PASS", "PASS"),
        (1, "WITHIN_TOLERANCE", "WITHIN_TOLERANCE"),
        (LIMIT_NS - 1, "WITHIN_TOLERANCE", "WITHIN_TOLERANCE"),
        (LIMIT_NS, "WITHIN_TOLERANCE", "FAIL"),
        (LIMIT_NS + 1, "FAIL", "FAIL"),
    ],
)
def test_the_bound_in_either_direction(drift_ns: int, inclusive: str, strict: str) -> None:
    for rule, outcome in ((FOUNDING, inclusive), (STRICT, strict)):
        assert check(rule, 0, drift_ns).outcome == outcome
        assert check(rule, drift_ns, 0).outcome == outcome


def test_no_tolerance_at_all() -> None:
    for bound in Bound:
        rule = Timestamp(tolerance_ns=0, bound=bound)
        assert check(rule, 0, 0).outcome is Outcome.PASS
        assert check(rule, 0, 1).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("fine_ns", "coarse_digits", "fine_digits", "drift_ns", "outcome"),
    [
        # A second without fraction digits, against milliseconds: it covers .000 to .999.
        (0, 0, 3, 0, "PASS"),
        (700_000_000, 0, 3, 0, "PASS"),
        (999_000_000, 0, 3, 0, "PASS"),
        (1_000_000_000, 0, 3, 1_000_000, "WITHIN_TOLERANCE"),
        (1_099_000_000, 0, 3, 100_000_000, "WITHIN_TOLERANCE"),
        (1_100_000_000, 0, 3, 101_000_000, "FAIL"),
        (-1_000_000, 0, 3, 1_000_000, "WITHIN_TOLERANCE"),
        (-100_000_000, 0, 3, 100_000_000, "WITHIN_TOLERANCE"),
        (-101_000_000, 0, 3, 101_000_000, "FAIL"),
        # Against nanoseconds it covers .000000000 to .999999999.
        (999_999_999, 0, 9, 0, "PASS"),
        (1_000_000_000, 0, 9, 1, "WITHIN_TOLERANCE"),
        (1_099_999_999, 0, 9, 100_000_000, "WITHIN_TOLERANCE"),
        (1_100_000_000, 0, 9, 100_000_001, "FAIL"),
        # A millisecond against microseconds.
        (999_000, 3, 6, 0, "PASS"),
        (1_000_000, 3, 6, 1_000, "WITHIN_TOLERANCE"),
        # Equally precise: nothing is covered.
        (1_000_000_000, 0, 0, 1_000_000_000, "FAIL"),
        (100_000_000, 9, 9, 100_000_000, "WITHIN_TOLERANCE"),
        (100_000_001, 9, 9, 100_000_001, "FAIL"),
    ],
)
def test_a_coarse_timestamp_may_be_any_moment_of_its_unit(
    fine_ns: int, coarse_digits: int, fine_digits: int, drift_ns: int, outcome: str
) -> None:
    here = check(AWARE, 0, fine_ns, ours_digits=coarse_digits, theirs_digits=fine_digits)
    there = check(AWARE, fine_ns, 0, ours_digits=fine_digits, theirs_digits=coarse_digits)
    assert here == Check(
        "timestamp", Reason.TIMESTAMP_DRIFT, Outcome(outcome), SECOND_NS, SECOND_NS + fine_ns, drift_ns, LIMIT_NS, ""
    )
    assert (there.outcome, there.difference) == (here.outcome, here.difference)


def test_unless_the_rules_say_exact() -> None:
    exact = check(FOUNDING, 0, 700_000_000, ours_digits=0, theirs_digits=3)
    assert (exact.outcome, exact.difference) == (Outcome.FAIL, 700_000_000)


def test_the_operands_it_reads() -> None:
    assert FOUNDING.operands == {(Source.EXECUTIONS, "timestamp_ns"), (Source.CONFIRMATIONS, "timestamp_ns")}
    assert (FOUNDING.bound, FOUNDING.precision) == (Bound.INCLUSIVE, Precision.EXACT)


def test_names_in_a_rules_file() -> None:
    assert [str(precision) for precision in Precision] == ["exact", "granularity_aware"]
