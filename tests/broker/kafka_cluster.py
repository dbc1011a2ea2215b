"""A real Kafka of three brokers for the tests: each its own process, controller and broker in one, on loopback.

    Cluster(directory) -> start -> nodes[leader of a partition].kill(), start again | stop
    cluster.records, committed, create_topic, ...       as of one node: asked of who leads or coordinates at that moment

Topics get three copies of which two must be in sync, as in production, unless they are placed by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from aiokafka.protocol.admin import CreateTopicsRequest_v3
from aiokafka.protocol.coordination import FindCoordinatorRequest_v0
from aiokafka.protocol.metadata import MetadataRequest_v1
from broker.kafka_server import Kafka, new_cluster_id
from broker.kafka_topics import ANSWER_MS, Topics
from broker.kafka_wire import QUORUM_TOPIC, BrokerError, DescribeQuorum, accepted, ask
from broker.waiting import until

NODES = (1, 2, 3)
START_S = 180
ANSWER_S = 10
"""A node that starts takes connections before it answers: another one is asked then."""
KNOWN_FOR_S = 1.0
"""A leader is asked again within so long, without a look who it is: one that is none any more says so."""
IN_SYNC_RECORDS = 20
"""A controller is so far behind at most; its log gets two records a second when nothing happens."""
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


class Cluster(Topics):
    """Three nodes that keep everything in ``directory``; numbered from 1. Their addresses are one, with commas."""

    replication = len(NODES)

    def __init__(self, directory: Path) -> None:
        self.nodes = {number: Kafka(directory / str(number)) for number in NODES}
        super().__init__(",".join(node.address for node in self.nodes.values()))
        self.directory = directory
        self._answered = self.nodes[1]
        self._leaders: dict[str, tuple[float, dict[int, int]]] = {}
        cluster_id = new_cluster_id()
        voters = ",".join(f"{number}@{node.controller}" for number, node in self.nodes.items())
        for number, node in self.nodes.items():
            own = {"node.id": str(number), "controller.quorum.voters": voters}
            node.configure({**AS_IN_PRODUCTION, **PATIENT, **own}, cluster_id=cluster_id)

    @property
    def broker(self) -> str:
        """All brokers, as ``TRADERECON_BROKER`` takes them."""
        return f"kafka://{self.address}"

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

    def ask(self, request: Any) -> Any:
        """The answer of any node that runs, first of the one that answered last. Raises OSError where none does."""
        for node in sorted(self.running, key=lambda node: node is not self._answered):
            try:
                answer = ask(node.address, request, within_s=ANSWER_S)
            except OSError:
                continue
            self._answered = node
            return answer
        raise ConnectionError("no node answers")

    def ask_leader(self, topic: str, partition: int, request: Any) -> Any:
        """The answer of a partition's leader. Raises Refused where there is none, OSError where no node answers."""
        known_s, leaders = self._leaders.get(topic, (-inf, {}))
        if monotonic() - known_s > KNOWN_FOR_S:
            known_s, leaders = self._leaders[topic] = monotonic(), self._leaders_of(topic)
        return self._ask_node(self._led_by(topic, partition, leaders), request)

    def ask_coordinator(self, group: str, request: Any) -> Any:
        """The answer of a group's coordinator. Raises Refused where there is none, OSError where no node answers."""
        return self._ask_node(self.coordinator(group), request)

    def _leaders_of(self, topic: str) -> dict[int, int]:
        ((_, _, _, partitions),) = self.ask(MetadataRequest_v1([topic])).topics
        return {number: leader for code, number, leader, *_ in partitions if not code}

    def _led_by(self, topic: str, partition: int, leaders: Mapping[int, int]) -> Kafka:
        if (leader := leaders.get(partition)) not in self.nodes:
            raise BrokerError(f"{topic} {partition} has no leader")
        return self.nodes[leader]

    def _ask_node(self, node: Kafka, request: Any) -> Any:
        try:
            return ask(node.address, request)
        except OSError as error:  # it is dead, and the others do not know it yet
            raise BrokerError(f"the node in charge, {node.address}: {error}") from error

    def stop(self) -> None:
        """Kill every node."""
        for node in self.running:
            node.kill()

    def leader(self, topic: str, partition: int = 0) -> Kafka:
        """The node that leads a partition. Raises Refused where none does."""
        return self._led_by(topic, partition, self._leaders_of(topic))

    def coordinator(self, group: str) -> Kafka:
        """The node that coordinates a group. Raises Refused where none does."""
        answer = self.ask(FindCoordinatorRequest_v0(group))
        accepted(answer.error_code, f"coordinator of {group}")
        return self.nodes[answer.coordinator_id]

    def active_controller(self) -> int:
        """The number of the node whose controller leads the others. Raises Refused where none does."""
        return self._quorum()[0]

    def whole(self) -> bool:
        """Whether every node is up, takes every copy of every topic for in sync, and so are the controllers' logs."""
        if len(self.running) < len(NODES) or not all(map(self._sees_all_in_sync, self.running)):
            return False
        try:
            _, ends = self._quorum()
        except (OSError, BrokerError):
            return False
        return len(ends) == len(NODES) and max(ends) - min(ends) <= IN_SYNC_RECORDS

    def copies(self, topic: str) -> dict[int, tuple[int, int]]:
        """How many copies each partition of a topic has, and how many of them are in sync."""
        ((_, _, _, partitions),) = self.ask(MetadataRequest_v1([topic])).topics
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

    def _quorum(self) -> tuple[int, list[int]]:
        """The active controller, and the ends of all controllers' logs as it knows them."""
        answer = self.ask(DescribeQuorum([(QUORUM_TOPIC, [(0, {})], {})], {}))
        accepted(answer.error_code, "the controllers")
        ((_, ((_, code, leader, _, _, voters, *_),), _),) = answer.topics
        accepted(code, "the controllers")
        return int(leader), [int(end) for _, end, _ in voters]

    def _sees_all_in_sync(self, node: Kafka) -> bool:
        try:
            seen = ask(node.address, MetadataRequest_v1(None), within_s=ANSWER_S)
        except OSError:
            return False
        copies = [(code, *copy) for *_, partitions in seen.topics for code, _, _, *copy in partitions]
        return len(seen.brokers) == len(NODES) and all(not code and len(all_) == len(isr) for code, all_, isr in copies)

    def _complete(self) -> bool:
        if True not in [node.answers() for node in self.running]:  # one of them coordinates
            return False
        try:
            known = [len(ask(node.address, MetadataRequest_v1([])).brokers) for node in self.running]
        except OSError:
            return False
        return min(known) >= len(self.running)
