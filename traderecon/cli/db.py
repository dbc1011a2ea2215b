"""``traderecon db``: the tables of the database and their migrations; its backup; a new one made from the topics."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from traderecon.addresses import sqlite_path
from traderecon.audit.backup import Head
from traderecon.audit.backup import backup as copied
from traderecon.audit.rebuild import Rebuilt
from traderecon.audit.rebuild import rebuild as made_anew
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, progress, say
from traderecon.cli.purge import hold, purge
from traderecon.client.connection import connected
from traderecon.exit_codes import Exit
from traderecon.records.formats import OtherFormat
from traderecon.settings import ConfigurationError, Settings, load
from traderecon.sink.database import StoreError
from traderecon.sink.migration import head
from traderecon.sink.store import Store
from traderecon.topics import topics


@click.group()
def db() -> None:
    """Database: make its tables, and bring them up to date."""


@db.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def upgrade(*, as_json: bool) -> None:
    """Run the migrations that are missing. A new database gets all of them."""
    with _store(Store.open) as store:
        before = store.migration()
        store.upgrade()
        after = store.migration()
    if as_json:
        click.echo(json.dumps({"database": store.path, "from": before, "to": after}))
    elif before == after:
        say(f"{store.path}: nothing to do, its tables are at migration {after}")
    else:
        say(f"{store.path}: its tables were at migration {before or 'none'}, they are at {after} now")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def current(*, as_json: bool) -> None:
    """Print the migration of the tables, and the newest one."""
    with _store(Store.existing) as store:
        at = store.migration()
    if as_json:
        click.echo(json.dumps({"database": store.path, "current": at, "head": head()}))
        return
    click.echo(at or "none")
    if at != head():
        say(f"{store.path}: the newest migration is {head()}: run `traderecon db upgrade`")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def backup(*, file: Path, as_json: bool) -> None:
    """Copy the database to FILE, as of one moment; workers may run.

    To restore it: stop the workers, remove traderecon.db, its -wal and its -shm, copy FILE to traderecon.db, start.
    The sink goes on from the offsets in it, and reads from the topics what is missing.
    """
    try:
        made = copied(_settings().database_url, file)
    except StoreError as error:
        fail(error.code, error.sentence)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(made)))
        return
    _print(made.heads)
    say(f"{made.file}: {made.size_bytes:,} bytes, sound")


@db.command()
@click.option("--out", type=click.Path(path_type=Path), help="The new file. Default: traderecon.rebuilt.db beside it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def rebuild(*, out: Path | None, as_json: bool) -> None:
    """Make a new database from the topics, beside the old one.

    The two are compared, and workers may run. Compared are the heads as the old one has them, and when each result
    was decided; its rows are for `audit verify`.
    Exit code 0 where they are the same, or there is no old one; 1 where they differ, or it cannot be read; 78 where a
    topic no longer has its beginning. The old database stays as it is: to use the new one, stop the workers and put it
    in its place.
    """
    settings = _settings()
    old = sqlite_path(settings.database_url) or Path(settings.data_dir, "traderecon.db")
    file = out or old.with_name(f"{old.stem}.rebuilt{old.suffix}")
    try:
        rebuilt = run(_rebuilt(settings, file))
    except StoreError as error:
        fail(error.code, error.sentence)
    except OtherFormat as error:
        fail(error.exit_code, str(error))
    if as_json:
        same = None if rebuilt.compared is None else rebuilt.same
        click.echo(json.dumps({**msgspec.to_builtins(rebuilt), "same": same}))
    else:
        _print(rebuilt.heads)
    say(f"{rebuilt.file}: made from {counted(rebuilt.records, 'record')}")
    if rebuilt.aside:
        say(f"{rebuilt.aside} of them are none of ours, and were passed over as the sink passes over them")
    if rebuilt.compared is None:
        if old.exists():
            fail(Exit.BREAKS, f"nothing was compared, the old database cannot be read: {rebuilt.why}")
        say(f"there is no old database to compare it with: {rebuilt.why}")
        return
    if not rebuilt.same:
        lines = [
            f"{one.topic}[{one.partition}] at offset {one.next_offset}: the old database has head {one.old}, the topic "
            f"comes to {one.new}"
            for one in rebuilt.compared
            if not one.same
        ]
        if rebuilt.times:
            lines.append(f"{rebuilt.times} results have another decided_at in the old database")
        fail(Exit.BREAKS, "\n".join([*lines, "the old database is not what the topics say: `traderecon audit verify`"]))
    say(
        f"all {len(rebuilt.compared)} chains come to the heads the old database has; whether its rows do: `traderecon "
        "audit verify`"
    )


db.add_command(purge)
db.add_command(hold)


async def _rebuilt(settings: Settings, file: Path) -> Rebuilt:
    async with connected(settings) as client:
        names = topics(settings.topic_prefix)
        counts = await client.topics()
        total = sum([sum((await client.ends(name)).values()) for name in names.outputs if name in counts])
        with progress(total, "reading") as advance:
            return await made_anew(
                client, names, settings.database_url, file, prefix=settings.topic_prefix, advance=advance
            )


def _print(heads: Iterable[Head]) -> None:
    for one in heads:
        click.echo(f"{one.topic}[{one.partition}]: next offset {one.next_offset}, head {one.head}")


def _settings() -> Settings:
    try:
        return load()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


@contextmanager
def _store(opening: Callable[[str], Store]) -> Iterator[Store]:
    """The configured database, open; what is wrong with it ends the command."""
    try:
        store = opening(load().database_url)
        try:
            yield store
        finally:
            store.close()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
    except StoreError as error:
        fail(error.code, error.sentence)
