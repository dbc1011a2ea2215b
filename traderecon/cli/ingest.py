"""``traderecon ingest``: send CSV files to the input topics, one message per line."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import click

from traderecon.batch.inputs import Input, InputError
from traderecon.cli.broker import input_partitions, log_name, run
from traderecon.cli.console import counted, fail, printable, progress, say
from traderecon.cli.files import NamedFile, expand
from traderecon.cli.rules import effective_settings, effective_sources
from traderecon.client.connection import connected
from traderecon.client.outbox import Outbox
from traderecon.exit_codes import Exit
from traderecon.intake import SettingsBySource, blank, message_of
from traderecon.records import Source
from traderecon.settings import Settings
from traderecon.topics import topics
from traderecon.transport.microbatch import Outgoing

LINE_BYTES = 300_000
"""Longer lines are truncated: they are far too long for a leg, and their start still names the trade."""
FLUSH_LINES = 5_000
FLUSH_BYTES = 8_000_000
"""Unsent messages are bounded: memory does not depend on the size of the file."""
_LONG_BYTES = 10_000_000


class _Part(NamedTuple):
    """A file and its topic."""

    file: Input
    topic: str


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--topic",
    metavar="T",
    help=f"One of {', '.join(Source)}. Default: the name of each file, without .csv.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the number of messages sent, as one line of JSON.")
def ingest(*, files: tuple[Path, ...], topic: str | None, as_json: bool) -> None:
    """Send CSV files to the topics, one message per line; FILE may be a pattern, or - for stdin with --topic.

    The first line names the columns. A malformed line is sent, too: it becomes a dead letter with a reason, and does
    not affect other lines. Sending a file again changes no verdict, because a leg is identified by its content; its
    malformed lines become dead letters again.
    """
    settings = effective_settings()
    sources = effective_sources(settings)
    parts = [_open_part(file, *_destination(file.path, topic, settings), sources) for file in expand(files)]
    say(f"sending to {log_name(settings)}")
    sent: Counter[str] = Counter({part.topic: 0 for part in parts})
    complete = False
    try:
        with progress(sum(part.file.size for part in parts), "sending", long=_LONG_BYTES) as advance:
            run(_send(parts, settings, sent, advance))
        complete = True
    finally:
        if complete or sent.total():
            for name, count in sent.items():
                say(f"{name}: {counted(count, 'message')}")
        if as_json:
            click.echo(json.dumps({"files": [str(path) for path in files], "complete": complete, "topics": dict(sent)}))


def _destination(path: Path, topic: str | None, settings: Settings) -> tuple[Source, str]:
    """The source and topic of a file; a usage error if neither --topic nor the file's name is a topic."""
    inputs = topics(settings.topic_prefix).inputs
    for full, source in inputs.items():
        if (topic or path.stem) in {source.value, full}:
            return source, full
    choices = ", ".join(Source)
    if topic is not None:
        raise click.BadParameter(f"{topic} is not an input topic: choose one of {choices}", param_hint="--topic")
    raise click.UsageError(f"{path}: cannot tell its topic: rename it to one of {choices} (.csv), or give --topic")


def _open_part(file: NamedFile, source: Source, topic: str, sources: SettingsBySource) -> _Part:
    try:
        opened = Input.open(source, *file, sources[source])
    except InputError as error:
        fail(Exit.INPUT, str(error))
    if opened.unknown_columns:
        say(f"{opened.name}: unknown columns, sent unchanged: {printable(', '.join(opened.unknown_columns))}")
    return _Part(opened, topic)


async def _send(parts: list[_Part], settings: Settings, sent: Counter[str], advance: Callable[[int], None]) -> None:
    async with connected(settings) as client:
        partitions = await input_partitions(client, settings)
        outbox = Outbox(client, sent)
        for part in parts:
            await _send_file(part, partitions[part.topic], outbox, advance)


async def _send_file(part: _Part, partitions: int, outbox: Outbox, advance: Callable[[int], None]) -> None:
    """Send every line of a file; lines without a key are spread over the partitions."""
    rows = part.file.rows()
    lines = size = 0
    empty = True
    try:
        for number, raw in enumerate(_lines(part.file, advance)):
            line = raw.decode(errors="surrogateescape")
            if blank(line):
                continue
            key = rows.key(line).encode(errors="surrogateescape") or None
            value = message_of(rows.columns, line, rows.unknown)
            outbox.put(part.topic, (crc32(key) if key else number) % partitions, Outgoing(key, value))
            empty = False
            lines += 1
            size += len(value)
            if lines >= FLUSH_LINES or size >= FLUSH_BYTES:
                await outbox.flush()
                lines = size = 0
        await outbox.flush()
        part.file.require_unchanged()
        if empty:
            say(f"{part.file.name} has no rows")
    except OSError as error:
        fail(Exit.INPUT, f"{part.file.path}: a read failed ({error.strerror}); the lines before it have been sent")
    except InputError as error:
        fail(Exit.INPUT, str(error))


def _lines(source: Input, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The lines after the header, without line breaks, truncated to ``LINE_BYTES``."""
    with source.path.open("rb") as file:
        file.seek(source.start)
        while line := file.readline(LINE_BYTES):
            advance(len(line))
            if line.endswith(b"\n"):
                yield line[:-1].removesuffix(b"\r")
                continue
            yield line
            while (rest := file.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
                advance(len(rest))
