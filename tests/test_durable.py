"""Durable files: complete, private, synced, and never created over an existing one."""

import os
from pathlib import Path

import pytest

from traderecon import durable


def recorded_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs, renames and links from now on, in order."""
    calls: list[str] = []
    sync, rename, link = os.fsync, Path.replace, os.link

    def fsync(file: int) -> None:
        calls.append("directory" if Path(f"/proc/self/fd/{file}").resolve().is_dir() else "file")
        sync(file)

    def record_rename(path: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(path, target)

    def record_link(path: Path, target: Path) -> None:
        calls.append("link")
        link(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", record_rename)
    monkeypatch.setattr(os, "link", record_link)
    return calls


def test_a_file_is_synced_before_it_gets_its_name_and_the_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded_calls(monkeypatch)
    durable.replace(tmp_path / "a", b"1")
    durable.replace(tmp_path / "a", b"2")
    durable.create(tmp_path / "b", b"3")
    assert calls == ["file", "rename", "directory", "file", "rename", "directory", "file", "link", "directory"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"2", "b": b"3"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_an_existing_file_is_not_overwritten_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    durable.create(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        durable.create(tmp_path / "a", b"2")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "x").touch()
    with pytest.raises(OSError, match="directory"):
        durable.replace(tmp_path / "directory", b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "directory"]
    assert (tmp_path / "a").read_bytes() == b"1"
