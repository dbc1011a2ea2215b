"""Small files that survive a power cut: whole, private, synced, and never over one that is there."""

import os
from pathlib import Path

import pytest

from traderecon import durable


def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced from here on, and put in place, in order."""
    done: list[str] = []
    sync, rename, link = os.fsync, Path.replace, os.link

    def fsync(file: int) -> None:
        done.append("directory" if Path(f"/proc/self/fd/{file}").resolve().is_dir() else "file")
        sync(file)

    def replaced(path: Path, target: Path) -> Path:
        done.append("rename")
        return rename(path, target)

    def linked(path: Path, target: Path) -> None:
        done.append("link")
        link(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(os, "link", linked)
    return done


def test_a_file_is_synced_before_it_is_there_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = synced(monkeypatch)
    durable.replace(tmp_path / "a", b"1")
    durable.replace(tmp_path / "a", b"2")
    durable.create(tmp_path / "b", b"3")
    assert done == ["file", "rename", "directory", "file", "rename", "directory", "file", "link", "directory"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"2", "b": b"3"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_what_is_there_is_not_overwritten_and_no_draft_is_left(tmp_path: Path) -> None:
    durable.create(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        durable.create(tmp_path / "a", b"2")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "x").touch()
    with pytest.raises(OSError, match="directory"):
        durable.replace(tmp_path / "directory", b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "directory"]
    assert (tmp_path / "a").read_bytes() == b"1"
