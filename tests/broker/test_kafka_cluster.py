"""The cluster of three nodes answers as one, whichever node is dead: what the tests read does not depend on it."""

import contextlib

import pytest
from aiokafka.protocol.commit import OffsetCommitRequest_v2
from broker.kafka_cluster import Cluster
from broker.kafka_wire import BrokerError
from broker.waiting import until

TOPIC, GROUP, PARTITIONS, LONG_S = "rows", "readers", 3, 300


def commit(cluster: Cluster, offset: int) -> bool:
    request = OffsetCommitRequest_v2(GROUP, -1, "", -1, [(TOPIC, [(0, offset, "")])])
    ((_, ((_, code),)),) = cluster.ask_coordinator(GROUP, request).topics
    return not code


def append(cluster: Cluster, value: bytes) -> None:
    """One record to each partition, as soon as it has a leader."""

    left = list(range(PARTITIONS))

    def appended() -> bool:
        with contextlib.suppress(OSError, BrokerError):
            while left:
                cluster.append(TOPIC, [value], left[0])
                left.pop(0)
        return not left

    until(appended, f"every partition of {TOPIC} takes a record", LONG_S)


def done(cluster: Cluster, offset: int) -> bool:
    """Whether the group has committed an offset; a new coordinator does not know everything at once."""
    try:
        return cluster.committed(GROUP, TOPIC) == offset
    except (OSError, BrokerError):
        return False


def values(cluster: Cluster) -> list[tuple[int, bytes | None]]:
    try:
        return [(record.partition, record.value) for record in cluster.records(TOPIC)]
    except (OSError, BrokerError):
        return []


@pytest.mark.nightly
@pytest.mark.matrix("B4")
def test_a_cluster_is_read_whole_while_its_controller_and_a_leader_are_dead(cluster: Cluster) -> None:
    cluster.create_topic(TOPIC, PARTITIONS)
    until(cluster.whole, "every copy is in sync", LONG_S)
    append(cluster, b"before")
    until(lambda: commit(cluster, 1), "the group commits", LONG_S)

    number = cluster.active_controller()
    cluster.nodes[number].kill()
    assert not cluster.whole()
    until(lambda: successor(cluster) not in {0, number}, "another controller is active", LONG_S)
    append(cluster, b"meanwhile")
    both = [(partition, value) for partition in range(PARTITIONS) for value in (b"before", b"meanwhile")]
    until(lambda: values(cluster) == both, "everything is read", LONG_S)
    assert {cluster.end(TOPIC, partition) for partition in range(PARTITIONS)} == {2}
    # An answer may be lost: what was committed all the same is not committed again.
    until(
        lambda: done(cluster, 2) or (done(cluster, 1) and commit(cluster, 2)),
        "another node coordinates the group",
        LONG_S,
    )

    cluster.nodes[number].lose_disk()
    cluster.start()
    until(cluster.whole, "the node with an empty disk is in sync", LONG_S)
    for node in cluster.nodes.values():
        if node is not cluster.nodes[number]:
            node.kill()
            break
    until(lambda: values(cluster) == both, "the copy that was made anew has everything", LONG_S)


def successor(cluster: Cluster) -> int:
    """The number of the active controller; 0 where there is none."""
    try:
        return cluster.active_controller()
    except (OSError, BrokerError):
        return 0


def test_a_partition_without_a_leader_is_no_empty_partition(cluster: Cluster) -> None:
    cluster.place(TOPIC, [[1], [2]], {"min.insync.replicas": "1"})
    cluster.nodes[2].kill()
    until(lambda: cluster.partitions(TOPIC) != 2, "nobody leads the second partition", LONG_S)
    with pytest.raises(BrokerError, match="leader of rows 1"):
        cluster.records(TOPIC)
