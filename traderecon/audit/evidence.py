"""Evidence: checkpoints from several sources, compared with each other before they are compared with the database.

file, topic, anchor -> Source, Source, ... -> Finding, ...     checkpoints that should be in a source and are missing

The file is written before the topic, so every checkpoint on the topic was in the file. Anchors are copied from it.
"""

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from traderecon.audit.checkpoint_files import CheckpointCollector, CheckpointSet, lines_of, merge
from traderecon.audit.findings import Finding, Kind
from traderecon.audit.signing import Keys
from traderecon.records.checkpoint import Checkpoint, TopicPartition


class CheckpointSource:
    """The checkpoints of one source, in the order they were written; ``name`` is its name in findings."""

    def __init__(self, name: str, databases: Collection[str] | None = None) -> None:
        self.name = name
        self._collector = CheckpointCollector(databases)
        self._digests: dict[TopicPartition, array[int]] = {}
        self.signed = self.unsigned = 0
        self._unsigned_since: dict[TopicPartition, Checkpoint] = {}
        """Per chain, the first unsigned checkpoint after a signed one, or the first of all if none is signed."""
        self._ever_signed: set[TopicPartition] = set()

    def add(self, line: bytes, where: str) -> None:
        """Add one line. OtherFormat: a newer version wrote it."""
        checkpoint = self._collector.add(line, where)
        if checkpoint is None:
            return
        tp = checkpoint.tp
        self._digests.setdefault(tp, array("Q")).append(_digest(checkpoint))
        if checkpoint.signature is UNSET:
            self.unsigned += 1
            self._unsigned_since.setdefault(tp, checkpoint)
            return
        self.signed += 1
        if tp not in self._ever_signed:
            self._ever_signed.add(tp)
            self._unsigned_since.pop(tp, None)  # from before there was a key

    @property
    def databases(self) -> set[str]:
        """The database ids in its checkpoints."""
        checkpoints = (checkpoint for chain in self.checkpoint_set.chains.values() for checkpoint in chain)
        return {checkpoint.database for checkpoint in checkpoints if checkpoint.database is not UNSET}

    @property
    def checkpoint_set(self) -> CheckpointSet:
        """The checkpoints to compare the database with."""
        return self._collector.checkpoint_set()

    def digests(self, tp: TopicPartition) -> Sequence[int]:
        """A digest of each checkpoint of a chain, in order."""
        return self._digests.get(tp, ())

    @property
    def chains(self) -> Iterable[TopicPartition]:
        """The topic and partition of each chain."""
        return self._digests

    def missing_signatures(self) -> Iterator[Finding]:
        """The first checkpoint of each chain that should have a signature and has none."""
        for tp, checkpoint in sorted(self._unsigned_since.items()):
            yield _finding(tp, f"{self.name}: the checkpoint of {checkpoint.at} has no signature, but should have one")

    def invalid_signatures(self, keys: Keys) -> Iterator[Finding]:
        """The checkpoints whose signature is invalid or not trusted."""
        for tp, chain in sorted(self.checkpoint_set.chains.items()):
            for checkpoint in chain:
                if checkpoint.signature is not UNSET and (reason := keys.reject_reason(checkpoint)):
                    yield _finding(tp, f"{self.name}: the checkpoint of {checkpoint.at} {reason}")


def from_files(name: str, paths: Iterable[Path]) -> CheckpointSource:
    """The checkpoints of files. OSError; OtherFormat."""
    source = CheckpointSource(name)
    for path in paths:
        for line, where in lines_of(path):
            source.add(line, where)
    return source


class _Anchor(msgspec.Struct):
    """What ``audit anchor --json`` writes."""

    checkpoints: list[msgspec.Raw]


def from_anchor(name: str, file: Path) -> CheckpointSource:
    """The checkpoints of an anchor, in either form. OSError; OtherFormat."""
    content = file.read_bytes()
    try:
        lines = [bytes(raw) for raw in msgspec.json.decode(content, type=_Anchor).checkpoints]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        lines = content.splitlines()
    source = CheckpointSource(name)
    for number, line in enumerate(lines, 1):
        source.add(line, f"{file} line {number}")
    return source


def compare_sources(
    file: CheckpointSource, topic: CheckpointSource | None, anchors: Sequence[CheckpointSource], keys: Keys
) -> Iterator[Finding]:
    """Contradictions between the sources. ``topic``: None if it is not read."""
    others = (*((topic,) if topic is not None else ()), *anchors)
    for other in others:
        for tp in sorted(other.chains):
            yield from _missing_in_file(file, other, tp)
    if topic is not None:
        for tp in sorted(file.chains):
            if (count := len(file.digests(tp))) > 1 and not topic.digests(tp):
                text = f"{topic.name} has no checkpoint, but {file.name} has {count}: the topic was recreated"
                yield _finding(tp, text)
    if keys.by_name:
        for source in (file, *others):
            yield from source.invalid_signatures(keys)
            yield from source.missing_signatures()


def merge_sources(
    file: CheckpointSource, topic: CheckpointSource | None, anchors: Sequence[CheckpointSource]
) -> CheckpointSet:
    """The checkpoints of all sources."""
    return merge(source.checkpoint_set for source in (file, *((topic,) if topic is not None else ()), *anchors))


def newest(checkpoints: CheckpointSet) -> list[Checkpoint]:
    """The last checkpoint of each chain."""
    return [chain[-1] for _, chain in sorted(checkpoints.chains.items()) if chain]


def _missing_in_file(file: CheckpointSource, other: CheckpointSource, tp: TopicPartition) -> Iterator[Finding]:
    """Every checkpoint of the other source must be in the file."""
    in_file = set(file.digests(tp))
    if missing := sum(digest not in in_file for digest in other.digests(tp)):
        text = (
            f"{missing} checkpoints of {other.name} are not in {file.name}, which is written first: they were removed "
            "from it, or changed"
        )
        yield _finding(tp, text)


def _digest(checkpoint: Checkpoint) -> int:
    return int.from_bytes(hashlib.sha256(checkpoint.line).digest()[:8], "big")


def _finding(tp: TopicPartition, text: str) -> Finding:
    return Finding(kind=Kind.CHECKPOINT, table="checkpoints", topic=tp[0], partition=tp[1], text=text)
