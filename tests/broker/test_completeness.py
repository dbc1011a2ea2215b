"""On Kafka: what transactions took back, and their markers, are accounted for; a dead letter is sent again."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from broker.kafka_server import Kafka
from click.testing import CliRunner
from pipeline_case import Installation

from traderecon.cli.dead_letters import dead_letters

TRANSACTIONS = 20
ABORTED = 4


async def transactions(address: str, topic: str) -> None:
    """One record each, no leg; every fifth one is taken back, the last one too."""
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic) as producer:
        for number in range(TRANSACTIONS):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"no leg %d" % number, key=b"k")
            if number % 5 == 4:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()


def book(installation: Installation) -> dict[str, int]:
    """The ledger's row of the executions."""
    names = "start, next_offset, legs, rejected, control, unaccounted"
    rows = installation.rows(f"SELECT {names} FROM ledger WHERE topic = ?", installation.topics.executions)
    return dict(zip(names.split(", "), rows[0], strict=True)) if rows else {"next_offset": 0}


@pytest.mark.installation(topic_partitions=1)
def test_offsets_that_hold_no_record_are_accounted_for_and_a_letter_is_replayed(
    kafka: Kafka, installation: Installation
) -> None:
    worker, executions = installation.start_ready(), installation.topics.executions
    asyncio.run(transactions(kafka.address, executions))
    end = 2 * TRANSACTIONS  # a record and a marker each; the coordinator writes the last marker after it has answered
    installation.until(lambda: kafka.end(executions, 0) == end, "the last marker is written")
    installation.until(lambda: book(installation)["next_offset"] == end, "every offset is accounted for, markers too")
    rejected = TRANSACTIONS - ABORTED
    assert book(installation) == {
        "start": 0,
        "next_offset": end,
        "legs": 0,
        "rejected": rejected,
        "control": end - rejected,
        "unaccounted": 0,
    }
    assert installation.one("SELECT count(*) FROM dead_letters") == rejected
    group = f"{installation.prefix}traderecon-intake"
    installation.until(lambda: kafka.committed(group, executions, 0) == end, "all is committed")
    assert worker.metric("traderecon_unaccounted_offsets") == 0

    letter = f"{executions}/0/0"
    done = CliRunner(env=installation.environment).invoke(dead_letters, ["replay", letter, "--json"])
    assert done.exit_code == 0, done.stderr
    assert [one["attempt"] for one in json.loads(done.stdout)] == [1]
    found = "SELECT source_offset, sha256 FROM dead_letters WHERE replay_of = ?"
    installation.until(lambda: installation.rows(found, letter), "it is a dead letter again, and says of which")
    original = installation.rows("SELECT sha256 FROM dead_letters WHERE source_offset = 0")
    assert installation.rows(found, letter) == [(end, *original[0])]
    installation.until(lambda: installation.rows("SELECT 1 FROM dead_letter_actions"), "the sink knows of the replay")
