"""The local stores of stopped workers: each must equal a prefix of the changelog, row by row.

    homes, changelog -> Findings

A store records the changelog offset up to which it is complete. It must hold exactly the rows of the changelog up to
there, even in the home of a worker that lost the partition long ago.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from torture.findings import Defect, Entry, Finding
from torture.oracle import INTERNAL, newest

CHANGELOG_OFFSET = INTERNAL + b"changelog"


def judge_stores(
    homes: Iterable[Path], changelog: list[Entry], table: str = "counts", monotonic: tuple[bytes, ...] = ()
) -> Iterator[Finding]:
    """STORE: a row that is missing, that differs, or that the changelog does not have.

    ``monotonic``: the key prefixes of monotonic rows: of two writers the higher number wins, whichever came
    last. They are not compared.
    """
    for home in homes:
        for store in sorted(home.glob(f"**/{table}-*.db")):
            partition = int(store.stem.rpartition("-")[2])
            rows = {key: value for key, value in rows_of(store).items() if not key.startswith(monotonic)}
            comparable = [entry for entry in changelog if not (entry.key or b"").startswith(monotonic)]
            yield from judge_store(str(store.relative_to(home.parent)), partition, rows, comparable)


def rows_of(store: Path) -> dict[bytes, bytes]:
    """Every row of a store, including internal ones."""
    db = Rdict(str(store), Options(raw_mode=True), access_type=AccessType.read_only())
    rows = dict(db.items())
    db.close()
    return rows  # type: ignore[return-value]  # raw mode: bytes and bytes


def judge_store(name: str, partition: int, rows: dict[bytes, bytes], changelog: Iterable[Entry]) -> Iterator[Finding]:
    """Judge one store."""
    applied = int(rows.get(CHANGELOG_OFFSET, b"0"))
    prefix = [entry for entry in changelog if entry.partition == partition and entry.offset < applied]
    expected = {key: entry.value for (_, key), entry in newest(prefix).items()}
    actual = {key: value for key, value in rows.items() if not key.startswith(INTERNAL)}
    for key in sorted(expected.keys() | actual.keys()):
        if expected.get(key) != actual.get(key):
            text = (
                f"{name} up to {applied}: row {key!r} is {actual.get(key)!r}, the changelog says {expected.get(key)!r}"
            )
            yield Finding(Defect.STORE, partition, applied, text, "I8")
