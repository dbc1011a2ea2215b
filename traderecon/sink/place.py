"""The place of a database file on the machine that has it open: equal for its workers, another one for any copy.

place_of("/var/lib/traderecon.db")  ->  "9c01e5a2b3d4f607"

Device and inode tell a file from every other of a running kernel, the kernel's boot id tells that from other machines.
It is compared between workers that run now, and stored nowhere: it may change when the machine starts again.
"""

import socket
from pathlib import Path

from traderecon import clock
from traderecon.records.digest import sha256


def place_of(path: str) -> str:
    """The place, 16 hexadecimal digits. OSError where there is no such file."""
    found = Path(path).stat()
    kernel = clock.boot_id() or socket.gethostname()
    return sha256(f"{kernel} {found.st_dev} {found.st_ino}".encode())[:16]
