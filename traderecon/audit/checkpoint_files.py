"""Checkpoint files: ``checkpoints.jsonl`` in the data directory, one JSON line per checkpoint, appended and synced."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from traderecon.durable import sync_directory
from traderecon.records.checkpoint import Checkpoint, TopicPartition, decode_checkpoint

NAME = "checkpoints.jsonl"
MOST_PER_CHAIN = 4_096
"""Most checkpoints of one chain to compare it with: beyond that every second one is dropped, never the last."""


class CheckpointSet(msgspec.Struct, frozen=True):
    """Checkpoints by chain, in the order of their offsets; ``undecoded``: where lines could not be decoded."""

    chains: Mapping[TopicPartition, Sequence[Checkpoint]] = {}
    undecoded: Sequence[str] = ()

    @property
    def count(self) -> int:
        """The number of checkpoints to compare the database with."""
        return sum(map(len, self.chains.values()))

    def with_beginnings(self, beginnings: Mapping[TopicPartition, int]) -> "CheckpointSet":
        """The checkpoints of chains that begin at these offsets; partitions that are not named begin at 0."""
        chains = {
            tp: [checkpoint for checkpoint in chain if (checkpoint.first or 0) == beginnings.get(tp, 0)]
            for tp, chain in self.chains.items()
        }
        return CheckpointSet({tp: chain for tp, chain in chains.items() if chain}, self.undecoded)


class CheckpointCollector:
    """Collects checkpoints line by line, thinned out where a chain has very many.

    ``databases``: keep only checkpoints with these database ids, or without one; None: keep all.
    """

    def __init__(self, databases: Collection[str] | None = None) -> None:
        self._databases = databases
        self.chains: dict[TopicPartition, list[Checkpoint]] = {}
        self.undecoded: list[str] = []

    def add(self, line: bytes, where: str) -> Checkpoint | None:
        """Add one line; None if it is not a checkpoint, or is not kept. OtherFormat: a newer version wrote it."""
        try:
            checkpoint = decode_checkpoint(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if line.strip() and len(self.undecoded) < MOST_PER_CHAIN:
                self.undecoded.append(where)
            return None
        if self._databases is not None and (checkpoint.database or "") not in {"", *self._databases}:
            return None
        chain = self.chains.setdefault(checkpoint.tp, [])
        chain.append(checkpoint)
        if len(chain) > MOST_PER_CHAIN:
            last = max(chain, key=_order)
            self.chains[checkpoint.tp] = [*[each for each in chain[::2] if each is not last], last]
        return checkpoint

    def checkpoint_set(self) -> CheckpointSet:
        """All collected checkpoints."""
        return CheckpointSet({tp: sorted(chain, key=_order) for tp, chain in self.chains.items()}, self.undecoded)


def append(path: Path, checkpoints: Iterable[Checkpoint]) -> None:
    """Append lines to the file; they are synced when this returns. OSError: it cannot be written."""
    lines = b"".join(checkpoint.line + b"\n" for checkpoint in checkpoints)
    created = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # the last line was cut off by a power failure
        while lines:
            lines = lines[os.write(file, lines) :]
        os.fsync(file)
    finally:
        os.close(file)
    if created:
        sync_directory(path.parent)


def lines_of(path: Path) -> Iterator[tuple[bytes, str]]:
    """The lines of a file, each with its file name and line number as text. OSError: it cannot be read."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield line, f"{path} line {number}"


def read(paths: Iterable[Path]) -> CheckpointSet:
    """The checkpoints of all these files. OSError: one cannot be read; OtherFormat: a newer version wrote one."""
    collector = CheckpointCollector()
    for path in paths:
        for line, where in lines_of(path):
            collector.add(line, where)
    return collector.checkpoint_set()


def merge(sources: Iterable[CheckpointSet]) -> CheckpointSet:
    """The checkpoints of all sources, each once."""
    chains: dict[TopicPartition, dict[Checkpoint, None]] = {}
    undecoded: list[str] = []
    for source in sources:
        undecoded += source.undecoded
        for tp, chain in source.chains.items():
            chains.setdefault(tp, {}).update(dict.fromkeys(chain))
    return CheckpointSet({tp: sorted(chain, key=_order) for tp, chain in chains.items()}, undecoded)


def _order(checkpoint: Checkpoint) -> tuple[int, int, str]:
    return checkpoint.next_offset, checkpoint.rows, checkpoint.at
