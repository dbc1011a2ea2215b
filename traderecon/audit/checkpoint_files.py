"""Files of checkpoints: ``checkpoints.jsonl`` of the data directory, one JSON line each, appended and synced."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from traderecon.durable import sync_directory
from traderecon.records.checkpoint import Checkpoint, Place, decode_checkpoint

NAME = "checkpoints.jsonl"
MOST = 4_096
"""Checkpoints of one chain that are held against it: of more, every second is left out, never the last."""


class Known(msgspec.Struct, frozen=True):
    """What files of checkpoints say: by chain, in the order of their offsets; ``unread``: lines that are none."""

    chains: Mapping[Place, Sequence[Checkpoint]] = {}
    unread: Sequence[str] = ()

    @property
    def count(self) -> int:
        """How many are held against the database."""
        return sum(map(len, self.chains.values()))

    def of(self, beginnings: Mapping[Place, int]) -> "Known":
        """Those of the chains that begin where these do; from the first offset on where a partition is not named."""
        chains = {
            place: [one for one in chain if (one.first or 0) == beginnings.get(place, 0)]
            for place, chain in self.chains.items()
        }
        return Known({place: chain for place, chain in chains.items() if chain}, self.unread)


class Gathered:
    """Checkpoints as they come; of a chain with very many, some.

    ``databases``: only of those with these ids, and of those that name none; None: of all.
    """

    def __init__(self, databases: Collection[str] | None = None) -> None:
        self._databases = databases
        self.chains: dict[Place, list[Checkpoint]] = {}
        self.unread: list[str] = []

    def add(self, line: bytes, where: str) -> Checkpoint | None:
        """One line; None where it is none. OtherFormat: a newer version's."""
        try:
            checkpoint = decode_checkpoint(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if line.strip() and len(self.unread) < MOST:
                self.unread.append(where)
            return None
        if self._databases is not None and (checkpoint.database or "") not in {"", *self._databases}:
            return None
        chain = self.chains.setdefault(checkpoint.place, [])
        chain.append(checkpoint)
        if len(chain) > MOST:
            last = max(chain, key=_order)
            self.chains[checkpoint.place] = [*[one for one in chain[::2] if one is not last], last]
        return checkpoint

    def known(self) -> Known:
        """All of them."""
        return Known({place: sorted(chain, key=_order) for place, chain in self.chains.items()}, self.unread)


def append(path: Path, checkpoints: Iterable[Checkpoint]) -> None:
    """Add lines to the file, synced when this returns. OSError: it cannot be written."""
    lines = b"".join(checkpoint.line + b"\n" for checkpoint in checkpoints)
    made = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # the last one was cut off by a power cut: it is no line
        while lines:
            lines = lines[os.write(file, lines) :]
        os.fsync(file)
    finally:
        os.close(file)
    if made:
        sync_directory(path.parent)


def lines_of(path: Path) -> Iterator[tuple[bytes, str]]:
    """The lines of a file, and where each is. OSError: it cannot be read."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield line, f"{path} line {number}"


def read(paths: Iterable[Path]) -> Known:
    """The checkpoints of these files, all together. OSError: one cannot be read; OtherFormat: a newer version's."""
    gathered = Gathered()
    for path in paths:
        for line, where in lines_of(path):
            gathered.add(line, where)
    return gathered.known()


def together(several: Iterable[Known]) -> Known:
    """All checkpoints of these, each once."""
    chains: dict[Place, dict[Checkpoint, None]] = {}
    unread: list[str] = []
    for known in several:
        unread += known.unread
        for place, chain in known.chains.items():
            chains.setdefault(place, {}).update(dict.fromkeys(chain))
    return Known({place: sorted(chain, key=_order) for place, chain in chains.items()}, unread)


def _order(checkpoint: Checkpoint) -> tuple[int, int, str]:
    return checkpoint.next_offset, checkpoint.rows, checkpoint.at
