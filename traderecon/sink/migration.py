"""Migrations: the steps from an empty database to the tables of ``schema``, each run once.

    upgrade(engine)     current(engine) -> "0001" | None     head() -> "0001"

A released migration is never edited; a change of the tables is a new one in ``migrations/versions``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect

from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION = "SELECT version_num FROM alembic_version"
_HAS_REVISION = "SELECT count(*) FROM sqlite_schema WHERE name = 'alembic_version'"


def upgrade(engine: Engine) -> None:
    """Run the missing migrations in one transaction; a concurrent second call waits, then finds nothing to do.

    StoreError: the tables belong to another program, or to a newer version.
    """
    from alembic import command  # a quarter of a second that only this function needs
    from alembic.script import ScriptDirectory

    path = engine.url.database
    with engine.execution_options(writes=True).begin() as connection:
        config, revision = _config(), _revision(connection)
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
        return _revision(connection)


def head() -> str:
    """The newest migration, by the names of their files."""
    newest = max((path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")), default=None)
    if newest is None:
        raise FileNotFoundError(f"{MIGRATIONS}: no migrations here: the package is incomplete, reinstall it")
    return newest


def _revision(connection: Connection) -> str | None:
    if not connection.exec_driver_sql(_HAS_REVISION).scalar_one():
        return None
    revision: str | None = connection.exec_driver_sql(_REVISION).scalar()
    return revision


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
