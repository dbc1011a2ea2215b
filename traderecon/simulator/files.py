"""The three CSV files of a simulated day: all of them, or none."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from traderecon.records import Source
from traderecon.simulator.feed import Message
from traderecon.simulator.profiles import Profile
from traderecon.simulator.rows import header


def write_csv(messages: Iterable[Message], profile: Profile, directory: Path) -> dict[Path, int]:
    """Write a file per source into the directory, made if missing; gives the rows in each.

    Files that are already there are replaced once all are written. OSError: what could not be written, and why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = dict.fromkeys(Source, 0)
    with TemporaryDirectory(dir=directory, prefix=".simulate-") as unfinished:
        with ExitStack() as files:
            write = {}
            for source in Source:
                path = Path(unfinished, _name(source))
                # Malformed on purpose: surrogates are the bytes that are no UTF-8.
                file = files.enter_context(path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n"))
                file.write(header(source, profile) + "\n")
                write[source] = file.write
            for message in messages:
                source = message.source
                write[source](message.row + "\n")
                rows[source] += 1
        for source in Source:
            Path(unfinished, _name(source)).replace(directory / _name(source))
    return {directory / _name(source): count for source, count in rows.items()}


def _name(source: Source) -> str:
    return f"{source}.csv"
