"""Legs of one version that contradict each other, and sides that come late: what the verdict says of them."""

import pytest
from legs import arrived, booked, ours, theirs

from traderecon.matching import judge_facts
from traderecon.records import Fact, Hint, Kind, Leg, Origin, Reason, Source
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules

OURS, THEIRS = Source.EXECUTIONS, Source.CONFIRMATIONS
CONFLICT, BROKERS = Reason.DUPLICATE_CONFLICT, Reason.MULTIPLE_CONFIRMATIONS
CANCEL = Kind.CANCEL
TWO_BROKERS = [theirs(broker="A"), theirs(broker="B")]
GRACE_NS = FOUNDING.grace_ns


@pytest.mark.parametrize(
    ("legs", "reasons", "contested"),
    [
        ([ours(), ours(price="191"), theirs()], [CONFLICT], [(OURS, "price")]),
        ([ours(), theirs(), theirs(price="191")], [CONFLICT], [(THEIRS, "price")]),
        ([ours(), *TWO_BROKERS], [BROKERS], [(THEIRS, "broker")]),
        ([ours(), *TWO_BROKERS, theirs(broker="C")], [BROKERS], [(THEIRS, "broker")]),
        (  # two brokers explain all that their confirmations contest
            [ours(), theirs(broker="A"), theirs(broker="B", price="191")],
            [BROKERS],
            [(THEIRS, "broker"), (THEIRS, "price")],
        ),
        (  # and nothing that the executions do
            [ours(), ours(price="191"), *TWO_BROKERS],
            [CONFLICT, BROKERS],
            [(THEIRS, "broker"), (OURS, "price")],
        ),
        (TWO_BROKERS, [Reason.MISSING_EXECUTION, BROKERS], [(THEIRS, "broker")]),
        ([ours(), ours(price="191")], [CONFLICT, Reason.MISSING_CONFIRMATION], [(OURS, "price")]),
        (
            [ours(), ours(price="191"), theirs(kind=CANCEL)],
            [Reason.CANCELLED_ONE_SIDE, CONFLICT],
            [(OURS, "price")],
        ),
        (  # what else a cancel says means nothing
            [ours(), ours(price="191"), theirs(kind=CANCEL, broker="A"), theirs(kind=CANCEL, broker="B")],
            [Reason.CANCELLED_ONE_SIDE, CONFLICT],
            [(OURS, "price")],
        ),
        ([ours(), theirs(), booked(), booked("1")], [CONFLICT], [(Source.PNL, "pnl_impact")]),
    ],
)
def test_who_contradicts_whom_in_what(
    legs: list[Leg], reasons: list[Reason], contested: list[tuple[Source, str]]
) -> None:
    verdict = judge_facts(arrived(*legs), FOREVER_NS, FOUNDING)
    assert (verdict.reasons, verdict.contested) == (tuple(reasons), tuple(contested))


def test_two_brokers_are_found_though_no_check_reads_the_broker() -> None:
    verdict = judge_facts(arrived(ours(), *TWO_BROKERS), FOREVER_NS, parse_rules('name = "x"\nchecks.broker = false'))
    assert (verdict.reasons, verdict.contested) == ((BROKERS,), ())


@pytest.mark.parametrize(
    ("first_ns", "second_ns", "grace_ns", "hints"),
    [
        (1, 1 + GRACE_NS, GRACE_NS, (Hint.LATE_CONFIRMATION,)),
        (1, GRACE_NS, GRACE_NS, ()),
        (0, GRACE_NS, GRACE_NS, ()),  # the line of a file has no time of receipt
        (5, 5, 0, ()),
        (5, 6, 0, (Hint.LATE_CONFIRMATION,)),
    ],
)
def test_late_is_what_comes_when_the_grace_is_over(
    first_ns: int, second_ns: int, grace_ns: int, hints: tuple[Hint, ...]
) -> None:
    facts = [Fact(ours(timestamp_ns=0), Origin("t", 0, 0, first_ns))]
    facts += [Fact(theirs(timestamp_ns=0), Origin("t", 0, 1, second_ns))]
    rules = parse_rules(f'name = "x"\ngrace_seconds = {grace_ns // 10**9}')
    assert judge_facts(facts, FOREVER_NS, rules).hints == hints
