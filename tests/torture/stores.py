"""The workers' own stores, when they have stopped: each must be a prefix of the changelog, row by row.

    disks, changelog -> Findings

A store says up to which changelog offset it holds everything. What the changelog says up to there, and nothing else,
must be in it: also on the disk of a worker that lost the partition long ago.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from torture.findings import Defect, Entry, Finding
from torture.oracle import INTERNAL, newest

HELD = INTERNAL + b"changelog"


def judge_stores(
    disks: Iterable[Path], changelog: list[Entry], table: str = "counts", monotonic: tuple[bytes, ...] = ()
) -> Iterator[Finding]:
    """STORE: a row that is missing, that differs, or that the changelog does not have.

    ``monotonic``: the key prefixes of monotonic rows: of two writers the higher number wins, whichever came
    last. They are not compared.
    """
    for disk in disks:
        for store in sorted(disk.glob(f"**/{table}-*.db")):
            partition = int(store.stem.rpartition("-")[2])
            found = {key: value for key, value in rows_of(store).items() if not key.startswith(monotonic)}
            kept = [entry for entry in changelog if not (entry.key or b"").startswith(monotonic)]
            yield from judge_store(str(store.relative_to(disk.parent)), partition, found, kept)


def rows_of(store: Path) -> dict[bytes, bytes]:
    """Every row of a store, its own bookkeeping too."""
    db = Rdict(str(store), Options(raw_mode=True), access_type=AccessType.read_only())
    rows = dict(db.items())
    db.close()
    return rows  # type: ignore[return-value]  # raw mode: bytes and bytes


def judge_store(name: str, partition: int, rows: dict[bytes, bytes], changelog: Iterable[Entry]) -> Iterator[Finding]:
    """The same for one store."""
    held = int(rows.get(HELD, b"0"))
    before = [entry for entry in changelog if entry.partition == partition and entry.offset < held]
    expected = {key: entry.value for (_, key), entry in newest(before).items()}
    found = {key: value for key, value in rows.items() if not key.startswith(INTERNAL)}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            text = f"{name} up to {held}: row {key!r} is {found.get(key)!r}, the changelog says {expected.get(key)!r}"
            yield Finding(Defect.STORE, partition, held, text, "I8")
