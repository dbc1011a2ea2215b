"""Transactions of producers: one that stays open holds graces back, is named, and loses nothing when it ends."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from broker.kafka_server import Kafka
from pipeline.trades import execution
from pipeline_case import Installation
from tiers import nightly_but

TRADES = 20
HELD_S = 12
"""The log's time goes on past every grace, and past what makes a transaction an incident."""


async def hold_open(address: str, topic: str, values: list[bytes], ending: Any) -> None:
    """Send values in one transaction, and end it as ``ending`` says when it is through."""
    producer = AIOKafkaProducer(
        bootstrap_servers=address, transactional_id=f"hangs-{topic}", transaction_timeout_ms=600_000
    )
    async with producer:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
        commit = await asyncio.to_thread(ending)
        await (producer.commit_transaction() if commit else producer.abort_transaction())


@pytest.mark.matrix("B14")
@pytest.mark.installation(grace_seconds=2)
@pytest.mark.parametrize("commit", nightly_but(False, [True, False]))
def test_a_transaction_left_open_ends_no_grace_behind_it(
    kafka: Kafka, installation: Installation, commit: bool
) -> None:
    worker, topics = installation.start_ready(), installation.topics
    confirmations = [execution(number) for number in range(TRADES)]

    def meanwhile() -> bool:
        # Behind the open transaction, and of itself ordinary: it cannot be read either.
        installation.append(topics.broker_confirmations, confirmations)
        installation.append(topics.executions, confirmations, partition=1)
        until_s = time.time() + HELD_S + installation.grace_s
        # Other partitions go on, and so does the log's time.
        installation.until(lambda: send_more(installation) and time.time() > until_s, "the log's time goes on")
        assert installation.one("SELECT count(*) FROM results WHERE state = 'UNMATCHED'") == 0
        assert installation.one("SELECT sum(json_extract(pending, '$.confirmation')) FROM standings") == TRADES + 2
        installation.until(lambda: worker.metric('traderecon_incidents_open{kind="open_transaction"}') == 1, "named")
        lag = f'traderecon_consumer_lag_messages{{partition="0",topic="{topics.broker_confirmations}"}}'
        installation.until(lambda: worker.metric(lag) == 2 + TRADES, "what cannot be read is behind")
        assert f"{topics.broker_confirmations}[0] has an open transaction at offset 0, since " in worker.log
        told = installation.run("doctor", "--json").stdout
        assert f"{topics.broker_confirmations}[0] has an open transaction at offset 0" in told
        assert f"{topics.broker_confirmations}[0] has an open transaction" in worker.get("/status").decode()
        return commit

    other = [execution(900), execution(901)]
    installation.append(topics.executions, other, partition=2)
    asyncio.run(hold_open(kafka.address, topics.broker_confirmations, other, meanwhile))
    installation.until_decided()
    assert installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") == TRADES + (2 if commit else 0)
    found = {row[0] for row in installation.rows("SELECT trade_id FROM result_history WHERE state = 'UNMATCHED'")}
    assert found == (set() if commit else {"G900", "G901"})
    installation.until(lambda: worker.metric('traderecon_incidents_open{kind="open_transaction"}') == 0, "it is over")
    assert worker.leave() == 0


def send_more(installation: Installation) -> bool:
    """One more snapshot, that nobody waits for."""
    value = b'{"trade_id": "P1", "pnl_impact": "1", "commission": "1"}'
    installation.append(installation.topics.pnl_snapshot, [value], partition=3)
    return True
