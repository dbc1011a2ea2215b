"""``traderecon db``: the tables of the database, and the migrations that make them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

from traderecon.cli.talk import Exit, fail, say
from traderecon.settings import ConfigurationError, load
from traderecon.sink.database import StoreError
from traderecon.sink.migration import head
from traderecon.sink.store import Store


@click.group()
def db() -> None:
    """Database: make its tables, and bring them up to date."""


@db.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def upgrade(*, as_json: bool) -> None:
    """Run the migrations that are missing; a new database gets all of them."""
    with _store() as store:
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
    """Print the migration the tables are at, and the newest one there is."""
    with _store() as store:
        at = store.migration()
    if as_json:
        click.echo(json.dumps({"database": store.path, "current": at, "head": head()}))
        return
    click.echo(at or "none")
    if at != head():
        say(f"{store.path}: the newest migration is {head()}: run `traderecon db upgrade`")


@contextmanager
def _store() -> Iterator[Store]:
    """The configured database, open; what is wrong with it ends the command."""
    try:
        store = Store.open(load().database_url)
        try:
            yield store
        finally:
            store.close()
    except ConfigurationError as error:
        fail(Exit.REFUSED, str(error))
    except StoreError as error:
        fail(error.code, error.sentence)
