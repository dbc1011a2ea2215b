"""A real Kafka of three brokers for the tests: each its own process, controller and broker in one, on loopback.

    Cluster(directory) -> start -> kill(leader of a partition), kill(controller), start again | stop

Topics get three copies of which two must be in sync, as in production. ``make kafka`` fetches the jars.
"""

import contextlib
import secrets
import shutil
import signal
import subprocess
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiokafka.protocol.coordination import FindCoordinatorRequest_v0
from aiokafka.protocol.metadata import MetadataRequest_v1
from broker.kafka_server import JARS, JVM, NOBODY, STOP_S, Died, Missing, reserved
from broker.kafka_topics import Topics
from broker.kafka_wire import ask
from broker.waiting import until

NODES = 3
START_S = 180

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{client}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={log}
auto.create.topics.enable=false

# As in production.
default.replication.factor=3
min.insync.replicas=2

# A dead member, and a broker that died, are noticed soon.
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=1500
controller.quorum.fetch.timeout.ms=2500

offsets.topic.num.partitions=3
offsets.topic.replication.factor=3
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=2097152
"""


class Cluster:
    """Three nodes that keep everything in ``directory``; numbered from 1."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._cluster = "T" + secrets.token_urlsafe(16)[1:]  # must not begin with a dash
        ports = {node: (reserved(), reserved()) for node in range(1, NODES + 1)}
        for both in ports.values():
            for port in both:
                weakref.finalize(self, port.close)
        self._client = {node: both[0].getsockname()[1] for node, both in ports.items()}
        controllers = {node: both[1].getsockname()[1] for node, both in ports.items()}
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in controllers.items())
        for node, port in self._client.items():
            self._properties(node).parent.mkdir(exist_ok=True)
            filled = PROPERTIES.format(
                node=node, voters=voters, client=port, controller=controllers[node], log=self._log(node)
            )
            self._properties(node).write_text(filled)
        self._jvms: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def broker(self) -> str:
        """All brokers, as ``TRADERECON_BROKER`` takes them."""
        return "kafka://" + ";".join(self.address(node) for node in self._client)

    def address(self, node: int) -> str:
        """Host and port of a node."""
        return f"127.0.0.1:{self._client[node]}"

    @property
    def running(self) -> list[int]:
        """The nodes that were started, and not killed."""
        return sorted(self._jvms)

    def start(self, nodes: Iterable[int] = ()) -> None:
        """Start nodes, all that do not run unless told, and wait until every one of them knows all that run."""
        for node in [*nodes] or [node for node in self._client if node not in self._jvms]:
            if not self._log(node).exists():
                files = ("-t", self._cluster, "-c", str(self._properties(node)))
                if status := self._run(node, "kafka.tools.StorageTool", "format", *files).wait(STOP_S):
                    raise Died(f"formatting node {node} ended with {status}; {self._last_words(node)}")
            self._jvms[node] = self._run(node, "kafka.Kafka", str(self._properties(node)))
        until(self._complete, "every node knows every other", START_S)

    def kill(self, node: int) -> None:
        """End a node as a power cut would."""
        jvm = self._jvms.pop(node)
        jvm.send_signal(signal.SIGKILL)
        jvm.wait()

    def lose_disk(self, node: int) -> None:
        """Remove what a node that does not run has stored: its disk was replaced."""
        if node in self._jvms:
            raise Died(f"node {node} runs")
        shutil.rmtree(self._log(node))

    def stop(self) -> None:
        """End every node."""
        for node in self.running:
            self.kill(node)

    def leader(self, topic: str, partition: int = 0) -> int:
        """The node that leads a partition; -1 where none does."""
        ((_, _, _, partitions),) = self._metadata([topic]).topics
        return next(int(leader) for _, number, leader, *_ in partitions if number == partition)

    def copies(self, topic: str) -> dict[int, tuple[int, int]]:
        """How many copies each partition of a topic has, and how many of them are in sync."""
        ((_, _, _, partitions),) = self._metadata([topic]).topics
        return {number: (len(replicas), len(isr)) for _, number, _, replicas, isr in partitions}

    def controller(self) -> int:
        """A node that brokers take for the controller: asked of a broker it is any that runs."""
        return int(self._metadata([]).controller_id)

    def alter_topic(self, topic: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's settings."""
        Topics(self.address(self.running[0])).alter_topic(topic, config)

    def in_sync(self, topics: Iterable[str]) -> bool:
        """Whether every copy of these topics is in sync."""
        return all(count == in_sync for topic in topics for count, in_sync in self.copies(topic).values())

    def _metadata(self, topics: list[str]) -> Any:
        for node in self.running:
            with contextlib.suppress(OSError):
                return ask(self.address(node), MetadataRequest_v1(topics))
        raise Died("no node answers")

    def _complete(self) -> bool:
        try:
            for node, jvm in self._jvms.items():
                if (status := jvm.poll()) is not None:
                    raise Died(f"node {node} ended with {status}; {self._last_words(node)}")
                answer = ask(self.address(node), MetadataRequest_v1([]))
                if len(answer.brokers) < len(self._jvms):
                    return False
            # The first question for a coordinator makes the topic of the groups' offsets.
            return not ask(self.address(self.running[0]), FindCoordinatorRequest_v0(NOBODY)).error_code
        except OSError:
            return False

    def _properties(self, node: int) -> Path:
        return self.directory / str(node) / "server.properties"

    def _log(self, node: int) -> Path:
        return self.directory / str(node) / "log"

    def _last_words(self, node: int) -> str:
        return (self.directory / str(node) / "server.log").read_text()[-2000:]

    def _run(self, node: int, *program: str) -> subprocess.Popen[bytes]:
        if not any(JARS.glob("kafka_*.jar")):
            raise Missing(f"there is no Kafka in {JARS}: run `make kafka`")
        if not shutil.which("java"):
            raise Missing("there is no java on the PATH: install the system's package, on Debian default-jre-headless")
        bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with (self.directory / str(node) / "server.log").open("ab") as log:
            return subprocess.Popen(
                [*bound, "java", *JVM, "-cp", f"{JARS}/*", *program],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
