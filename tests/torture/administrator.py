"""An administrator who follows docs/operations.md, with the product's commands and Kafka's own tools.

    Administrator(...): create_topics, remove_stores, make_input, read_again

Blocking calls; for a thread.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from broker.administration import read_again
from broker.kafka_topics import Topics

from torture.workload import Start

LOG_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}


class Administrator:
    """The administrator of one installation. ``inputs``: partition counts by role; ``topics``: full names by role."""

    def __init__(
        self,
        kafka: Topics,
        create_command: Start,
        *,
        data_dir: Path,
        group: str,
        journal: tuple[str, int],
        inputs: Mapping[str, int],
        topics: Mapping[str, str],
    ) -> None:
        self.kafka, self.data_dir, self.inputs, self.topics = kafka, data_dir, inputs, topics
        self.journal = journal
        """Full name and partition count of the journal, from which the tables are built."""
        self._create, self._group = create_command, group

    def create_topics(self) -> None:
        """``traderecon topics create``. Raises CalledProcessError."""
        subprocess.run(self._create.command, env=self._create.full_environment(), check=True, capture_output=True)

    def remove_stores(self) -> int:
        """Remove the local stores of matching in every home; returns how many."""
        stores = [store for home in sorted(self.data_dir.glob("worker-*")) for store in home.glob("**/matching")]
        for store in stores:
            shutil.rmtree(store)
        return len(stores)

    def make_input(self, role: str) -> None:
        """Create an input as its producers want it. Raises BrokerError."""
        self.kafka.create_topic(self.topics[role], self.inputs[role], LOG_APPEND_TIME)

    def read_again(self, role: str) -> None:
        """Reset intake's offsets of an input to the start; no worker may be running."""
        read_again(self.kafka.address, self._group, self.topics[role], self.inputs[role])

    def topic_id(self, topic: str) -> str:
        """The topic id in the log directory of a broker; empty if it has none."""
        metadata_files = sorted(self.kafka.directory.glob(f"**/{topic}-0/partition.metadata"))
        return metadata_files[0].read_text().split("topic_id:")[-1].strip() if metadata_files else ""
