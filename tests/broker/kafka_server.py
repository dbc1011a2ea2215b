"""A real Kafka for the tests: one node, broker and controller in one, on the loopback interface.

    Kafka(directory) -> start -> kill, start again | pause, resume | stop

``make kafka`` fetches the jars; nothing is fetched here. KAFKA_JARS names a directory with those of another
version. The node keeps its port and its directory over its deaths, and dies with the thread that started it.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path

from aiokafka.protocol.coordination import FindCoordinatorRequest_v0
from broker.kafka_topics import Topics
from broker.kafka_wire import ask
from broker.waiting import pause, until

JARS = Path(os.environ.get("KAFKA_JARS") or Path(sys.prefix) / "kafka")
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dlog4j2.level=WARN")
ARCHIVE = JARS / "classes.jsa"
"""The classes of a node, ready to be mapped (``class_archive``): a node starts in half the time with it."""
STOP_S = 180
NOBODY = "nobody"  # a group

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{client}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={log}

# As in production: who needs a topic makes it.
auto.create.topics.enable=false

# A dead member, and a broker that died before, are noticed soon.
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200

# Alone and small.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=2097152
"""


class Missing(AssertionError):
    """What a Kafka needs is not on this machine."""


class Died(AssertionError):
    """The node ended by itself."""


class Kafka(Topics):
    """One Kafka node that keeps everything in ``directory``; it has its address at once, and runs when started.

    ``port``: where it listens, a free one if 0. Raises OSError if it is taken.
    """

    def __init__(self, directory: Path, jvm: tuple[str, ...] = (), port: int = 0) -> None:
        ports = (reserved(port), reserved())
        for bound in ports:
            weakref.finalize(self, bound.close)
        client, controller = (bound.getsockname()[1] for bound in ports)
        super().__init__(f"127.0.0.1:{client}")
        self.directory = directory
        self._jvm_options = (*JVM, *(jvm or ((f"-XX:SharedArchiveFile={ARCHIVE}",) if ARCHIVE.exists() else ())))
        self.controller = f"127.0.0.1:{controller}"
        self._cluster_id = new_cluster_id()
        self.log = directory / "server.log"
        self._properties = directory / "server.properties"
        self._jvm: subprocess.Popen[bytes] | None = None
        self._format: tuple[str, ...] = ()
        directory.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(PROPERTIES.format(client=client, controller=controller, log=directory / "log"))

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed; it may be paused."""
        return self._jvm is not None

    def configure(self, changed: Mapping[str, str], *, cluster_id: str = "") -> None:
        """Change settings of a node that has not been started yet, and make it one of a cluster."""
        lines = [line.partition("=") for line in self._properties.read_text().splitlines()]
        unchanged = ["".join(line) for line in lines if line[0] not in changed]
        self._properties.write_text("\n".join([*unchanged, *map("=".join, changed.items()), ""]))
        self._cluster_id = cluster_id or self._cluster_id

    def start(self) -> None:
        """Start the node and wait until it answers, coordinator included. Raises Missing, Died, or Never."""
        self.launch()
        until(self.answers, f"Kafka answers at {self.address}; its log is {self.log}")

    def launch(self) -> None:
        """Start the node, and do not wait. Raises Missing or Died."""
        if not (self.directory / "log").exists():
            files = ("-t", self._cluster_id, "-c", str(self._properties))
            formatting = self._run("kafka.tools.StorageTool", "format", *files, *self._format)
            if status := formatting.wait(STOP_S):
                raise Died(f"formatting ended with {status}; {self._last_words()}")
        self._jvm = self._run("kafka.Kafka", str(self._properties))

    def stop(self) -> None:
        """End the node in order, or kill it where it does not end; nothing happens where it does not run."""
        if self._jvm is None:
            return
        self.resume()
        self._jvm.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._jvm.wait(STOP_S)
        self.kill()

    def wait(self) -> int:
        """Wait until the node has ended by itself; its exit code."""
        return self._running().wait()

    def kill(self) -> None:
        """End the node as a power cut would (SIGKILL), paused or not."""
        if self._jvm is not None:
            self._jvm.kill()
            self._jvm.wait()
            self._jvm = None

    def pause(self) -> None:
        """Stop the node where it is: connections stay open, nothing is answered."""
        pause(self._running())

    def resume(self) -> None:
        """Let a paused node go on."""
        self._running().send_signal(signal.SIGCONT)

    def settle(self) -> None:
        """Wait until a node that was paused is a broker again for its controller, which gave it up meanwhile."""
        name = f"settled-{secrets.token_hex(4)}"
        self.create_topic(name)
        self.delete_topic(name)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._jvm is None:
            raise Died(f"the Kafka at {self.address} does not run")
        return self._jvm

    def lose_disk(self) -> None:
        """Remove what a node that does not run has stored: its disk was replaced."""
        if self.running:
            raise Died(f"the Kafka at {self.address} runs")
        shutil.rmtree(self.directory / "log")

    def lose_tail(self, topic: str, partition: int, keep: float) -> None:
        """Cut the log of a partition of a node that was killed, as a power cut does: this share of its bytes stays."""
        if self.running:
            raise Died(f"the Kafka at {self.address} runs")
        home = self.directory / "log"
        for kept in home.glob("*-checkpoint"):  # of what was flushed
            if kept.name.startswith(("recovery-point", "replication")):
                kept.unlink()
        (home / ".kafka_cleanshutdown").unlink(missing_ok=True)
        segment = max((home / f"{topic}-{partition}").glob("*.log"))
        for beside in segment.parent.glob("*"):
            if beside.suffix in {".index", ".timeindex", ".snapshot"}:
                beside.unlink()
        os.truncate(segment, int(segment.stat().st_size * keep))

    def answers(self) -> bool:
        """Whether the node and a coordinator answer. Raises Died where it has ended."""
        if (status := self._running().poll()) is not None:
            raise Died(f"Kafka ended with {status}; {self._last_words()}")
        try:
            # The first question for a coordinator makes the topic of the groups' offsets.
            return not ask(self.address, FindCoordinatorRequest_v0(NOBODY)).error_code and self.coordinates(NOBODY)
        except OSError:
            return False

    def _last_words(self) -> str:
        return f"the end of {self.log}:\n{self.log.read_text()[-2000:]}"

    def _run(self, *program: str) -> subprocess.Popen[bytes]:
        if not any(JARS.glob("kafka_*.jar")):
            raise Missing(f"there is no Kafka in {JARS}: run `make kafka`")
        if not shutil.which("java"):
            raise Missing("there is no java on the PATH: install the system's package, on Debian default-jre-headless")
        # The kernel kills the node when the thread that started it is gone, however that ended.
        bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*bound, "java", *self._jvm_options, "-cp", f"{JARS}/*", *program],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


def new_cluster_id() -> str:
    """The id of a cluster; it must not begin with a dash."""
    return "T" + secrets.token_urlsafe(16)[1:]


def reserved(number: int = 0) -> socket.socket:
    """A port of the loopback interface, a free one if 0, ours while the socket lives. Raises OSError if it is taken.

    Bound but not listening, and with SO_REUSEADDR as the server's own socket has it: the server
    can listen there, and between its lives nobody else gets the port, not even as the near end of a connection.
    """
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(("127.0.0.1", number))
    return port
