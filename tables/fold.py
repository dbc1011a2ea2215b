"""Fold: the rows that result from one changelog partition, in a scratch database that is removed afterwards.

    with Fold(directory, monotonic) as fold: fold.add(key, value); fold.row(key); fold.applied("legs")

For commands that read a table while no worker has it open. Memory is bounded.
"""

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from rocksdict import Options, Rdict

from .batch_table import OWN_MONOTONIC, applied_key
from .monotonic import higher, number_of
from .store import rows


class Fold:
    """The rows of one changelog partition. Leftovers of an earlier run in the directory are removed first."""

    def __init__(self, directory: Path, monotonic: tuple[bytes, ...]) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._directory, self._monotonic = directory, (*OWN_MONOTONIC, *monotonic)
        self._db = Rdict(str(directory), Options(raw_mode=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._db.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def add(self, key: bytes, value: bytes | None) -> None:
        """Apply the next changelog record; a monotonic row keeps its higher number."""
        if value is None:
            self._db.delete(key)
        else:
            self._db.put(key, higher(value, self.row(key)) if key.startswith(self._monotonic) else value)

    def row(self, key: bytes) -> bytes | None:
        """The value of a key."""
        value: bytes | None = self._db.get(key)
        return value

    def values(self, prefix: bytes) -> list[bytes]:
        """The values of keys that begin with ``prefix``."""
        return [value for _, value in rows(self._db, prefix)]

    def applied(self, topic: str) -> int:
        """The last offset of ``topic`` whose effects are in the rows; -1 if there is none."""
        return number_of(self.row(applied_key(topic)) or b"-1")
