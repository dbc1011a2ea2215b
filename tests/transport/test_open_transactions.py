"""Open transactions: which ones hang and which are only in progress; how incidents open and end."""

import logging

import pytest
from faust.types import TP

from traderecon.transport.incidents import Incidents, Kind
from traderecon.transport.open_transactions import HANGS_S, Hanging, OpenTransactions

A, B = TP("executions", 0), TP("executions", 1)


def test_a_last_stable_offset_that_stands_still_below_the_high_watermark_hangs() -> None:
    seen = OpenTransactions()
    assert not seen.observe({A: 5, B: 7}, {A: 9, B: 7}, 100.0)
    assert not seen.observe({A: 5, B: 7}, {A: 12, B: 7}, 100.0 + HANGS_S - 1)
    assert seen.observe({A: 5, B: 7}, {A: 12, B: 7}, 100.0 + HANGS_S) == {A: Hanging(5, 100.0, 7)}
    assert not seen.observe({A: 12, B: 7}, {A: 12, B: 7}, 200.0)
    assert not seen.observe({A: 12}, {A: 13}, 300.0)


def test_transactions_one_after_the_other_do_not_hang() -> None:
    seen = OpenTransactions()
    for number in range(100):
        assert not seen.observe({A: number}, {A: number + 1}, number * HANGS_S * 0.9)


def test_a_partition_without_an_answer_keeps_its_observations() -> None:
    seen = OpenTransactions()
    seen.observe({A: 5}, {A: 9}, 0.0)
    assert not seen.observe({}, {A: 9}, HANGS_S)
    assert seen.observe({A: 5}, {A: 9}, HANGS_S) == {A: Hanging(5, 0.0, 4)}


def test_an_incident_is_logged_when_it_opens_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    incidents = Incidents("intake")
    with caplog.at_level(logging.WARNING):
        incidents.report(Kind.NO_LEADER, {"a[0]": "a[0] has no leader"})
        incidents.report(Kind.NO_LEADER, {"a[0]": "a[0] has no leader"})
        incidents.report(Kind.OPEN_TRANSACTION, {})
        assert incidents.open(Kind.NO_LEADER) == {"a[0]": "a[0] has no leader"}
        assert not incidents.open(Kind.OPEN_TRANSACTION)
        incidents.report(Kind.NO_LEADER, {})
    assert not incidents.open(Kind.NO_LEADER)
    assert [record.getMessage() for record in caplog.records] == [
        "intake: incident no_leader: a[0] has no leader",
        "intake: incident no_leader is over: a[0]",
    ]
