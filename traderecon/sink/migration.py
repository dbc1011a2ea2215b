"""Migrations: the steps from an empty database to the tables of ``schema``, each run once.

    upgrade(engine)     current(engine) -> "0001" | None     head() -> "0001"

A released migration is never edited; a change of the tables is a new one in ``migrations/versions``.
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
    """Run the missing migrations in one transaction; a concurrent second call waits, then finds nothing to do.

    StoreError: the tables belong to another program, or to a newer version.
    """
    path = engine.url.database
    with engine.execution_options(writes=True).begin() as connection:
        config, revision = _config(), MigrationContext.configure(connection).get_current_revision()
        if revision is None and (tables := inspect(connection).get_table_names()):
            raise StoreError(Exit.CONFIG, f"{path}: has tables of something else ({tables[0]}, ...): name another file")
        released = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is not None and revision not in released:
            raise StoreError(
                Exit.CONFIG,
                f"{path}: its tables are of a newer version (migration {revision}): install that version, or name "
                "another file",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(engine: Engine) -> str | None:
    """The migration this database is at; None: none has been run."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest migration."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise FileNotFoundError(f"{MIGRATIONS}: no migrations here: the package is incomplete, reinstall it")
    return newest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
