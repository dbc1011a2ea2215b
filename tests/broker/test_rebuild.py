"""The database made anew from a Kafka's topics, on the connection that every command has."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit.sink_installation import SinkInstallation, halves, publish
from audit.tamperings import outputs_of
from broker.kafka_server import Kafka

from traderecon.exit_codes import Exit

PREFIX = "rebuilt."
TRADES = 120


@pytest.fixture
def kept(kafka: Kafka, tmp_path: Path) -> Iterator[SinkInstallation]:
    installation = SinkInstallation(tmp_path, f"kafka://{kafka.address}", topic_prefix=PREFIX)
    yield installation
    installation.close()


def test_the_topics_of_a_kafka_make_the_same_database(kept: SinkInstallation, tmp_path: Path) -> None:
    first, later = halves(outputs_of(TRADES, 8))
    asyncio.run(publish(kept.broker, kept.data_dir, first, PREFIX))
    kept.store()
    asyncio.run(publish(kept.broker, kept.data_dir, later, PREFIX))
    made = kept.asked("db", "rebuild", "--out", tmp_path / "new.db", "--json")
    assert made.returncode == Exit.OK, made.stderr
    told = json.loads(made.stdout)
    assert (told["same"], told["aside"]) == (True, 0)
    assert len(told["compared"]) == 8
    kept.store()
    rows, old = kept.stored_rows(), kept.verified()
    assert old["intact"]
    assert old["checkpoints"] > 0
    kept.restore(tmp_path / "new.db")
    rows.pop("database_ids")  # a database gets one with its first sink
    made_anew = kept.stored_rows()
    assert made_anew.pop("database_ids") == []
    assert made_anew == rows
    assert kept.verified()["intact"]
