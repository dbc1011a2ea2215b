"""A worker takes the lowest free home, and finds its name and tables again."""

from pathlib import Path

import pytest

from traderecon.worker.home import take_home
from traderecon.worker.identity import Identity

LOG = Identity("a", "", 4)


@pytest.mark.matrix("Z3")
def test_workers_of_one_data_directory_have_homes_of_their_own(tmp_path: Path) -> None:
    first, second = take_home(tmp_path, LOG), take_home(tmp_path, LOG)
    assert [home.directory.name for home in (first, second)] == ["worker-0", "worker-1"]
    assert first.name != second.name
    first.lock.release()
    again = take_home(tmp_path, LOG)
    assert (again.directory, again.name) == (first.directory, first.name)
    second.lock.release()
    again.lock.release()


def test_each_process_of_a_stage_has_its_own_directory_and_name(tmp_path: Path) -> None:
    home = take_home(tmp_path, LOG)
    first, second = home.share(1), home.share(2)
    assert first is home
    assert second.directory.parent == home.directory
    assert second.name == f"{home.name}-2"
    home.lock.release()
