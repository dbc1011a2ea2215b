"""What is released: the sdist has the whole tree, and the wheel everything that runs."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both, built as `make dist` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


def test_the_sdist_has_every_file_of_the_tree(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in tracked if (ROOT / name).exists()} - names == set()


def test_the_wheel_has_every_file_of_the_packages(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "traderecon", "tables"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    installed = {
        name.replace("tables/", "traderecon/tables/", 1) if name.startswith("tables/") else name for name in tracked
    }
    missing = {name for name in installed if not name.endswith(".md")} - names
    assert {name for name in missing if (ROOT / name).exists()} == set()
