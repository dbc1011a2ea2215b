"""Shared homes: a home belongs to the process whose id is in its lock file."""

import fcntl
from pathlib import Path

import pytest

from torture.homes import OwnHome, SharedHome
from torture.waiting import Missed


def home_of(data_dir: Path, number: int, pid: int) -> Path:
    home = data_dir / f"worker-{number}"
    (home / "matching").mkdir(parents=True)
    (home / "worker.lock").write_text(f"{pid}\n")
    (home / "name").write_text(f"n{number}\n")
    return home


def test_an_instance_has_the_name_stored_in_its_home(tmp_path: Path) -> None:
    home_of(tmp_path, 0, 100)
    home_of(tmp_path, 1, 101)
    assert SharedHome(tmp_path).instance(101) == "worker-n1"
    assert SharedHome(tmp_path).instance(102) == ""


def test_wiping_a_home_removes_no_other_home(tmp_path: Path) -> None:
    first, second = home_of(tmp_path, 0, 100), home_of(tmp_path, 1, 101)
    assert SharedHome(tmp_path).wipe(100) == 2
    assert not first.exists()
    assert second.exists()


def test_a_home_that_another_worker_took_is_not_wiped(tmp_path: Path) -> None:
    home = home_of(tmp_path, 0, 100)
    with (home / "worker.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Missed, match="taken worker-0"):
            SharedHome(tmp_path).wipe(100)
    (home / "worker.lock").write_text("101\n")
    with pytest.raises(Missed, match="process 100"):
        SharedHome(tmp_path).wipe(100)
    assert home.exists()


def test_an_own_home_has_the_given_name(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    home = OwnHome("w1", tmp_path / "disk")
    assert home.instance(100) == "w1"
    assert home.wipe(100) == 1
    assert home.wipe(100) == 0
