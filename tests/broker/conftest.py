"""One Kafka for all broker tests of a pytest process, and a stage on it for each finding."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from broker.kafka_server import Kafka
from broker.stage import Stage


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
def stage(kafka: Kafka, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Topics and workers named after the test; what its module calls ``stock`` and ``ours`` runs in the workers."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    stage = Stage(kafka, f"broker.{request.path.stem}", name, tmp_path)
    yield stage
    stage.close()
