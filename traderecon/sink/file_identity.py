"""The identity of a database file: equal for all workers on one machine that have it open, different for any copy.

file_identity("/var/lib/traderecon.db")  ->  "9c01e5a2b3d4f607"

Device and inode identify a file within a running kernel; the kernel's boot id tells machines apart. The identity is
only compared between running workers and never stored: it may change when the machine restarts.
"""

import socket
from pathlib import Path

from traderecon import clock
from traderecon.records.digest import sha256


def file_identity(path: str) -> str:
    """The identity, 16 hexadecimal digits. OSError: there is no such file."""
    status = Path(path).stat()
    kernel = clock.boot_id() or socket.gethostname()
    return sha256(f"{kernel} {status.st_dev} {status.st_ino}".encode())[:16]
