"""Files on a command line: names, patterns, or stdin.

("a.csv", "day-*.csv", "-")  ->  NamedFile(path, label), ...       the matches of a pattern in the order of their names
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


class NamedFile(NamedTuple):
    """A file to read; ``label`` is what messages call it, empty for its own name."""

    path: Path
    label: str = ""


def expand(patterns: Iterable[str | Path]) -> list[NamedFile]:
    """The files of these names and patterns; ends the command with 3 if a pattern matches no file."""
    files: list[NamedFile] = []
    for pattern in map(str, patterns):
        if pattern == STDIN:
            files.append(NamedFile(_stdin(), "stdin"))
        elif has_magic(pattern) and not Path(pattern).exists():
            paths = sorted(glob(pattern, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
            matches = [Path(path) for path in paths if not Path(path).is_dir()]
            if not matches:
                fail(Exit.INPUT, f"{pattern}: no file matches this pattern")
            files += map(NamedFile, matches)
        else:
            files.append(NamedFile(Path(pattern)))
    return files


def fail_to_write(file: Path, error: OSError) -> NoReturn:
    """End the command because a file cannot be written: 2, or 70 if the disk failed or is full."""
    if isinstance(error, FileExistsError):
        fail(Exit.USAGE, f"{file}: exists already and is not overwritten: choose another name, or move it away")
    code = Exit.USAGE if error.errno in _NOT_WRITABLE else Exit.SOFTWARE
    fail(code, f"{file}: cannot be written ({error.strerror}): choose a file in a directory that this user can write")


def _stdin() -> Path:
    """A copy of stdin on disk until the command ends, because files are read more than once."""
    context = click.get_current_context()
    if context.meta.setdefault("traderecon.stdin", False):
        raise click.UsageError("- is given more than once, but stdin can only be read once")
    context.meta["traderecon.stdin"] = True
    folder = context.with_resource(TemporaryDirectory(prefix="traderecon-"))
    path = Path(folder) / "stdin.csv"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path
