"""The bad inputs of docs/bad-input.md as a producer on Kafka can send them: any key, any headers, any size."""

import pytest
from bad_inputs import LARGE, assert_outcomes, sequences
from broker.kafka_server import Kafka
from confluent_kafka import Producer
from pipeline_case import Installation

SENT_S = 120
ROOM = 2 * LARGE


@pytest.mark.matrix("D4", "D5", "D6", "T5")
@pytest.mark.installation(inputs=(2, 2, 2), input_config={"max.message.bytes": str(ROOM)})
def test_every_bad_input_on_kafka_gives_the_outcome_of_the_table(kafka: Kafka, installation: Installation) -> None:
    worker = installation.start_ready()
    producer = Producer({"bootstrap.servers": kafka.address, "message.max.bytes": ROOM, "linger.ms": 5})
    for topic, lines in sequences().items():
        for sent, _ in lines:
            producer.produce(installation.prefix + topic, sent.value, sent.key, partition=0, headers=list(sent.headers))
    assert producer.flush(SENT_S) == 0
    installation.until_decided()
    assert_outcomes(installation)
    assert worker.leave() == 0
