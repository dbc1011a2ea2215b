"""Inputs with their producers' times (CreateTime): no grace, and no retention, ends because of one."""

import asyncio
import json
import time

import pytest
from broker.waiting import until
from pipeline_case import READY_S, Installation
from pipeline_truth import assert_history_holds
from tiers import nightly_but

from traderecon.client.connection import connect
from traderecon.records import RejectCode
from traderecon.transport import Outgoing

DAY_MS = 86_400_000
TIMES_MS = (-1, 0, 1, 253_402_300_800_000, 2**62)
"""None, long ago, after the year 9999: a producer may give a record any of them."""
OF_PRODUCERS = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**63 - 1)}
GRACE_S = 30
TERMS = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
IMPACT = {"pnl_impact": "19050", "commission": "0"}
pytestmark = pytest.mark.installation(inputs=(2, 2, 2), input_config=OF_PRODUCERS)


def leg(trade_id: str, topic: str) -> bytes:
    return json.dumps({"trade_id": trade_id, **(IMPACT if topic.endswith("pnl_snapshot") else TERMS)}).encode()


def send(installation: Installation, topic: str, rows: list[tuple[bytes, int]]) -> None:
    """Values, each with a producer's time in milliseconds since 1970."""

    async def sending() -> None:
        async with connect(installation.broker, installation.data_dir) as client:
            await client.append(topic, 0, [Outgoing(b"T", value, time_ms) for value, time_ms in rows])

    asyncio.run(sending())


def test_a_record_may_have_any_time(installation: Installation) -> None:
    """What is no leg is a dead letter all the same, what is one is reconciled; both came when they were read."""
    began_s = time.time()
    worker = installation.start_ready()
    for topic in installation.topics.inputs:
        of_trades = [(leg(f"N{number}", topic), time_ms) for number, time_ms in enumerate(TIMES_MS)]
        send(installation, topic, [pair for row in of_trades for pair in ((b"{bad", row[1]), row)])
    installation.until_decided()
    states = installation.rows("SELECT trade_id, state, version FROM results ORDER BY trade_id")
    assert states == [(f"N{number}", "MATCHED", 3) for number in range(len(TIMES_MS))]
    executions = installation.topics.executions
    letters = installation.rows("SELECT code, received_at FROM dead_letters WHERE source_topic = ?", executions)
    assert [code for code, _ in letters] == [RejectCode.MALFORMED_JSON] * len(TIMES_MS)
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began_s)), time.strftime("%Y-%m-%dU", time.gmtime())
    assert all(now[0] <= received_at < now[1] for _, received_at in letters)
    for path in ("/trades/N0", f"/trades/N{len(TIMES_MS) - 1}", "/dead-letters", "/status"):
        worker.get(path)
    assert_history_holds(installation)
    assert worker.leave() == 0


@pytest.mark.matrix("D2")
@pytest.mark.installation(inputs=(1, 1, 1), input_config=OF_PRODUCERS, grace_seconds=GRACE_S)
@pytest.mark.parametrize("began", nightly_but("on a new installation", ["on a new installation", "after a night"]))
def test_a_leg_with_an_old_producer_time_gets_the_full_grace(installation: Installation, began: str) -> None:
    """Neither the first watermark nor the first one after a pause decides its trade, or closes it."""
    if began == "after a night":  # nothing may be too old for it: a night here is as long as a grace
        worker = installation.start_ready()
        until(lambda: installation.watermark_s() > 0, "there is a watermark", READY_S)
        assert worker.leave() == 0
        left_s = installation.watermark_s()
        until(lambda: time.time() > left_s + 1.2 * GRACE_S, "a grace would be over", 2 * GRACE_S)
    old_ms = time.time_ns() // 1_000_000 - 400 * DAY_MS
    topics, started_s = installation.topics, time.time()
    send(installation, topics.executions, [(leg(trade_id, topics.executions), old_ms) for trade_id in ("T1", "T2")])
    installation.start_ready()
    until(lambda: installation.watermark_s() > started_s, "the watermark has moved on", GRACE_S / 2)
    assert installation.rows("SELECT trade_id FROM results") == []
    send(installation, topics.broker_confirmations, [(leg("T1", topics.broker_confirmations), old_ms)])
    installation.until(lambda: len(installation.rows("SELECT 1 FROM results")) == 2, "both are decided")
    found = installation.rows("SELECT trade_id, state, reasons, hints FROM results ORDER BY trade_id")
    assert [row[:3] for row in found] == [("T1", "MATCHED", "[]"), ("T2", "UNMATCHED", '["MISSING_CONFIRMATION"]')]
    assert not [row for row in found if "LATE" in row[3]]
    assert time.time() > started_s + GRACE_S
    assert [trade_id for (trade_id,) in installation.rows("SELECT trade_id FROM breaks")] == ["T2"]
