"""A worker takes the lowest free home, and finds its name and its tables again."""

import os
from pathlib import Path

from traderecon.identity import Identity
from traderecon.worker_home import take_home

LOG = Identity("a", "", 4)


def test_z3_workers_of_one_data_directory_have_homes_of_their_own(tmp_path: Path) -> None:
    first, second = take_home(tmp_path, LOG), take_home(tmp_path, LOG)
    assert [home.directory.name for home in (first, second)] == ["worker-0", "worker-1"]
    assert first.name != second.name
    first.lock.release()
    again = take_home(tmp_path, LOG)
    assert (again.directory, again.name) == (first.directory, first.name)
    second.lock.release()
    again.lock.release()


def test_z3_a_home_whose_worker_was_killed_is_waited_for_until_its_forks_have_ended(tmp_path: Path) -> None:
    heard, held = os.pipe()
    if not (worker := os.fork()):
        take_home(tmp_path, LOG)
        if not os.fork():
            os.read(heard, 1)
            os._exit(0)
        os._exit(0)
    os.waitpid(worker, 0)
    assert take_home(tmp_path, LOG).directory.name == "worker-1"
    os.write(held, b"e")
    assert take_home(tmp_path, LOG).directory.name == "worker-0"
