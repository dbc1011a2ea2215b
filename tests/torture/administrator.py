"""An administrator: what docs/operations.md has people do, with the product's commands and Kafka's own tools.

    Administrator(...): create_topics, remove_stores, make_input, read_again     each to its end

Blocking calls; for a thread.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from broker.administration import read_again
from broker.kafka_topics import Topics

from torture.workload import Start

STAMPED = {"message.timestamp.type": "LogAppendTime"}


class Administrator:
    """Of one installation. ``inputs`` has the partitions by role, ``topics`` the full names."""

    def __init__(
        self,
        kafka: Topics,
        create: Start,
        *,
        data_dir: Path,
        group: str,
        journal: tuple[str, int],
        inputs: Mapping[str, int],
        topics: Mapping[str, str],
    ) -> None:
        self.kafka, self.data_dir, self.inputs, self.topics = kafka, data_dir, inputs, topics
        self.journal = journal
        """Full name and partitions of what the tables are made from."""
        self._create, self._group = create, group

    def create_topics(self) -> None:
        """``traderecon topics create``. Raises CalledProcessError."""
        subprocess.run(self._create.command, env=self._create.surroundings(), check=True, capture_output=True)

    def remove_stores(self) -> int:
        """Remove the local stores of matching in every home; how many there were."""
        stores = [store for home in sorted(self.data_dir.glob("worker-*")) for store in home.glob("**/matching")]
        for store in stores:
            shutil.rmtree(store)
        return len(stores)

    def make_input(self, role: str) -> None:
        """Make an input as its producers want it. Raises Refused."""
        self.kafka.create_topic(self.topics[role], self.inputs[role], STAMPED)

    def read_again(self, role: str) -> None:
        """Have intake, of which no worker runs, begin an input anew."""
        read_again(self.kafka.address, self._group, self.topics[role], self.inputs[role])

    def topic_id(self, topic: str) -> str:
        """The id under which a broker has the topic on its disk; nothing where it has none."""
        found = sorted(self.kafka.directory.glob(f"**/{topic}-0/partition.metadata"))
        return found[0].read_text().split("topic_id:")[-1].strip() if found else ""
