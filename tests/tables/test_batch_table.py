"""A table written in batches: what a write batch reads and writes, also after another process wrote."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from faust.types import TP
from rocksdict import Options, Rdict
from tables_case import APPLIED, CHANGELOG, Row, batch, play

from traderecon.tables import BatchTable, Fold, watermarks

rows: Any = vars(sys.modules["traderecon.tables.store"])["rows"]


def stored(table: BatchTable) -> dict[bytes, bytes]:
    return dict(table.write_batch(batch(0)).scan(b"T"))


def test_a_write_batch_reads_its_own_changes_over_stored_rows(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        first = table.write_batch(batch(0))
        first.put(b"T1\x00e", b"1")
        first.put(b"T2\x00e", b"2")
        await first.write()
        write_batch = table.write_batch(batch(1))
        write_batch.put(b"T1\x00c", b"3")
        write_batch.put(b"T1\x00e", b"4")
        write_batch.delete(b"T2\x00e")
        assert write_batch.get(b"T1\x00e") == b"4"
        assert write_batch.get(b"T2\x00e") is None
        assert sorted(write_batch.scan(b"T1\x00")) == [(b"T1\x00c", b"3"), (b"T1\x00e", b"4")]
        assert list(write_batch.scan(b"T2\x00")) == []
        assert table.write_batch(batch(1)).get(b"T1\x00e") == b"1"  # not visible before the write

    play(tmp_path, story)


def test_written_rows_and_offsets_survive_a_restart(tmp_path: Path) -> None:
    async def before(table: BatchTable) -> None:
        assert table.applied("legs", 0) == -1
        write_batch = table.write_batch(batch(5, 6))
        write_batch.put(b"T1", b"1")
        await write_batch.write()

    async def after(table: BatchTable) -> None:
        assert stored(table) == {b"T1": b"1"}
        assert table.applied("legs", 0) == 6
        assert table.write_batch(batch(7)).applied == 6
        assert table.next_changelog_offset(0) == table.app.transport.log.end(CHANGELOG, 0) == 3

    play(tmp_path, before)
    play(tmp_path, after)


@pytest.mark.matrix("Z1")
def test_records_of_another_writer_are_read_before_writing(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        first = table.write_batch(batch(0))
        first.put(b"T1", b"1")
        await first.write()
        log = table.app.transport.log
        log.append([(CHANGELOG, 0, [(b"T2", b"theirs", 0, ()), (b"T3", b"theirs", 0, ())])])
        second = table.write_batch(batch(1))
        second.put(b"T3", b"ours")
        await second.write()
        assert stored(table) == {b"T1": b"1", b"T2": b"theirs", b"T3": b"ours"}
        assert table.next_changelog_offset(0) == log.end(CHANGELOG, 0)
        assert table.applied("legs", 0) == 1

    play(tmp_path, story)


def test_two_concurrent_write_batches_of_a_partition_raise(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batches = table.write_batch(batch(0)), table.write_batch(batch(1))
        with pytest.raises(RuntimeError, match="written at the same time"):
            await asyncio.gather(*(write_batch.write() for write_batch in write_batches))

    play(tmp_path, story)


def test_a_table_is_written_through_write_batches_only(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        with pytest.raises(TypeError, match="put b'T1' through write_batch"):
            table[b"T1"] = b"1"
        with pytest.raises(TypeError, match="delete b'T1' through write_batch"):
            del table[b"T1"]
        with pytest.raises(ValueError, match="begins with NUL"):
            table.write_batch(batch(0)).put(b"\x00applied", b"1")

    play(tmp_path, story)


def test_a_scan_agrees_with_a_dictionary(tmp_path: Path) -> None:
    rng = random.Random(5)
    keys = [b"%c\x00%c" % (trade, leg) for trade in b"ABC" for leg in b"abcd"]

    async def story(table: BatchTable) -> None:
        stored_rows: dict[bytes, bytes] = {}
        for turn in range(60):
            write_batch, pending = table.write_batch(batch(turn)), dict(stored_rows)
            for key in rng.sample(keys, rng.randrange(len(keys))):
                if rng.random() < 0.3:
                    write_batch.delete(key)
                    pending.pop(key, None)
                else:
                    write_batch.put(key, b"%d" % turn)
                    pending[key] = b"%d" % turn
            for prefix in (b"A", b"B\x00", b"C\x00d", b"D"):
                expected = {key: value for key, value in pending.items() if key.startswith(prefix)}
                scanned = [(key, value) for key, value in write_batch.scan(prefix) if not key.startswith(b"\x00")]
                assert sorted(scanned) == sorted(expected.items())
                start, before = rng.choice([b"", *keys]), rng.choice([None, *keys])
                between = [key for key in expected if key >= start and (before is None or key < before)]
                scanned_keys = [key for key, _ in write_batch.scan(prefix, before=before, start=start)]
                assert sorted(scanned_keys) == sorted(between)
            if rng.random() < 0.3:
                await write_batch.write()
                stored_rows = pending

    play(tmp_path, story)


def test_a_scan_begins_where_the_last_one_found_its_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RocksDB keeps deleted rows for a while; a scan that begins before them reads all of them."""
    starts: list[bytes] = []

    def noting(db: Rdict, prefix: bytes, start: bytes, before: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        starts.append(start)
        return cast(Iterator[tuple[bytes, bytes]], rows(db, prefix, start, before))

    monkeypatch.setattr(sys.modules["traderecon.tables.batch_table"], "rows", noting)

    async def write(table: BatchTable, offset: int, put: tuple[bytes, ...], deleted: tuple[bytes, ...] = ()) -> None:
        write_batch = table.write_batch(batch(offset))
        for key in put:
            write_batch.put(key, b"")
        for key in deleted:
            write_batch.delete(key)
        await write_batch.write()

    def found(table: BatchTable, before: bytes | None = None) -> tuple[bytes, list[bytes]]:
        keys = [key for key, _ in table.write_batch(batch(0)).scan(b"T", before=before)]
        return starts[-1], keys

    async def story(table: BatchTable) -> None:
        await write(table, 0, (b"T3", b"T5", b"T7"))
        assert found(table) == (b"", [b"T3", b"T5", b"T7"])
        await write(table, 1, (), deleted=(b"T3", b"T5"))
        assert found(table, before=b"T6") == (b"T3", [])
        assert found(table) == (b"T6", [b"T7"])
        await write(table, 2, (b"T4",), deleted=(b"T7",))
        assert found(table) == (b"T4", [b"T4"])
        await write(table, 3, (), deleted=(b"T4",))
        assert found(table) == (b"T4", [])
        assert found(table) == (b"U", [])
        cast(Any, table).restore(TP(CHANGELOG, 0), [Row(0, 0, b"T2", b"")], table.next_changelog_offset(0) + 1)
        assert found(table) == (b"T2", [b"T2"])

    play(tmp_path, story)


def test_concurrent_scans_stop_at_the_end_of_their_prefix(tmp_path: Path) -> None:
    """Each iterator points into the bytes of its bound, which must live as long, whatever else is allocated."""
    rng = random.Random(7)
    db = Rdict(str(tmp_path), Options(raw_mode=True))
    prefixes = [b"F" + bytes(rng.choices(b"\x00a\xfe\xff", k=rng.randrange(1, 40))) for _ in range(200)]
    existing = {prefix + b"%d" % number: b"" for prefix in prefixes for number in range(3)}
    for key in [*existing, b"E", b"G", b"\xff", b"\xff\xff1"]:
        db[key] = b""
    expected = {prefix: sorted(key for key in existing if key.startswith(prefix)) for prefix in prefixes}
    for _ in range(20):
        scans = {prefix: rows(db, bytes(bytearray(prefix))) for prefix in rng.sample(prefixes, 50)}
        scanned: dict[bytes, list[bytes]] = {prefix: [] for prefix in scans}
        while scans:
            prefix = rng.choice([*scans])
            if (row := next(scans[prefix], None)) is None:
                del scans[prefix]
            else:
                scanned[prefix].append(row[0])
        assert scanned == {prefix: expected[prefix] for prefix in scanned}
    assert [key for key, _ in rows(db, b"\xff")] == [b"\xff", b"\xff\xff1"]
    assert {key for key, _ in rows(db, b"", b"F", before=b"G")} == existing.keys()
    for prefix, start, before in zip(
        *(rng.choices([*existing, b"", b"F\xff", b"Z"], k=500) for _ in "psb"), strict=True
    ):
        wanted = [key for key in sorted([*existing, b"E", b"G"]) if key.startswith(prefix) and start <= key < before]
        assert [key for key, _ in rows(db, prefix, start, before)] == wanted
    assert sum(1 for _ in rows(db)) == len(existing) + 4
    db.close()


def test_the_applied_offset_never_decreases(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        await table.write_batch(batch(0, 1, 2, 3, 4, 5)).write()
        replay = table.write_batch(batch(0, 1, 2))  # a restart before a commit, with another batch size
        assert replay.applied == 5
        await replay.write()
        assert table.applied("legs", 0) == 5
        late = [(APPLIED, b"3", 0, ())]  # a suspended worker that resumed
        table.app.transport.log.append([(CHANGELOG, 0, late)])
        await table.write_batch(batch(6)).write()
        assert table.applied("legs", 0) == 6

    play(tmp_path, story)


def test_recovery_keeps_the_highest_applied_offset(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        records = [Row(0, key=APPLIED, value=b"12"), Row(1, key=APPLIED, value=b"3")]
        table.restore(TP(CHANGELOG, 0), records, 2)
        assert table.applied("legs", 0) == 12

    play(tmp_path, story)


def test_a_deleted_monotonic_row_starts_over_wherever_the_changelog_is_cut(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        key = watermarks.MONOTONIC[0] + b"row"
        records = [Row(at, key=key, value=value) for at, value in enumerate((b"12", None, b"3", b"2", None))]
        for end, expected in ((1, b"12"), (2, None), (3, b"3"), (4, b"3"), (5, None)):
            for cut in range(end + 1):
                table.restore(TP(CHANGELOG, 0), [Row(0, key=key, value=None)], 0)
                table.restore(TP(CHANGELOG, 0), records[:cut], cut)
                table.restore(TP(CHANGELOG, 0), records[cut:end], end)
                assert table.stored_row(0, key) == expected
            with Fold(tmp_path / "fold", watermarks.MONOTONIC) as fold:
                for record in records[:end]:
                    fold.add(record.key or b"", record.value)
                assert fold.row(key) == expected

    play(tmp_path, story)


MADE_ANEW = """
import asyncio, sys
from pathlib import Path
from typing import Any
sys.path.insert(0, sys.argv[1])
from tables_case import batch, opened

async def story():
    async with opened(Path(sys.argv[2])) as table:
        await table.write_batch(batch(0)).write()
        table.data.of(0).put(b"\\x00changelog", b"99")  # the store knows more of the changelog than there is
        await table.write_batch(batch(1)).write()

asyncio.run(story())
"""


@pytest.mark.matrix("B8")
def test_a_changelog_whose_offsets_go_back_ends_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MADE_ANEW, str(Path(__file__).parents[1]), str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 78, process.stderr
    assert "assigned offset 2 to a write, but the store already holds 99 records" in process.stderr


def rocksdb_property(db: Rdict, name: str) -> int:
    return db.property_int_value(f"rocksdb.{name}") or 0


def test_all_partitions_share_one_cache_that_also_holds_their_indexes(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        first, second = table.data.of(0), table.data.of(1)
        for db in (first, second):
            for number in range(20_000):
                db.put(b"T%05d" % number, b"%05d" % number * 20)
            db.flush()
        assert rocksdb_property(first, "block-cache-capacity") == 32 * 1024 * 1024
        usages = []
        for db in (first, first, second):
            list(db.items())
            usages.append([rocksdb_property(opened, "block-cache-usage") for opened in (first, second)])
        assert all(usage == other for usage, other in usages)
        assert usages[0] == usages[1] < usages[2]
        index_bytes = rocksdb_property(first, "estimate-table-readers-mem")
        assert index_bytes < rocksdb_property(first, "estimate-live-data-size") / 100

    play(tmp_path, story)
