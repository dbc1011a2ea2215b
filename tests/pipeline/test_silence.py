"""A feed that stops: the worker holds what waits for it, says so, and resolves it when the feed is back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline.trades import execution, matched_count
from pipeline_case import Installation

INCIDENT = 'traderecon_incidents_open{kind="source_silent"}'
HELD = 'traderecon_held_trades{held_by="broker_confirmations"}'
PAUSE_S = 0.5
"""Between two trades."""
GRACE_S, FLOOR_S, LIMIT_S = 6, 3, 40
STEADY, OUTAGE = 28, 40
"""Trades before and during the outage."""
UNMATCHED = "SELECT trade_id FROM results WHERE state = 'UNMATCHED' ORDER BY trade_id"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Installation]:
    """An installation that notices a silence within seconds."""
    installation = Installation(
        tmp_path,
        grace_seconds=GRACE_S,
        silence_floor_seconds=FLOOR_S,
        silence_limit_seconds=LIMIT_S,
        topic_partitions=2,
    )
    installation.create_topics()
    yield installation
    installation.close()


def test_a_feed_that_stops_is_one_incident_and_its_backlog_resolves_what_was_held(desk: Installation) -> None:
    worker = desk.start_ready()
    topics = desk.topics
    missing = {STEADY + 5}

    def trade(number: int, *, confirmed: bool) -> None:
        desk.append(topics.executions, [execution(number)])
        if confirmed:
            desk.append(topics.broker_confirmations, [execution(number)])
        time.sleep(PAUSE_S)

    for number in range(STEADY):
        trade(number, confirmed=True)
    for number in range(STEADY, STEADY + OUTAGE):
        trade(number, confirmed=False)
    desk.until(lambda: worker.metric(INCIDENT) == 1, "the silence is an incident", 30)
    desk.until(lambda: worker.metric(HELD) > 0, "trades are held", 30)
    assert "broker_confirmations has been silent since" in worker.get("/status").decode()
    assert desk.rows(UNMATCHED) == []
    late = [number for number in range(STEADY, STEADY + OUTAGE) if number not in missing]
    desk.append(topics.broker_confirmations, [execution(number) for number in late])
    desk.until(lambda: matched_count(desk) == STEADY + len(late), "the backlog has resolved what was held")
    desk.until(lambda: desk.rows(UNMATCHED), "the missing one is a break")
    assert desk.rows(UNMATCHED) == [(f"G{number}",) for number in missing]
    desk.until(lambda: worker.metric(INCIDENT) == 0, "the incident is over", 30)
    states = desk.rows("SELECT DISTINCT trade_id FROM result_history WHERE state <> 'MATCHED'")
    assert states == [(f"G{number}",) for number in missing]
