"""The RocksDB files of one table: one database per partition, opened with it, closed with it, bounded in memory.

A database that cannot be read is put aside (``quarantine.py``), and begins again from the changelog. One of another
format is refused.
"""

from collections.abc import Iterator
from typing import Any, cast

from faust.stores import rocksdb
from faust.types import TP, CollectionT
from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Rdict, ReadOptions

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop

from .quarantine import condemned, put_aside, unreadable, without_files

INTERNAL = b"\x00"
"""Keys of the table's own bookkeeping begin with it."""
CHANGELOG_KEY = INTERNAL + b"changelog"
"""The next changelog offset: everything below it is in the store. Local, never in the changelog."""
CHANGELOG_MARK_KEY = INTERNAL + b"changelog-mark"
"""The fingerprint of the record before it. Local as well."""
FORMAT_KEY = INTERNAL + b"format"
"""The format of the rows. Local; in the changelog it stands behind what has been applied, where it is not the first."""
FORMAT = 1
"""Another number is refused, not guessed at. A store without one is of the first."""

BLOCK_CACHE_BYTES = 32 * 1024 * 1024
"""For all partitions of a table together. Faust's default is 2 GiB each."""
WRITE_BUFFER_BYTES = 16 * 1024 * 1024
MAX_OPEN_FILES = 256

Row = tuple[bytes, bytes]
"""A key and its value."""


class _Options(rocksdb.RocksDBOptions):
    """Faust's, with one cache for every database opened with them, and indexes and filters in it.

    Outside of it these grow with what is stored, a MiB for fifty; cut in pieces, none is too large for it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(use_rocksdict=True, **options)
        self._cache = Cache(BLOCK_CACHE_BYTES)

    def as_options(self) -> Any:
        """For rocksdict."""
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
    """Faust's RocksDB store with bounds, and closed when a partition leaves instead of when the collector comes by."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, driver="rocksdict", **kwargs)
        self.rocksdb_options = _Options(write_buffer_size=WRITE_BUFFER_BYTES, max_open_files=MAX_OPEN_FILES)

    def of(self, partition: int) -> Rdict:
        """The open database of a partition."""
        return cast(Rdict, self._db_for_partition(partition))

    def _open_for_partition(self, partition: int) -> Rdict:
        path = self.partition_path(partition)
        if (said := condemned(path)) is not None:
            self._put_aside(partition, said)
        try:
            return self._opened(partition)
        except Exception as error:
            if without_files(error):
                fail_stop(
                    f"{path}: the limit of open files is too low ({error}): raise it (ulimit -n 4096)", code=Exit.CONFIG
                )
            if not unreadable(error):
                raise
            self._put_aside(partition, str(error))
            return self._opened(partition)

    def _opened(self, partition: int) -> Rdict:
        db = cast(Rdict, super()._open_for_partition(partition))
        try:
            found = db.get(FORMAT_KEY)
        except Exception:
            db.close()
            raise
        if found is None:
            db.put(FORMAT_KEY, b"%d" % FORMAT)
        else:
            same_format(str(self.partition_path(partition)), int(cast(bytes, found)))
        return db

    def _put_aside(self, partition: int, said: str) -> None:
        aside = put_aside(self.partition_path(partition))
        self.log.critical(
            "%s cannot be read: %s. It is put aside as %s, and made anew from the changelog.",
            self.partition_path(partition),
            said,
            aside,
        )

    def persisted_offset(self, tp: TP) -> int | None:
        """The last changelog offset held: in Faust's terms, one below the next."""
        found = self.of(tp.partition).get(CHANGELOG_KEY)
        return None if found is None else int(found) - 1

    def revoke_partitions(self, table: CollectionT, tps: set[TP]) -> None:
        """Close the databases of partitions that went to another worker."""
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
    """The rows whose keys begin with ``prefix``, from ``start`` to ``before``, in the order of their keys.

    Raises where they cannot be read any further. Without the bound RocksDB would walk over the tombstones of every
    later row that was deleted and is not compacted yet.
    """
    bound = min((end for end in (_end_of(prefix), before) if end is not None), default=None)
    options = ReadOptions()
    if bound is not None:
        options.set_iterate_upper_bound(bound)
    walk = db.iter(options)
    try:
        walk.seek(max(prefix, start))
        while walk.valid():
            yield walk.key(), walk.value()  # raw mode: bytes, bytes
            walk.next()
        walk.status()  # to whoever iterates, a block that cannot be read looks like the end
    finally:
        del walk  # before ``bound``: it points into these bytes, and rocksdict does not keep them for it


def _end_of(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with ``prefix``; None where there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def same_format(where: str, found: int) -> None:
    """Refuse rows of a format this version does not know, 78."""
    if found != FORMAT:
        fail_stop(
            f"{where} has rows of format {found}, this version reads {FORMAT}: install the version that wrote them, or "
            "remove that directory where the changelog is of this format",
            code=Exit.CONFIG,
        )
