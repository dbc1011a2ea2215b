"""The three CSV files of a simulated day, replaced all together."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from traderecon.records import Source
from traderecon.simulator.feed import Message
from traderecon.simulator.profiles import Profile
from traderecon.simulator.rows import header


def write_csv(messages: Iterable[Message], profile: Profile, directory: Path) -> dict[Path, int]:
    """Write a file per source into the directory, created if missing; returns the number of rows in each.

    Existing files are replaced once all are complete. OSError: a file could not be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = dict.fromkeys(Source, 0)
    with TemporaryDirectory(dir=directory, prefix=".simulate-") as unfinished:
        with ExitStack() as files:
            write = {}
            for source in Source:
                path = Path(unfinished, _name(source))
                # Malformed on purpose: surrogates stand for bytes that are not UTF-8.
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
