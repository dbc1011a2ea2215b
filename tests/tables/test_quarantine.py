"""A store whose files are damaged, missing or of another format is put aside and rebuilt, or rejected."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from faust.types import TP
from tables_case import CHANGELOG, batch, play

from traderecon.tables import BatchTable

TRADES, BATCHES = 400, 5
KEYS = [b"T%04d" % number for number in range(TRADES)]


async def filled(table: BatchTable) -> None:
    """``BATCHES`` rows, each but the last in its own file."""
    for turn in range(BATCHES):
        write_batch = table.write_batch(batch(turn))
        for key in KEYS[turn::BATCHES]:
            write_batch.put(key, key * 40)
        if turn == BATCHES - 1:
            table.data.of(0).flush()
        await write_batch.write()


async def recovered(table: BatchTable) -> None:
    """Recover the table, as a worker does before it starts."""
    changelog, log = TP(CHANGELOG, 0), table.app.transport.log
    span = range(table.next_changelog_offset(0), log.end(*changelog))
    async for tp, records in table.app.transport.read({changelog: span}):
        table.restore(tp, records, records[-1].offset + 1)
    table.restore(changelog, (), span.stop)


def whole(table: BatchTable) -> bool:
    return dict(table.write_batch(batch(BATCHES)).scan(b"T")) == {key: key * 40 for key in KEYS}


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def store_of(directory: Path) -> Path:
    (store,) = directory.glob("v1/tables/*.db")
    return store


def sst_of(directory: Path) -> Path:
    return max(store_of(directory).glob("*.sst"), key=lambda path: path.stat().st_size)


@pytest.mark.matrix("S2")
def test_unreadable_rows_are_never_skipped(tmp_path: Path) -> None:
    play(tmp_path, filled)
    flip(sst_of(tmp_path))

    async def read(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(BATCHES))
        with pytest.raises(Exception, match="Corruption"):
            dict(write_batch.scan(b"T"))
        with pytest.raises(Exception, match="Corruption"):
            write_batch.stored(b"T")
        for key in KEYS:  # each is read unchanged, or not at all
            stored = [(key, key * 40)]
            with suppress(Exception):
                stored = write_batch.stored(key)
            assert stored == [(key, key * 40)]

    play(tmp_path, read)


@pytest.mark.matrix("S2")
def test_a_store_with_a_flipped_bit_is_rebuilt_from_its_changelog(tmp_path: Path) -> None:
    play(tmp_path, filled)
    flip(sst_of(tmp_path))

    async def detect(table: BatchTable) -> None:
        try:
            dict(table.write_batch(batch(BATCHES)).scan(b"T"))
        except Exception as error:
            table.condemn_if_unreadable(0, error)

    async def again(table: BatchTable) -> None:
        await recovered(table)
        assert whole(table)
        assert table.applied("legs", 0) == BATCHES - 1

    play(tmp_path, detect)
    play(tmp_path, again)
    assert store_of(tmp_path).with_name(f"{store_of(tmp_path).name}.quarantine").is_dir()
    assert not list(tmp_path.glob("v1/tables/*.condemned"))


def gone(name: str) -> Callable[[Path], None]:
    def remove(store: Path) -> None:
        for path in store.glob(name):
            path.unlink()

    return remove


def flipped(name: str) -> Callable[[Path], None]:
    def turn(store: Path) -> None:
        for path in store.glob(name):
            flip(path)

    return turn


def halved(store: Path) -> None:
    for path in store.glob("*.sst"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "CURRENT is gone": gone("CURRENT"),
    "the manifest is gone": gone("MANIFEST-*"),
    "the rows are gone": gone("*.sst"),
    "everything is gone": gone("*"),
    "CURRENT says something else": flipped("CURRENT"),
    "the manifest has a flipped bit": flipped("MANIFEST-*"),
    "the file of rows is cut": halved,
    "the lock is left over": lambda store: (store / "LOCK").write_text("somebody"),  # type: ignore[dict-item]
}


@pytest.mark.matrix("S2")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_rebuilt_and_never_starts_empty(tmp_path: Path, damage: str) -> None:
    play(tmp_path, filled)
    DAMAGE[damage](store_of(tmp_path))

    async def again(table: BatchTable) -> None:
        await recovered(table)
        assert whole(table)
        await table.write_batch(batch(BATCHES)).write()

    play(tmp_path, again)


def test_only_the_last_quarantined_store_is_kept(tmp_path: Path) -> None:
    play(tmp_path, filled)
    for _ in range(2):
        gone("CURRENT")(store_of(tmp_path))
        play(tmp_path, recovered)
    assert len(list(tmp_path.glob("v1/tables/*.quarantine"))) == 1


REFUSED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tables_case import batch, opened

async def story():
    async with opened(Path(sys.argv[2])) as table:
        await table.write_batch(batch(0)).write()
        exec(sys.argv[3])
        await table.data.stop()
        table.applied("legs", 0)

asyncio.run(story())
"""


