"""A fold: one partition of a changelog as the rows it comes to, in a scratch database that is removed afterwards.

    with Fold(directory, rising) as fold: fold.add(key, value); fold.row(key); fold.applied("legs")

For a command that must know a table no worker has open. Bounded memory, however many rows there are.
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
    """Rows of one changelog partition; what an earlier run left in the directory is removed first."""

    def __init__(self, directory: Path, rising: tuple[bytes, ...]) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._directory, self._rising = directory, (*OWN_MONOTONIC, *rising)
        self._db = Rdict(str(directory), Options(raw_mode=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._db.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def add(self, key: bytes, value: bytes | None) -> None:
        """The next record of the changelog; of a row that never falls the higher number stays."""
        if value is None:
            self._db.delete(key)
        else:
            self._db.put(key, higher(value, self.row(key)) if key.startswith(self._rising) else value)

    def row(self, key: bytes) -> bytes | None:
        """A row's value."""
        found: bytes | None = self._db.get(key)
        return found

    def values(self, prefix: bytes) -> list[bytes]:
        """The values of the rows whose keys begin with ``prefix``."""
        return [value for _, value in rows(self._db, prefix)]

    def applied(self, topic: str) -> int:
        """The last offset of ``topic`` whose effects are in the rows; -1 when there is none."""
        return number_of(self.row(applied_key(topic)) or b"-1")
