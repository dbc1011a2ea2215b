"""The tools of the faults: a disk that is full, a clock that jumps, a database that is locked."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from torture.held_database import LockedDatabase
from torture.reported_clock import JumpingClock
from torture.tight_disk import TightDisk

TESTS = Path(__file__).parents[1]
BOUND_S = 60
DAY_S = 86_400


def test_a_full_disk_rejects_writes_and_keeps_its_files_after_unmount(tmp_path: Path) -> None:
    if TightDisk.missing():
        assert os.geteuid() != 0
        return
    disk = TightDisk(tmp_path / "disk")
    disk.mount()
    try:
        (disk.directory / "kept").write_bytes(b"x" * 50_000)
        assert disk.fill() >= 50_000
        assert disk.full
        with pytest.raises(OSError, match="No space left") as refused:
            (disk.directory / "more").write_bytes(b"y" * 50_000)
        assert refused.value.errno == errno.ENOSPC
        disk.empty()
        (disk.directory / "more").write_bytes(b"y" * 50_000)
    finally:
        disk.unmount()
    assert {path.name: path.stat().st_size for path in disk.directory.iterdir()} == {"kept": 50_000, "more": 50_000}


REPORT_CLOCK = "import time; from torture.reported_clock import report_clock; report_clock(); time.sleep(0.1); input()"


@pytest.mark.matrix("C1")
def test_a_worker_reports_the_shift_its_clock_was_set_to(tmp_path: Path) -> None:
    if why := JumpingClock.missing():
        assert "libfaketime" in why
        return
    clock = JumpingClock(tmp_path, "w1")
    environment = {**os.environ, **clock.environment, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen([sys.executable, "-c", REPORT_CLOCK], env=environment, stdin=subprocess.PIPE) as worker:
        try:
            for shift_s in (0, DAY_S, -300):
                clock.jump(shift_s)
                deadline_s = time.monotonic() + BOUND_S
                while (reported_s := clock.shift_s) is None or abs(reported_s - shift_s) > 1:
                    assert time.monotonic() < deadline_s, reported_s
                    assert worker.poll() is None
        finally:
            worker.kill()


def test_a_locked_database_can_be_read_but_not_written(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE rows (number)")
        locked = LockedDatabase(path)
        locked.hold()
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            connection.execute("INSERT INTO rows VALUES (1)")
        locked.release()
        connection.execute("INSERT INTO rows VALUES (1)")
    with pytest.raises(OSError, match="there is no database"):
        LockedDatabase(tmp_path / "none.db").hold()