@pytest.mark.matrix("P10")
@pytest.mark.parametrize(
    "change", ['table.data.of(0).put(b"\\x00format", b"2")', 'table.data.of(0).put(b"\\x00applied\\x00legs", b"7 2")']
)
def test_rows_of_a_newer_format_are_rejected_naming_both_formats(tmp_path: Path, change: str) -> None:
    command = [sys.executable, "-c", REFUSED, str(Path(__file__).parents[1]), str(tmp_path), change]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 78, process.stderr
    assert "has rows of format 2, this version reads 1" in process.stderr


@pytest.mark.matrix("P10")
def test_a_store_without_a_format_has_the_first(tmp_path: Path) -> None:
    async def before(table: BatchTable) -> None:
        await filled(table)
        table.data.of(0).delete(b"\x00format")

    async def after(table: BatchTable) -> None:
        assert whole(table)
        assert table.data.of(0).get(b"\x00format") == b"1"

    play(tmp_path, before)
    play(tmp_path, after)


LITTLE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
import asyncio
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tables_case import batch, opened

async def story():
    async with opened(Path(sys.argv[2])) as table:
        held = [open("/dev/null") for _ in range(100) if len(__import__("os").listdir("/proc/self/fd")) < 23]
        table.applied("legs", 0)

asyncio.run(story())
"""


@pytest.mark.matrix("S11")
def test_too_few_open_files_are_reported_and_no_store_is_quarantined(tmp_path: Path) -> None:
    play(tmp_path, filled)
    command = [sys.executable, "-c", LITTLE, str(Path(__file__).parents[1]), str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 78, process.stderr
    assert "the limit of open files is too low" in process.stderr
    assert not list(tmp_path.glob("v1/tables/*.quarantine"))
    play(tmp_path, recovered)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tables_case import batch, opened
from traderecon.tables import store
store.WRITE_BUFFER_BYTES = 65_536

async def story():
    async with opened(Path(sys.argv[2])) as table:
        first = table.applied("legs", 0) + 1
        for turn in range(first, first + 10_000):
            write_batch = table.write_batch(batch(turn))
            for number in range(40):
                write_batch.put(b"T%02d%06d" % (number, turn % 50), b"%d " % turn + bytes(500))
            await write_batch.write()
            print(turn, flush=True)

asyncio.run(story())
"""


@pytest.mark.matrix("K11")
def test_a_store_killed_during_flush_or_compaction_is_a_prefix_of_its_changelog(tmp_path: Path) -> None:
    for batches in (1, 40, 90):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(Path(__file__).parents[1]), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as worker:
            assert worker.stdout is not None
            for _ in range(batches):
                assert worker.stdout.readline()
            worker.kill()
    for journal in store_of(tmp_path).glob("*.log"):
        if journal.stat().st_size:
            flip(journal)  # the last write is damaged

    async def judged(table: BatchTable) -> None:
        await recovered(table)
        newest: dict[bytes, bytes | None] = {}
        log = table.app.transport.log
        async for _, records in table.app.transport.read({TP(CHANGELOG, 0): range(log.end(CHANGELOG, 0))}):
            newest |= {record.key: record.value for record in records}
        expected = {key: value for key, value in newest.items() if key.startswith(b"T")}
        assert dict(table.write_batch(batch(0)).scan(b"T")) == expected
        assert table.applied("legs", 0) >= 120

    play(tmp_path, judged)
