"""The log and crashing processes: acknowledged appends are there, once and at their offsets; none is partial."""

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traderecon.transport.log import Log

pytestmark = pytest.mark.system

TESTS = Path(__file__).parents[1]
END_S = 600

LIVES = 50
SEED = 20_260_731

APPENDER = """
import sys
from pathlib import Path
from traderecon.transport.log import Log
path, name, count = sys.argv[1:]
with Log.open(Path(path)) as log:
    log.create("legs", 2)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(count)):
        value = f"{name} {number}".encode()
        log.append([("legs", 0, [(None, value, 0, ())]), ("legs", 1, [(None, value, 0, ())] * 3)])
"""


def test_a_writer_killed_again_and_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "log_lives", str(LIVES), str(SEED), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=END_S,
    )
    assert done.returncode == 0, done.stderr
    seen = re.fullmatch(r"(\d+) lives, (\d+) steps acknowledged, (\d+) done and not told, \d+ records\n", done.stdout)
    assert seen, done.stdout
    lives, acknowledged, _ = map(int, seen.groups())
    assert lives == LIVES
    assert acknowledged > LIVES


def test_two_processes_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    count = 150
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, path, name, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("ours", "theirs")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=END_S)
        assert writer.returncode == 0
    with Log.open(path) as log:
        records = log.read("legs", 0, 0, 10_000)
        assert [record.offset for record in records] == list(range(2 * count))
        assert [record.value for record in log.read("legs", 1, 0, 10_000)] == [
            record.value for record in records for _ in range(3)
        ]
    for name in (b"ours", b"theirs"):
        mine = [record.value for record in records if record.value and record.value.startswith(name)]
        assert mine == [b"%s %d" % (name, number) for number in range(count)]


APPENDS = 20


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A log file and its write-ahead log, after some appends."""
    path = tmp_path_factory.mktemp("written") / "log.db"
    with Log.open(path) as log:
        log.create("legs", 2)
        file = path.read_bytes()
        for number in range(APPENDS):
            value = b"%d" % number
            log.append([("legs", 0, [(None, value, 0, ())]), ("legs", 1, [(None, value * 500, 0, ())] * 3)])
        assert path.read_bytes() == file  # everything is still in the write-ahead log
        return file, Path(f"{path}-wal").read_bytes()


@pytest.mark.matrix("S8")
@given(fraction=st.fractions(0, 1))
@example(fraction=Fraction(1))
def test_a_power_cut_leaves_whole_appends(fraction: Fraction, written: tuple[bytes, bytes]) -> None:
    file, wal = written
    with TemporaryDirectory() as directory:
        path = Path(directory, "log.db")
        path.write_bytes(file)
        Path(f"{path}-wal").write_bytes(wal[: int(len(wal) * fraction)])
        with Log.open(path) as log:
            if not log.topics():
                assert fraction < 1
                return
            appended = log.end("legs", 0)
            assert log.end("legs", 1) == 3 * appended
            assert appended == APPENDS or fraction < 1
            values = [b"%d" % number for number in range(appended)]
            assert [record.value for record in log.read("legs", 0, 0, 100)] == values
            assert [record.value for record in log.read("legs", 1, 0, 100)][::3] == [value * 500 for value in values]
            assert log.append([("legs", 0, [(None, b"after", 0, ())])]) == [appended]
