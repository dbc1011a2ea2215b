"""Files that are named on a command line: one, several, a pattern, or what comes in on stdin.

("a.csv", "day-*.csv", "-")  ->  Named(path, label), ...       each once, a pattern's in the order of their names
"""

import errno
import shutil
import sys
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn

import click

from traderecon.cli.console import fail
from traderecon.exit_codes import Exit

STDIN = "-"
_NOT_WRITABLE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}


class Named(NamedTuple):
    """A file to read, and what to call it; empty: by its own name."""

    path: Path
    label: str = ""


def named(patterns: Iterable[str | Path]) -> list[Named]:
    """The files of these names and patterns; ends the command where a pattern matches none (3)."""
    found: list[Named] = []
    for pattern in map(str, patterns):
        if pattern == STDIN:
            found.append(Named(_stdin(), "stdin"))
        elif has_magic(pattern) and not Path(pattern).exists():
            paths = sorted(glob(pattern, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
            matching = [Path(path) for path in paths if not Path(path).is_dir()]
            if not matching:
                fail(Exit.INPUT, f"{pattern}: no file is called like this")
            found += map(Named, matching)
        else:
            found.append(Named(Path(pattern)))
    return found


def unwritten(file: Path, error: OSError) -> NoReturn:
    """End the command where a file it names cannot be written: 2, or 70 where the disk failed or is full."""
    if isinstance(error, FileExistsError):
        fail(Exit.USAGE, f"{file}: is there already, and is not overwritten: name another, or move it away")
    code = Exit.USAGE if error.errno in _NOT_WRITABLE else Exit.SOFTWARE
    fail(code, f"{file}: cannot be written ({error.strerror}): name a file in a directory that is there and yours")


def _stdin() -> Path:
    """What comes in on stdin, in a file of its own until the command ends: a file is read more than once."""
    context = click.get_current_context()
    if context.meta.setdefault("traderecon.stdin", False):
        raise click.UsageError("- is named more than once, and stdin can be read once")
    context.meta["traderecon.stdin"] = True
    folder = context.with_resource(TemporaryDirectory(prefix="traderecon-"))
    path = Path(folder) / "stdin.csv"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path
