"""A Kafka of several nodes: the first is broker and controller, the others are brokers.

    Cluster(directory, nodes) -> start -> brokers[1].kill(), brokers[1].start() -> stop

Topics are placed by hand, so that a test knows what a broker takes away with it.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiokafka.protocol.admin import CreateTopicsRequest_v3
from aiokafka.protocol.metadata import MetadataRequest_v1
from broker.kafka_server import STOP_S, Died, Kafka
from broker.kafka_topics import ANSWER_MS
from broker.kafka_wire import accepted, ask
from broker.waiting import until

UNSET = -1


class Broker(Kafka):
    """One node more in the cluster of a first one."""

    def __init__(self, directory: Path, number: int, first: Kafka, cluster_id: str) -> None:
        super().__init__(directory)
        self._number, self._first, self._cluster_id = number, first, cluster_id
        port = self.address.rsplit(":", 1)[1]
        changed = {
            "process.roles": "broker",
            "node.id": str(number),
            "controller.quorum.voters": property_of(first, "controller.quorum.voters"),
            "listeners": f"CLIENT://127.0.0.1:{port}",
        }
        set_properties(self, changed)

    def start(self) -> None:
        """Start the node and wait until it is a broker of the cluster."""
        format_log(self, self._cluster_id)
        self._jvm = self._run("kafka.Kafka", str(self._properties))
        until(self._joined, f"the broker answers at {self.address}; its log is {self._log}")

    def _joined(self) -> bool:
        """Whether the node answers, and is a broker that the cluster knows."""
        if (status := self._running().poll()) is not None:
            raise Died(f"Kafka ended with {status}; {self._last_words()}")
        try:
            ask(self.address, MetadataRequest_v1([]))
            return self._number in {broker[0] for broker in ask(self._first.address, MetadataRequest_v1([])).brokers}
        except OSError:
            return False


class Cluster:
    """Several nodes on the loopback interface, numbered from 1."""

    def __init__(self, directory: Path, nodes: int) -> None:
        cluster_id = "T" + secrets.token_urlsafe(16)[1:]
        first = Kafka(directory / "node-1")
        format_log(first, cluster_id)
        others = [Broker(directory / f"node-{number}", number, first, cluster_id) for number in range(2, nodes + 1)]
        self.brokers: Sequence[Kafka] = [first, *others]

    @property
    def first(self) -> Kafka:
        """Controller and coordinator, and the address to be given to clients."""
        return self.brokers[0]

    def start(self) -> None:
        """Start every node; the first one is alone while Kafka's own topics are made, and has them."""
        for broker in self.brokers:
            broker.start()

    def stop(self) -> None:
        """Kill every node."""
        for broker in reversed(self.brokers):
            broker.kill()

    def place(self, topic: str, replicas: Sequence[Sequence[int]], config: Mapping[str, str] | None = None) -> None:
        """Make a topic whose partitions have their replicas on these nodes, the leader first. Raises Refused."""
        placed = [(partition, list(nodes)) for partition, nodes in enumerate(replicas)]
        request = CreateTopicsRequest_v3(
            [(topic, UNSET, UNSET, placed, list((config or {}).items()))], ANSWER_MS, False
        )
        (answer,) = ask(self.first.address, request).topic_errors
        accepted(answer[1], f"place topic {topic}", answer[2])
        until(lambda: self.first.partitions(topic) == len(replicas), f"topic {topic} has its leaders")


def property_of(kafka: Kafka, name: str) -> str:
    """A setting of a node."""
    lines = kafka._properties.read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def set_properties(kafka: Kafka, changed: Mapping[str, str]) -> None:
    """Change settings of a node that does not run."""
    lines = kafka._properties.read_text().splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in changed]
    kafka._properties.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in changed.items()), ""]))


def format_log(kafka: Kafka, cluster_id: str) -> None:
    """Make the directory of a node's log, once."""
    if not (kafka.directory / "log").exists():
        files = ("-t", cluster_id, "-c", str(kafka._properties))
        if status := kafka._run("kafka.tools.StorageTool", "format", *files).wait(STOP_S):
            raise Died(f"formatting ended with {status}; {kafka._last_words()}")
