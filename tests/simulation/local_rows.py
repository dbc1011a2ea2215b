"""Local stores in memory, in place of a worker's RocksDB; they outlive the worker and are lost only when wiped.

Opening a RocksDB takes five milliseconds, a whole schedule less than a hundred. Real stores: ``kills.py``.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class RowsBatch:
    """Writes applied atomically, in place of RocksDB's ``WriteBatch``."""

    def __init__(self, raw_mode: bool = False) -> None:  # the signature of RocksDB's
        self.writes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.writes.append((key, value))

    def delete(self, key: bytes) -> None:
        self.writes.append((key, None))


class RowsBound:
    """The upper bound of an iteration, in place of RocksDB's ``ReadOptions``."""

    upper_bound: bytes | None = None

    def set_iterate_upper_bound(self, key: bytes) -> None:
        self.upper_bound = key


class LocalRows:
    """One partition's rows in key order: the part of a raw-mode ``Rdict`` that the product uses."""

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

    def iter(self, options: RowsBound) -> "_RowIterator":
        stop = None if options.upper_bound is None else bisect_left(self._keys, options.upper_bound)
        return _RowIterator(self._rows, self._keys[:stop])

    def close(self) -> None:
        """What is written stays."""


class _RowIterator:
    """An iterator over the rows as they were at ``seek``."""

    def __init__(self, rows: dict[bytes, bytes], keys: list[bytes]) -> None:
        self._rows, self._keys = rows, keys
        self._remaining: list[tuple[bytes, bytes]] = []

    def seek(self, key: bytes) -> None:
        self._remaining = [
            (row_key, self._rows[row_key]) for row_key in reversed(self._keys[bisect_left(self._keys, key) :])
        ]

    def valid(self) -> bool:
        return bool(self._remaining)

    def next(self) -> None:
        self._remaining.pop()

    def key(self) -> bytes:
        return self._remaining[-1][0]

    def value(self) -> bytes:
        return self._remaining[-1][1]

    def status(self) -> None:
        """Nothing to report: a row in memory is always readable."""


class LocalStore:
    """The stores of one home, one per partition."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rows: dict[int, LocalRows] = {}

    def of(self, partition: int) -> Any:
        return self._rows.setdefault(partition, LocalRows())

    def partition_path(self, partition: int) -> Path:
        return self._directory / str(partition)

    def wipe(self) -> None:
        """Lose the disk."""
        self._rows = {}

    def close(self) -> None:
        """What is written stays."""

    @property
    def partitions(self) -> set[int]:
        return set(self._rows)
