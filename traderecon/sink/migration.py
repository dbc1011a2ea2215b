"""Migrations: the steps from an empty database to the tables of ``schema``, each run once.

    upgrade(engine)     current(engine) -> "0001" | None     head() -> "0001"

A migration that is out is never edited; a change of the tables is a new one, in ``migrations/versions``.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run what is missing, all of it in one transaction; who comes second waits, and finds nothing to do.

    StoreError: the tables are not ours, or those of a newer version.
    """
    where = engine.url.database
    with engine.execution_options(writes=True).begin() as connection:
        config, at = _config(), MigrationContext.configure(connection).get_current_revision()
        if at is None and (found := inspect(connection).get_table_names()):
            raise StoreError(Exit.CONFIG, f"{where}: has tables of something else ({found[0]}, ...): name another file")
        if at is not None and at not in {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}:
            raise StoreError(
                Exit.CONFIG,
                f"{where}: its tables are of a newer version (migration {at}): install that one, or name another",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(engine: Engine) -> str | None:
    """The migration this database is at; None: none was run."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest migration."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise FileNotFoundError(f"{MIGRATIONS}: no migrations here: the package is incomplete, install it again")
    return newest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
