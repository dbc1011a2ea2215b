"""An installation with outputs on the topics, a worker that stores them, and its files."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from pipeline_case import TRADERECON, Installation
from sink.outputs import PARTITIONS, Outputs, rows

from traderecon.client.connection import connect, connected
from traderecon.settings import Settings
from traderecon.sink.store import Store
from traderecon.transport import Outgoing

DATABASE = "traderecon.db"


class SinkInstallation(Installation):
    """An installation that runs only the sink; the test publishes its input."""

    def __init__(self, directory: Path, broker: str = "embedded://", **settings: object) -> None:
        super().__init__(directory, broker, topic_partitions=PARTITIONS, **settings)
        self.create_topics()

    @property
    def database(self) -> Path:
        """The file."""
        return self.data_dir / DATABASE

    def publish(self, outputs: Outputs) -> None:
        """Publish everything; the log assigns the offsets, without gaps."""
        asyncio.run(publish(self.broker, self.data_dir, outputs))

    def read_all(self) -> bool:
        """Whether the sink has read every topic to its end."""
        offsets = self.rows("SELECT topic, partition, next_offset FROM sink_offsets")
        stored = {(topic, partition): offset for topic, partition, offset in offsets}
        return all(stored.get(tp, 0) == end for tp, end in self.ends(*self.topics.outputs).items())

    def store(self) -> None:
        """Run a worker until everything published is stored."""
        worker = self.start_ready("sink")
        self.until(self.read_all, "everything is stored")
        assert worker.leave() == 0

    def asked(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a command; it may fail."""
        return subprocess.run(
            [str(TRADERECON), *map(str, arguments)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def verified(self) -> dict[str, Any]:
        """The output of ``audit verify --json``."""
        return dict(json.loads(self.asked("audit", "verify", "--json").stdout))

    def stored_rows_of_a_copy(self) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of a copy, without touching the file or its WAL."""
        copy = self.directory / "copy"
        copy.mkdir()
        for path in self.data_dir.glob(f"{DATABASE}*"):
            shutil.copy(path, copy / path.name)
        return self.stored_rows(copy / DATABASE)

    def stored_rows(self, file: Path | None = None) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the database, without the ids it assigned."""
        store = Store.open(f"sqlite:///{file or self.database}")
        found = dict(rows(store.engine))
        store.engine.dispose()
        return found

    def remove_database(self) -> None:
        """Remove the file, its WAL and shared memory."""
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(DATABASE + suffix).unlink(missing_ok=True)

    def restore(self, backup: Path) -> None:
        """Restore a backup as described in docs/audit.md."""
        self.remove_database()
        shutil.copy(backup, self.database)


async def publish(broker: str, data_dir: Path, outputs: Outputs, prefix: str = "") -> None:
    """Publish everything to the topics; the log assigns the offsets, without gaps."""
    async with connect(broker, data_dir) as client:
        for (topic, partition), records in outputs.partitions.items():
            several = [Outgoing(one.key or b"none", one.value) for one in records]
            await client.append(prefix + topic, partition, several)


def halves(outputs: Outputs) -> tuple[Outputs, Outputs]:
    """Split outputs into an earlier and a later half."""
    first, later = Outputs(), Outputs()
    for tp, records in outputs.partitions.items():
        half = len(records) // 2
        first.partitions[tp], later.partitions[tp] = records[:half], records[half:]
    return first, later


def topic_lines(installation: SinkInstallation) -> list[bytes]:
    """The values of the topic of checkpoints."""

    async def read() -> list[bytes]:
        found: list[bytes] = []
        settings = Settings.model_construct(
            broker=installation.broker, data_dir=installation.data_dir, kafka_security="plaintext"
        )
        async with connected(settings) as client:
            for partition in range(PARTITIONS):
                async for records in client.read(installation.topics.checkpoints, partition):
                    found += [record.value or b"" for record in records]
        return found

    return asyncio.run(read())


def by_chain(lines: list[bytes]) -> dict[tuple[str, int], list[bytes]]:
    """Checkpoints by chain, in order."""
    chains: dict[tuple[str, int], list[bytes]] = {}
    for line in lines:
        checkpoint = json.loads(line)
        chains.setdefault((checkpoint["topic"], checkpoint["partition"]), []).append(line)
    return chains
