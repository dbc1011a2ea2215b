"""Addresses: paths survive the round trip to a URL, whatever their names; every command finds the same files."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from faust.utils.urls import urllist
from hypothesis import given
from hypothesis import strategies as st

from traderecon.addresses import EMBEDDED, embedded_directory, embedded_url, sqlite_path, sqlite_url

pytestmark = pytest.mark.system

BOUND_S = 120
ODD = "a#b ?c=%20;d,e&é\n@:'\""
"""A directory name with characters that are special to every parser involved."""

names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@given(names)
def test_a_path_survives_the_round_trip_to_a_url(name: str) -> None:
    for path in (Path(name), Path("/") / name, Path("relative") / name):
        assert sqlite_path(sqlite_url(path)) == path
    absolute = Path("/srv") / name
    assert embedded_directory(embedded_url(absolute)) == absolute
    (url,) = urllist(embedded_url(absolute))  # as Faust hands it to the transport
    assert embedded_directory(EMBEDDED + url.raw_path) == absolute


@pytest.mark.parametrize("url", ["postgresql://h/db", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_urls_without_a_file(url: str) -> None:
    assert sqlite_path(url) is None


def traderecon(folder: Path, *words: str, data_dir: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "traderecon", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TRADERECON_DATA_DIR": data_dir},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["absolute", "relative", "symlink"])
def test_every_command_finds_the_same_log_and_database_whatever_the_name_of_the_directory(
    tmp_path: Path, kind: str
) -> None:
    directory = tmp_path / ODD
    directory.mkdir()
    (tmp_path / "link").symlink_to(directory)
    data_dir = {"absolute": str(directory), "relative": ODD, "symlink": str(tmp_path / "link")}[kind]
    traderecon(tmp_path, "demo", "--trades", "30", data_dir=data_dir)
    traderecon(tmp_path, "simulate", "--trades", "30", data_dir=data_dir)
    assert "OK" in traderecon(tmp_path, "doctor", data_dir=data_dir)
    assert traderecon(tmp_path, "db", "current", data_dir=data_dir) != "none\n"
    traderecon(tmp_path, "audit", "verify", data_dir=data_dir)
    for name in ("log.db", "traderecon.db"):
        assert [path.parent for path in tmp_path.rglob(name)] == [directory]
    with closing(sqlite3.connect(directory / "traderecon.db")) as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (30,)
