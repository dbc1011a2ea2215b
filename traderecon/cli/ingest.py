"""``traderecon ingest``: CSV files into the topics, a message per line."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import click

from traderecon.addresses import EMBEDDED
from traderecon.batch.inputs import Input, InputError
from traderecon.cli.broker import input_partitions, run
from traderecon.cli.console import counted, fail, printable, progress, say
from traderecon.cli.files import Named, named
from traderecon.cli.rules import effective_settings
from traderecon.client.connection import connected
from traderecon.client.outbox import Outbox
from traderecon.exit_codes import Exit
from traderecon.intake import Rows, blank, message_of
from traderecon.records import Source
from traderecon.settings import Settings
from traderecon.topics import topics
from traderecon.transport.log.open_log import NAME as LOG
from traderecon.transport.microbatch import Outgoing

LINE_BYTES = 300_000
"""A longer line is sent without its end: it is far too long for a leg, and its beginning says whose it is."""
FLUSH_LINES = 5_000
FLUSH_BYTES = 8_000_000
"""What waits to be sent is never more: a file of any size takes the same memory."""
_LONG_BYTES = 10_000_000


class _Part(NamedTuple):
    """A file, and the topic it goes to."""

    file: Input
    topic: str


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--topic",
    metavar="T",
    help=f"One of {', '.join(Source)}. Default: what each file is called before its .csv",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as one line of JSON.")
def ingest(*, files: tuple[Path, ...], topic: str | None, as_json: bool) -> None:
    """Send CSV files to the topics, a message per line; FILE may be a pattern, or - for stdin with --topic.

    The first line names the columns. A line that is malformed is sent all the same, and becomes a dead letter with its
    reason; its neighbours are reconciled. The same file again changes no verdict: a leg is known by its content. A
    malformed line is another dead letter.
    """
    settings = effective_settings()
    parts = [_opened(file, *_destination(file.path, topic, settings)) for file in named(files)]
    say(f"sending to {_log(settings)}")
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


def _log(settings: Settings) -> str:
    """Where the messages go, said before they do: the default depends on the directory one is in."""
    if not settings.broker.startswith(EMBEDDED):
        return settings.broker
    file = settings.data_dir / LOG
    return f"the embedded log {file}" + ("" if file.exists() else ", which is new")


def _destination(path: Path, topic: str | None, settings: Settings) -> tuple[Source, str]:
    """The feed a file belongs to and its topic; wrong usage where neither its name nor --topic is one."""
    inputs = topics(settings.topic_prefix).inputs
    for full, source in inputs.items():
        if (topic or path.stem) in {source.value, full}:
            return source, full
    known = ", ".join(Source)
    if topic is not None:
        raise click.BadParameter(f"{topic} is no input topic: name one of {known}", param_hint="--topic")
    raise click.UsageError(f"{path}: which feed is it? Name it like one of {known} (.csv), or say --topic")


def _opened(file: Named, source: Source, topic: str) -> _Part:
    try:
        opened = Input.open(source, *file)
    except InputError as error:
        fail(Exit.INPUT, str(error))
    if opened.unread:
        say(f"{opened.name}: not ours, sent along: {printable(', '.join(opened.unread))}")
    return _Part(opened, topic)


async def _send(parts: list[_Part], settings: Settings, sent: Counter[str], advance: Callable[[int], None]) -> None:
    async with connected(settings) as client:
        partitions = await input_partitions(client, settings)
        outbox = Outbox(client, sent)
        for part in parts:
            await _send_file(part, partitions[part.topic], outbox, advance)


async def _send_file(part: _Part, partitions: int, outbox: Outbox, advance: Callable[[int], None]) -> None:
    """Every line of a file; a record without a key goes round the partitions."""
    rows = Rows(part.file.source, part.file.header)
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
        fail(Exit.INPUT, f"{part.file.path}: cannot be read on ({error.strerror}); what was read before is sent")
    except InputError as error:
        fail(Exit.INPUT, str(error))


def _lines(source: Input, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The lines below the header, without their line breaks and no longer than ``LINE_BYTES``."""
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
