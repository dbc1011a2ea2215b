"""Local stores without a disk: what a worker's RocksDB would hold, in memory, and gone only when it is wiped.

Opening a RocksDB takes five milliseconds, a whole schedule less than a hundred. Real ones: ``ends.py``.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class RowsBatch:
    """Writes that happen at once; what a ``WriteBatch`` is to RocksDB."""

    def __init__(self, raw_mode: bool = False) -> None:  # as RocksDB's is called
        self.writes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.writes.append((key, value))

    def delete(self, key: bytes) -> None:
        self.writes.append((key, None))


class RowsBound:
    """Where a walk ends; what ``ReadOptions`` are to RocksDB."""

    before: bytes | None = None

    def set_iterate_upper_bound(self, key: bytes) -> None:
        self.before = key


class LocalRows:
    """One partition's rows in the order of their keys; what an ``Rdict`` in raw mode offers, as far as it is used."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:
        return self._rows.get(key, default)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self._rows:
            insort(self._keys, key)
        self._rows[key] = value

    def delete(self, key: bytes) -> None:
        if key in self._rows:
            del self._rows[key]
            del self._keys[bisect_left(self._keys, key)]

    def write(self, batch: RowsBatch) -> None:
        for key, value in batch.writes:
            if value is None:
                self.delete(key)
            else:
                self.put(key, value)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        yield from ((key, self._rows[key]) for key in self._keys)

    def iter(self, bound: RowsBound) -> "_Walk":
        stop = None if bound.before is None else bisect_left(self._keys, bound.before)
        return _Walk(self._rows, self._keys[:stop])

    def close(self) -> None:
        """What is written stays."""


class _Walk:
    """A place among the rows, as of when it was sought."""

    def __init__(self, rows: dict[bytes, bytes], keys: list[bytes]) -> None:
        self._rows, self._keys = rows, keys
        self._left: list[tuple[bytes, bytes]] = []

    def seek(self, key: bytes) -> None:
        self._left = [(each, self._rows[each]) for each in reversed(self._keys[bisect_left(self._keys, key) :])]

    def valid(self) -> bool:
        return bool(self._left)

    def next(self) -> None:
        self._left.pop()

    def key(self) -> bytes:
        return self._left[-1][0]

    def value(self) -> bytes:
        return self._left[-1][1]

    def status(self) -> None:
        """Everything can be read."""


class LocalStore:
    """The stores of one home, by partition."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rows: dict[int, LocalRows] = {}

    def of(self, partition: int) -> Any:
        return self._rows.setdefault(partition, LocalRows())

    def partition_path(self, partition: int) -> Path:
        return self._directory / str(partition)

    def wipe(self) -> None:
        """The disk is lost."""
        self._rows = {}

    def close(self) -> None:
        """What is written stays."""

    @property
    def partitions(self) -> set[int]:
        return set(self._rows)
