"""A disk that can be full: a small file system in memory, shrunk to what is on it, and given room again.

TightDisk(directory): mount -> fill, empty -> unmount        needs root
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from pathlib import Path

AMPLE = "2g"
TRIES = 50
NEW_MOUNTS = 0x20000


class TightDisk:
    """A tmpfs on ``directory``: it takes as much of the machine's memory as is written, not what it could hold."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @staticmethod
    def missing() -> str:
        """Why there can be none here; nothing where there can."""
        if os.geteuid() != 0:
            return "a full disk needs a file system of its own, and only root can mount one"
        return "" if shutil.which("mount") else "there is no `mount` here"

    def mount(self) -> None:
        """Make it. Raises CalledProcessError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={AMPLE}", "torture", str(self.directory))

    def unmount(self) -> None:
        """Take it away, with what is on it kept where it was; whoever still reads there may go on."""
        kept = self.directory.with_name(f"{self.directory.name}-kept")
        shutil.copytree(self.directory, kept, symlinks=True, ignore_dangling_symlinks=True)
        _run("umount", "--lazy", str(self.directory))
        self.directory.rmdir()
        kept.rename(self.directory)

    def fill(self) -> int:
        """Leave no room; how many bytes are on it. Raises OSError where others write faster than this."""
        for _ in range(TRIES):
            used = self._used()
            with contextlib.suppress(subprocess.CalledProcessError):  # more was written meanwhile
                _run("mount", "-o", f"remount,size={used}", str(self.directory))
                return used
        raise OSError(f"{self.directory} does not hold still for {TRIES} tries")

    def empty(self) -> None:
        """Give room again."""
        _run("mount", "-o", f"remount,size={AMPLE}", str(self.directory))

    @property
    def full(self) -> bool:
        """Whether not a page is free."""
        room = os.statvfs(self.directory)
        return room.f_bfree == 0

    def _used(self) -> int:
        room = os.statvfs(self.directory)
        return (room.f_blocks - room.f_bfree) * room.f_frsize


def mount_for_oneself() -> None:
    """From now on what this process and its children mount goes with the last of them, however they end.

    For the main thread, before there are others. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mounts of one's own")
    _run("mount", "--make-rprivate", "/")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
