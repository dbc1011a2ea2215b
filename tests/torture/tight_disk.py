"""A disk that can be full: a small file system in memory, shrunk to its content and enlarged again.

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
    """A tmpfs on ``directory``: it uses only as much memory as is written to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @staticmethod
    def missing() -> str:
        """Why this machine cannot have one; empty if it can."""
        if os.geteuid() != 0:
            return "a full disk needs a file system of its own, and only root can mount one"
        return "" if shutil.which("mount") else "there is no `mount` here"

    def mount(self) -> None:
        """Mount it. Raises CalledProcessError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={AMPLE}", "torture", str(self.directory))

    def unmount(self) -> None:
        """Unmount it, and keep its files in the directory; open files stay readable."""
        copy = self.directory.with_name(f"{self.directory.name}-kept")
        shutil.copytree(self.directory, copy, symlinks=True, ignore_dangling_symlinks=True)
        _run("umount", "--lazy", str(self.directory))
        self.directory.rmdir()
        copy.rename(self.directory)

    def fill(self) -> int:
        """Shrink it to its content; returns the bytes on it. Raises OSError if others keep writing."""
        for _ in range(TRIES):
            used_bytes = self._used()
            with contextlib.suppress(subprocess.CalledProcessError):  # more was written meanwhile
                _run("mount", "-o", f"remount,size={used_bytes}", str(self.directory))
                return used_bytes
        raise OSError(f"{self.directory} was written to during each of {TRIES} tries")

    def empty(self) -> None:
        """Enlarge it again."""
        _run("mount", "-o", f"remount,size={AMPLE}", str(self.directory))

    @property
    def full(self) -> bool:
        """Whether no block is free."""
        stats = os.statvfs(self.directory)
        return stats.f_bfree == 0

    def _used(self) -> int:
        stats = os.statvfs(self.directory)
        return (stats.f_blocks - stats.f_bfree) * stats.f_frsize


def use_private_mounts() -> None:
    """Give this process its own mount namespace, so that its mounts vanish with its last child, however that ends.

    Call it from the main thread, before there are others. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "cannot create a mount namespace")
    _run("mount", "--make-rprivate", "/")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
