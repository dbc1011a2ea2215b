"""``traderecon db``: show the migration of the tables, and upgrade them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from traderecon.cli.db import db
from traderecon.exit_codes import Exit

pytestmark = pytest.mark.usefixtures("here")

FILE = Path("traderecon-data/traderecon.db")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(db, [*arguments])


def test_a_new_database_gets_its_tables() -> None:
    made = run("upgrade")
    assert (made.exit_code, made.stdout) == (Exit.OK, "")
    assert made.stderr == f"{FILE}: migrated from none to 0007\n"
    assert run("upgrade").stderr == f"{FILE}: nothing to do, already at migration 0007\n"
    after = run("current")
    assert (after.exit_code, after.stdout, after.stderr) == (Exit.OK, "0007\n", "")


@pytest.mark.parametrize(
    "command", [("current",), ("hold", "list"), ("hold", "release", "x", "--reason", "y"), ("purge",)]
)
def test_a_query_creates_no_database(command: tuple[str, ...]) -> None:
    """The answer of a new, empty file would look like that of the configured database."""
    result = run(*command)
    assert (result.exit_code, result.stdout) == (Exit.UNREACHABLE, "")
    assert f"{FILE}: there is no database" in result.stderr
    assert not FILE.exists()


def test_a_file_without_tables() -> None:
    FILE.parent.mkdir()
    FILE.touch()
    before = run("current")
    assert (before.exit_code, before.stdout) == (Exit.OK, "none\n")
    assert before.stderr == f"{FILE}: the newest migration is 0007: run `traderecon db upgrade`\n"
    assert json.loads(run("current", "--json").stdout) == {"database": str(FILE), "current": None, "head": "0007"}


def test_json_is_one_object_on_stdout() -> None:
    upgraded = run("upgrade", "--json")
    assert (upgraded.exit_code, upgraded.stderr) == (Exit.OK, "")
    assert json.loads(upgraded.stdout) == {"database": str(FILE), "from": None, "to": "0007"}
    assert json.loads(run("current", "--json").stdout)["current"] == "0007"


@pytest.mark.parametrize("command", ["upgrade", "current"])
def test_a_database_that_is_not_for_this_version(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", "postgresql://u:hunter2@h/db")
    result = run(command)
    assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
    assert "only SQLite databases are supported" in result.stderr
    assert "hunter2" not in result.output


def test_tables_of_a_newer_version() -> None:
    run("upgrade")
    with closing(sqlite3.connect(FILE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    result = run("upgrade")
    assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
    assert "of a newer version (migration 0999)" in result.stderr


def test_a_database_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", "sqlite:////proc/no/t.db")
    assert run("upgrade").exit_code == Exit.UNREACHABLE


def test_a_setting_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_WEBPORT", "1")
    assert run("current").exit_code == Exit.CONFIG
