"""The command itself: its help is fast, it imports only what it uses, and a bug prints its traceback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from domain import DOCS

from traderecon import __version__
from traderecon.cli import command
from traderecon.exit_codes import Exit

HEAVY = ["aiohttp", "alembic", "faust", "jinja2", "mode", "msgspec", "polars", "pydantic", "rich", "sqlalchemy"]
LOADED = """
import sys
heavy = sys.argv.pop().split()
from traderecon.cli import main
try:
    main()
finally:
    print(*sorted(sys.modules.keys() & {*heavy}))
"""
BROKEN = 'raise ArithmeticError("the moon is in the wrong place")\n'


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(command, arguments, prog_name="traderecon")
    return result.exit_code, result.stdout, result.stderr


def loaded(*arguments: str) -> list[str]:
    """The heavy modules that a command has imported by its end."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments, " ".join(HEAVY)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


def with_a_broken_library(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The installed command with a polars that fails on import."""
    (folder / "polars.py").write_text(BROKEN)
    found = shutil.which("traderecon", path=str(Path(sys.executable).parent))
    assert found
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command_with_a_line_about_it(option: str) -> None:
    code, out, err = run(option)
    assert (code, err) == (Exit.OK, "")
    listed = [line.split(None, 1) for line in out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert [name for name, _ in listed] == [
        "audit",
        "config",
        "db",
        "dead-letters",
        "demo",
        "doctor",
        "ingest",
        "reconcile",
        "rules",
        "simulate",
        "state",
        "topics",
        "torture",
        "watermark",
        "worker",
    ]
    assert all(about.endswith((".", "?")) for _, about in listed)


def test_every_command_is_one_of_the_contract() -> None:
    contract = (DOCS / "CONTRACT.md").read_text(encoding="utf-8")
    _, out, _ = run("--help")
    for line in out.partition("Commands:")[2].splitlines()[1:]:
        assert f"| `traderecon {line.split()[0]}" in contract


@pytest.mark.parametrize(
    "arguments",
    [
        ("config",),
        ("config", "show"),
        ("db",),
        ("demo",),
        ("doctor",),
        ("ingest",),
        ("reconcile",),
        ("simulate",),
        ("state",),
        ("state", "rebuild"),
        ("tables",),
        ("topics", "create"),
        ("watermark",),
        ("worker",),
    ],
)
def test_every_command_has_its_help(arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments, "--help")
    assert (code, err) == (Exit.OK, "")
    assert out.startswith(f"Usage: traderecon {' '.join(arguments)}")


def groups(at: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Group]]:
    """Every group of commands, with its name."""
    if isinstance(at, click.Group):
        yield words, at
        context = click.Context(at, **at.context_settings)
        for name in at.list_commands(context):
            below = at.get_command(context, name)
            assert below is not None
            yield from groups(below, (*words, name))


def test_no_summary_of_a_command_is_truncated() -> None:
    found = list(groups(command))
    assert len(found) > 7
    for words, _ in found:
        _, out, _ = run(*words, "--help")
        assert "..." not in out.partition("Commands:")[2], out


def test_help_is_no_markup() -> None:
    for words, group in groups(command):
        context = click.Context(group, **group.context_settings)
        for name in group.list_commands(context):
            if name != "torture":  # its options are the harness's
                assert "``" not in run(*words, name, "--help")[1]


def test_without_a_command_there_is_help() -> None:
    code, out, err = run()
    assert code == Exit.USAGE
    assert "Commands:" in out + err


def test_the_version_is_on_stdout() -> None:
    assert run("--version") == (Exit.OK, f"traderecon, version {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("reconsile",), ("--verbose",), ("config", "list")])
def test_unknown_commands_and_options_are_usage_errors(arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (Exit.USAGE, "")
    assert "Usage: traderecon" in err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_heavy(option: str) -> None:
    assert loaded(option) == []


def test_a_command_imports_what_it_uses() -> None:
    assert loaded("config", "show") == ["pydantic"]
    assert "polars" in loaded("reconcile", "--help")


@pytest.mark.parametrize("command", ["audit verify", "db current", "dead-letters list", "ingest", "topics create"])
def test_a_command_that_runs_no_agent_imports_no_faust(command: str) -> None:
    """Faust takes half a second, Alembic a quarter."""
    assert not {"faust", "mode", "alembic"} & {*loaded(*command.split(), "--help")}


def test_a_broken_installation_ends_with_its_traceback(tmp_path: Path) -> None:
    done = with_a_broken_library(tmp_path, "reconcile", "--executions", "e.csv", "--confirmations", "c.csv")
    assert (done.returncode, done.stdout) == (Exit.SOFTWARE, "")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith(
        "ArithmeticError: the moon is in the wrong place\nthis is a bug: please report it with the lines above\n"
    )


def test_a_broken_installation_still_has_its_help(tmp_path: Path) -> None:
    assert with_a_broken_library(tmp_path, "--help").returncode == Exit.OK
