"""``traderecon db``: migrate, back up, rebuild and purge the database."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from traderecon.addresses import sqlite_path
from traderecon.audit.backup import Head
from traderecon.audit.backup import backup as back_up
from traderecon.audit.rebuild import RebuildReport
from traderecon.audit.rebuild import rebuild as rebuild_database
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, progress, say
from traderecon.cli.purge import hold, purge
from traderecon.client.connection import connected
from traderecon.exit_codes import Exit
from traderecon.settings import ConfigurationError, Settings, load
from traderecon.sink.database import StoreError
from traderecon.sink.migration import head
from traderecon.sink.store import Store
from traderecon.topics import topics


@click.group()
def db() -> None:
    """Migrate, back up, rebuild or purge the database."""


@db.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def upgrade(*, as_json: bool) -> None:
    """Run the missing migrations; on a new database, all of them."""
    with _store(Store.open) as store:
        before = store.migration()
        store.upgrade()
        after = store.migration()
    if as_json:
        click.echo(json.dumps({"database": store.path, "from": before, "to": after}))
    elif before == after:
        say(f"{store.path}: nothing to do, already at migration {after}")
    else:
        say(f"{store.path}: migrated from {before or 'none'} to {after}")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def current(*, as_json: bool) -> None:
    """Print the migration of the tables, and the newest one."""
    with _store(Store.existing) as store:
        migration = store.migration()
    if as_json:
        click.echo(json.dumps({"database": store.path, "current": migration, "head": head()}))
        return
    click.echo(migration or "none")
    if migration != head():
        say(f"{store.path}: the newest migration is {head()}: run `traderecon db upgrade`")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def backup(*, file: Path, as_json: bool) -> None:
    """Copy the database to FILE, as of one moment; workers may run.

    To restore it: stop the workers, remove traderecon.db with its -wal and -shm files, copy FILE to traderecon.db, and
    start the workers. The sink continues from the offsets in it and reads the rest from the topics.
    """
    try:
        copy = back_up(_settings().database_url, file)
    except StoreError as error:
        fail(error.code, error.message)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(copy)))
        return
    _print(copy.heads)
    say(f"{copy.file}: {copy.size_bytes:,} bytes, integrity check passed")


@db.command()
@click.option("--out", type=click.Path(path_type=Path), help="The new file. Default: traderecon.rebuilt.db next to it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def rebuild(*, out: Path | None, as_json: bool) -> None:
    """Build a new database from the topics, next to the old one.

    Workers may run. Compares their chain heads and when each result was decided; `audit verify` checks the
    rows of the old one.
    Exit code 0 if they are equal or there is no old database; 1 if they differ or it cannot be read; 78 if the start of
    a topic has expired. The old database is not changed: to use the new one, stop the workers and replace the file.
    """
    settings = _settings()
    old = sqlite_path(settings.database_url) or Path(settings.data_dir, "traderecon.db")
    file = out or old.with_name(f"{old.stem}.rebuilt{old.suffix}")
    try:
        rebuilt = run(_rebuild(settings, file))
    except StoreError as error:
        fail(error.code, error.message)
    if as_json:
        same = None if rebuilt.compared is None else rebuilt.same
        click.echo(json.dumps({**msgspec.to_builtins(rebuilt), "same": same}))
    else:
        _print(rebuilt.heads)
    say(f"{rebuilt.file}: built from {counted(rebuilt.records, 'record')}")
    if rebuilt.ignored:
        say(f"{rebuilt.ignored} of them were not written by this pipeline and were ignored, as the sink does")
    _report_comparison(rebuilt, old)


def _report_comparison(rebuilt: RebuildReport, old: Path) -> None:
    """Say how the old database compares with the rebuilt one; a difference ends the command with 1."""
    if rebuilt.compared is None:
        if old.exists():
            fail(Exit.BREAKS, f"nothing was compared, because the old database cannot be read: {rebuilt.reason}")
        say(f"there is no old database to compare it with: {rebuilt.reason}")
        return
    if not rebuilt.same:
        lines = [
            f"{chain.topic}[{chain.partition}] at offset {chain.next_offset}: the old database has head {chain.old}, "
            f"the topic gives {chain.new}"
            for chain in rebuilt.compared
            if not chain.same
        ]
        if rebuilt.times:
            lines.append(f"{rebuilt.times} results have another decided_at in the old database")
        advice = "the old database does not agree with the topics: run `traderecon audit verify`"
        fail(Exit.BREAKS, "\n".join([*lines, advice]))
    say(
        f"the heads of all {len(rebuilt.compared)} chains agree with the old database; to check its rows, run "
        "`traderecon audit verify`"
    )


db.add_command(purge)
db.add_command(hold)


async def _rebuild(settings: Settings, file: Path) -> RebuildReport:
    async with connected(settings) as client:
        names = topics(settings.topic_prefix)
        counts = await client.topics()
        total = sum([sum((await client.ends(name)).values()) for name in names.outputs if name in counts])
        with progress(total, "reading") as advance:
            return await rebuild_database(
                client, names, settings.database_url, file, prefix=settings.topic_prefix, advance=advance
            )


def _print(heads: Iterable[Head]) -> None:
    for chain in heads:
        click.echo(f"{chain.topic}[{chain.partition}]: next offset {chain.next_offset}, head {chain.head}")


def _settings() -> Settings:
    try:
        return load()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


@contextmanager
def _store(open_store: Callable[[str], Store]) -> Iterator[Store]:
    """The configured database; an error with it ends the command."""
    try:
        store = open_store(load().database_url)
        try:
            yield store
        finally:
            store.close()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
    except StoreError as error:
        fail(error.code, error.message)
