"""One Kafka for all broker tests of a pytest process; on it, topics of its own for each test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker.kafka_cluster import Cluster
from broker.kafka_server import Kafka
from broker.stage import Stage
from pipeline_case import Installation

from traderecon.topics import topics


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A node of this pytest process, started by the first test that asks for it."""
    node = Kafka(tmp_path_factory.mktemp("kafka"))
    yield node
    node.stop()


@pytest.fixture
def kafka(node: Kafka) -> Iterator[Kafka]:
    """The node, running; a test that failed may have left it killed or paused."""
    if not node.running:
        node.start()
    yield node
    if node.running:
        node.resume()
        node.settle()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of the test's own, running."""
    cluster = Cluster(tmp_path / "cluster")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def stage(kafka: Kafka, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Topics and workers named after the test; what its module calls ``stock`` and ``ours`` runs in the workers."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    stage = Stage(kafka, f"broker.{request.path.stem}", name, tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def installation(kafka: Kafka, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """Topics of this test's own; nothing runs. ``pytest.mark.installation`` says what of it is not as usual.

    Its ``inputs``: how many partitions each input has, where somebody else makes them, with ``input_config``; the rest
    are settings.
    """
    marker = request.node.get_closest_marker("installation")
    settings = dict(marker.kwargs) if marker else {}
    inputs, config = settings.pop("inputs", ()), settings.pop("input_config", {})
    prefix = f"{re.sub('[^a-z0-9]+', '-', request.node.name.removeprefix('test_'))[:100]}."
    for name, partitions in zip(topics(prefix).inputs, inputs, strict=bool(inputs)):
        kafka.create_topic(name, partitions, {"message.timestamp.type": "LogAppendTime", **config})
    installation = Installation(tmp_path, f"kafka://{kafka.address}", topic_prefix=prefix, **settings)
    installation.create_topics()
    yield installation
    installation.close()
