"""The RocksDB databases of one table: one per partition, open while it is assigned, with bounded memory.

An unreadable database is quarantined (``quarantine.py``) and rebuilt from the changelog. One of another format is
rejected.
"""

from collections.abc import Iterator
from typing import Any, cast

from faust.stores import rocksdb
from faust.types import TP, CollectionT
from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Rdict, ReadOptions

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop

from .quarantine import condemned_reason, move_to_quarantine, too_many_files, unreadable

INTERNAL = b"\x00"
"""Prefix of reserved keys."""
CHANGELOG_KEY = INTERNAL + b"changelog"
"""The next changelog offset: everything below is in the store. Local, never in the changelog."""
CHANGELOG_MARK_KEY = INTERNAL + b"changelog-mark"
"""The fingerprint of the changelog record before that offset. Local."""
FORMAT_KEY = INTERNAL + b"format"
"""The format of the rows. Local; in the changelog, formats after the first follow the applied offset."""
FORMAT = 1
"""The supported format; others are rejected. A store without a format has the first."""

BLOCK_CACHE_BYTES = 32 * 1024 * 1024
"""For all partitions of a table together. Faust's default is 2 GiB each."""
WRITE_BUFFER_BYTES = 16 * 1024 * 1024
MAX_OPEN_FILES = 256

Row = tuple[bytes, bytes]
"""A key and its value."""


class _Options(rocksdb.RocksDBOptions):
    """Faust's options, with one cache for all databases that also holds partitioned indexes and filters.

    Outside the cache these would grow with the stored data, by 1 MiB per 50 MiB; unpartitioned they could exceed it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(use_rocksdict=True, **options)
        self._cache = Cache(BLOCK_CACHE_BYTES)

    def as_options(self) -> Any:
        """The options as rocksdict's class."""
        options = super().as_options()
        blocks = BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
        blocks.set_bloom_filter(self.bloom_filter_size, block_based=False)
        blocks.set_partition_filters(True)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_pin_top_level_index_and_filter(True)
        options.set_block_based_table_factory(blocks)
        return options


class Store(rocksdb.Store):
    """Faust's RocksDB store with bounded memory; a database is closed on revocation, not by garbage collection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, driver="rocksdict", **kwargs)
        self.rocksdb_options = _Options(write_buffer_size=WRITE_BUFFER_BYTES, max_open_files=MAX_OPEN_FILES)

    def of(self, partition: int) -> Rdict:
        """The open database of a partition."""
        return cast(Rdict, self._db_for_partition(partition))

    def _open_for_partition(self, partition: int) -> Rdict:
        path = self.partition_path(partition)
        if (reason := condemned_reason(path)) is not None:
            self._quarantine(partition, reason)
        try:
            return self._open(partition)
        except Exception as error:
            if too_many_files(error):
                fail_stop(
                    f"{path}: the limit of open files is too low ({error}): raise it (ulimit -n 4096)", code=Exit.CONFIG
                )
            if not unreadable(error):
                raise
            self._quarantine(partition, str(error))
            return self._open(partition)

    def _open(self, partition: int) -> Rdict:
        db = cast(Rdict, super()._open_for_partition(partition))
        try:
            row_format = db.get(FORMAT_KEY)
        except Exception:
            db.close()
            raise
        if row_format is None:
            db.put(FORMAT_KEY, b"%d" % FORMAT)
        else:
            require_format(str(self.partition_path(partition)), int(cast(bytes, row_format)))
        return db

    def _quarantine(self, partition: int, reason: str) -> None:
        quarantine = move_to_quarantine(self.partition_path(partition))
        self.log.critical(
            "%s cannot be read: %s. It was moved to %s and is rebuilt from the changelog.",
            self.partition_path(partition),
            reason,
            quarantine,
        )

    def persisted_offset(self, tp: TP) -> int | None:
        """The last changelog offset in the store, as Faust counts: one below the next."""
        value = self.of(tp.partition).get(CHANGELOG_KEY)
        return None if value is None else int(value) - 1

    def revoke_partitions(self, table: CollectionT, tps: set[TP]) -> None:
        """Close the databases of revoked partitions."""
        for tp in tps:
            if tp.topic in table.changelog_topic.topics and (db := self._dbs.pop(tp.partition, None)) is not None:
                db.close()

    async def stop(self) -> None:
        """Close every database."""
        while self._dbs:
            self._dbs.popitem()[1].close()

    def _visible_keys(self, db: Rdict) -> Iterator[bytes]:
        return (key for key, _ in self._visible_items(db))

    def _visible_items(self, db: Rdict) -> Iterator[tuple[bytes, bytes]]:
        return ((key, value) for key, value in rows(db) if not key.startswith(INTERNAL))


def rows(db: Rdict, prefix: bytes = b"", start: bytes = b"", before: bytes | None = None) -> Iterator[Row]:
    """The rows whose keys begin with ``prefix``, from ``start`` to ``before``, in key order.

    Raises if a row cannot be read. Without the upper bound RocksDB would scan the uncompacted tombstones of all later
    rows.
    """
    bound = min((end for end in (prefix_end(prefix), before) if end is not None), default=None)
    options = ReadOptions()
    if bound is not None:
        options.set_iterate_upper_bound(bound)
    iterator = db.iter(options)
    try:
        iterator.seek(max(prefix, start))
        while iterator.valid():
            yield iterator.key(), iterator.value()  # raw mode: bytes, bytes
            iterator.next()
        iterator.status()  # raises if the iteration ended at an unreadable block
    finally:
        del iterator  # before ``bound``: it points into these bytes, and rocksdict does not keep them alive


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key after all that begin with ``prefix``; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def require_format(where: str, row_format: int) -> None:
    """End the process, 78, if rows have a format this version does not support."""
    if row_format != FORMAT:
        fail_stop(
            f"{where} has rows of format {row_format}, this version reads {FORMAT}: install the version that wrote "
            "them, or remove the directory if the changelog has this version's format",
            code=Exit.CONFIG,
        )
