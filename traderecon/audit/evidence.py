"""Evidence: checkpoints from several places, held against each other before they are held against the database.

file, topic, anchor -> Source, Source, ... -> Finding, ...     what one of them has and the other should have, and lacks

The file is written before the topic: whatever is on the topic was in the file. An anchor was taken from the file.
"""

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from traderecon.audit.checkpoint_files import Gathered, Known, lines_of, together
from traderecon.audit.findings import Finding, Kind
from traderecon.audit.signing import Keys
from traderecon.records.checkpoint import Checkpoint, Place


class Source:
    """The checkpoints of one place, in the order they were written there; ``name`` is what findings call it."""

    def __init__(self, name: str, databases: Collection[str] | None = None) -> None:
        self.name = name
        self._gathered = Gathered(databases)
        self._digests: dict[Place, array[int]] = {}
        self.signed = self.unsigned = 0
        self._unsigned_since: dict[Place, Checkpoint] = {}
        """The first of a chain without a signature behind one that has one, or of a chain where none has."""
        self._ever_signed: set[Place] = set()

    def add(self, line: bytes, where: str) -> None:
        """One line. OtherFormat: a newer version's."""
        checkpoint = self._gathered.add(line, where)
        if checkpoint is None:
            return
        place = checkpoint.place
        self._digests.setdefault(place, array("Q")).append(_digest(checkpoint))
        if checkpoint.signature is UNSET:
            self.unsigned += 1
            self._unsigned_since.setdefault(place, checkpoint)
            return
        self.signed += 1
        if place not in self._ever_signed:
            self._ever_signed.add(place)
            self._unsigned_since.pop(place, None)  # from before there was a key

    @property
    def databases(self) -> set[str]:
        """The ids of the databases its checkpoints are of, as far as they say."""
        return {one.database for chain in self.known.chains.values() for one in chain if one.database is not UNSET}

    @property
    def known(self) -> Known:
        """To be held against the database."""
        return self._gathered.known()

    def digests(self, place: Place) -> Sequence[int]:
        """A number for each checkpoint of a chain, in order."""
        return self._digests.get(place, ())

    @property
    def places(self) -> Iterable[Place]:
        """Its chains."""
        return self._digests

    def unsigned_checkpoints(self) -> Iterator[Finding]:
        """Those that should have a signature, where there is a key: the first of each chain."""
        for place, checkpoint in sorted(self._unsigned_since.items()):
            yield _finding(
                place, f"{self.name}: the checkpoint of {checkpoint.at} has no signature, and should have one"
            )

    def refused_signatures(self, keys: Keys) -> Iterator[Finding]:
        """Those whose signature does not count."""
        for place, chain in sorted(self.known.chains.items()):
            for one in chain:
                if one.signature is not UNSET and (refusal := keys.refusal(one)):
                    yield _finding(place, f"{self.name}: the checkpoint of {one.at} {refusal}")


def from_files(name: str, paths: Iterable[Path]) -> Source:
    """The checkpoints of files. OSError; OtherFormat."""
    source = Source(name)
    for path in paths:
        for line, where in lines_of(path):
            source.add(line, where)
    return source


class _Anchor(msgspec.Struct):
    """What ``audit anchor --json`` writes."""

    checkpoints: list[msgspec.Raw]


def from_anchor(name: str, file: Path) -> Source:
    """The checkpoints of an anchor, in either form. OSError; OtherFormat."""
    content = file.read_bytes()
    try:
        lines = [bytes(one) for one in msgspec.json.decode(content, type=_Anchor).checkpoints]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        lines = content.splitlines()
    source = Source(name)
    for number, line in enumerate(lines, 1):
        source.add(line, f"{file} line {number}")
    return source


def compared(file: Source, topic: Source | None, anchors: Sequence[Source], keys: Keys) -> Iterator[Finding]:
    """What the places of checkpoints say against each other. ``topic``: None where it is not looked at."""
    for other in (*((topic,) if topic is not None else ()), *anchors):
        for place in sorted(other.places):
            yield from _lacking(file, other, place)
    if topic is not None:
        for place in sorted(file.places):
            if len(file.digests(place)) > 1 and not topic.digests(place):
                text = f"{topic.name} has none, and {file.name} has {len(file.digests(place))}: the topic was made anew"
                yield _finding(place, text)
    if keys.by_name:
        for source in (file, *((topic,) if topic is not None else ()), *anchors):
            yield from source.refused_signatures(keys)
            yield from source.unsigned_checkpoints()


def held(file: Source, topic: Source | None, anchors: Sequence[Source]) -> Known:
    """All that is known, from wherever."""
    return together(source.known for source in (file, *((topic,) if topic is not None else ()), *anchors))


def newest(known: Known) -> list[Checkpoint]:
    """The last checkpoint of each chain."""
    return [chain[-1] for _, chain in sorted(known.chains.items()) if chain]


def _lacking(file: Source, other: Source, place: Place) -> Iterator[Finding]:
    """The other's checkpoints must be in the file."""
    there = set(file.digests(place))
    if missing := sum(digest not in there for digest in other.digests(place)):
        text = (
            f"{missing} checkpoints of {other.name} are not in {file.name}, which is written first: they were removed "
            "from it, or changed"
        )
        yield _finding(place, text)


def _digest(checkpoint: Checkpoint) -> int:
    return int.from_bytes(hashlib.sha256(checkpoint.line).digest()[:8], "big")


def _finding(place: Place, text: str) -> Finding:
    return Finding(kind=Kind.CHECKPOINT, table="checkpoints", topic=place[0], partition=place[1], text=text)
