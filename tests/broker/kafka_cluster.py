"""A real Kafka of three brokers for the tests: each its own process, controller and broker in one, on loopback.

    Cluster(directory) -> start -> nodes[leader of a partition].kill(), start again | stop

Topics get three copies of which two must be in sync, as in production, unless they are placed by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiokafka.protocol.admin import CreateTopicsRequest_v3
from aiokafka.protocol.metadata import MetadataRequest_v1
from broker.kafka_server import Died, Kafka, new_cluster_id
from broker.kafka_topics import ANSWER_MS
from broker.kafka_wire import accepted, ask
from broker.waiting import until

NODES = (1, 2, 3)
START_S = 180
UNSET = -1

AS_IN_PRODUCTION = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.num.partitions": "3",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
PATIENT = {
    # Three JVMs share two processors: one that is slow is not dead.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "1500",
    "controller.quorum.fetch.timeout.ms": "2500",
}


class Cluster:
    """Three nodes that keep everything in ``directory``; numbered from 1."""

    def __init__(self, directory: Path) -> None:
        self.nodes = {number: Kafka(directory / str(number)) for number in NODES}
        cluster_id = new_cluster_id()
        voters = ",".join(f"{number}@{node.controller}" for number, node in self.nodes.items())
        for number, node in self.nodes.items():
            own = {"node.id": str(number), "controller.quorum.voters": voters}
            node.configure({**AS_IN_PRODUCTION, **PATIENT, **own}, cluster_id=cluster_id)

    @property
    def broker(self) -> str:
        """All brokers, as ``TRADERECON_BROKER`` takes them."""
        return "kafka://" + ",".join(node.address for node in self.nodes.values())

    @property
    def running(self) -> list[Kafka]:
        """The nodes that were started, and not killed."""
        return [node for node in self.nodes.values() if node.running]

    def start(self) -> None:
        """Start every node that does not run, and wait until each of them knows all."""
        for node in self.nodes.values():
            if not node.running:
                node.launch()
        until(self._complete, "every node knows every other", START_S)

    def stop(self) -> None:
        """Kill every node."""
        for node in self.running:
            node.kill()

    def leader(self, topic: str, partition: int = 0) -> Kafka:
        """The node that leads a partition. StopIteration where none does."""
        ((_, _, _, partitions),) = self._metadata([topic]).topics
        return self.nodes[next(leader for _, number, leader, *_ in partitions if number == partition and leader > 0)]

    def copies(self, topic: str) -> dict[int, tuple[int, int]]:
        """How many copies each partition of a topic has, and how many of them are in sync."""
        ((_, _, _, partitions),) = self._metadata([topic]).topics
        return {number: (len(replicas), len(isr)) for _, number, _, replicas, isr in partitions}

    def in_sync(self, topics: Iterable[str]) -> bool:
        """Whether every copy of these topics is in sync."""
        return all(count == in_sync for topic in topics for count, in_sync in self.copies(topic).values())

    def place(self, topic: str, replicas: Sequence[Sequence[int]], config: Mapping[str, str] | None = None) -> None:
        """Make a topic whose partitions have their replicas on these nodes, the leader first. Raises Refused."""
        placed = [(partition, list(nodes)) for partition, nodes in enumerate(replicas)]
        request = CreateTopicsRequest_v3(
            [(topic, UNSET, UNSET, placed, list((config or {}).items()))], ANSWER_MS, False
        )

        node = self.running[0]
        (answer,) = ask(node.address, request).topic_errors
        accepted(answer[1], f"place topic {topic}", answer[2])
        until(lambda: node.partitions(topic) == len(replicas), f"topic {topic} has its leaders")

    def _metadata(self, topics: list[str]) -> Any:
        for node in self.running:
            try:
                return ask(node.address, MetadataRequest_v1(topics))
            except OSError:
                continue
        raise Died("no node answers")

    def _complete(self) -> bool:
        if True not in [node.answers() for node in self.running]:  # one of them coordinates
            return False
        try:
            known = [len(ask(node.address, MetadataRequest_v1([])).brokers) for node in self.running]
        except OSError:
            return False
        return min(known) >= len(self.running)
