"""Every command in the documents is one: its subcommand, its options and its module exist. Blocks are run elsewhere:

test_docs.py (nothing running)     test_doc_stories.py (a worker)     broker/test_docs_on_kafka.py (a Kafka)
"""

import re
import shlex
import subprocess
import sys
from functools import cache

import click
import pytest
from doc_pages import PAGES, ROOT, blocks

from traderecon.cli import command as traderecon

SYNOPSES = {"docs/CONTRACT.md", "docs/commands.md"}
"""Show brackets and metavariables: ``[--rate R]``."""
HARNESSES = re.compile(r"(?:PYTHONPATH=tests )?(?:\.venv/bin/)?python -m (\S+)(.*)")
PRODUCT = re.compile(r"(?:\.venv/bin/)?traderecon( .*)?")
TESTS = re.compile(r"(?:\.venv/bin/)?pytest (.*tests/.*)")


def commands() -> list[tuple[str, str]]:
    """Each command of each page, from its blocks and from its text, with the page."""
    found = []
    for page in PAGES:
        name, text = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
        for block in blocks(page, "sh"):
            found += [(name, line.split(" #")[0].strip()) for line in block.replace("\\\n", " ").splitlines()]
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        found += [(name, " ".join(code.split())) for code in re.findall(r"`([^`]+)`", prose)]
    return sorted({(name, without_variables(command)) for name, command in found})


def without_variables(command: str) -> str:
    """A command without the variables set for it alone; ``PYTHONPATH`` says where a harness is."""
    return re.sub(r"^(?:TRADERECON_\w+=\S+ )+(?=\S)", "", command)


def chosen(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    return [(page, command) for page, command in commands() if pattern.fullmatch(command)]


def require_parsed(given: list[str]) -> None:
    """Raise click's UsageError if the product has no such command or option."""
    command: click.Command = traderecon
    context = click.Context(traderecon, info_name="traderecon", resilient_parsing=True, **traderecon.context_settings)
    while isinstance(command, click.Group) and given and not given[0].startswith("-"):
        name, found, given = command.resolve_command(context, given)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name, resilient_parsing=True)
    command.make_parser(context).parse_args(list(given))


@cache
def help_of(module: str) -> str:
    """What a harness says of its options."""
    return subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT / "tests", capture_output=True, text=True, check=True
    ).stdout


def require_options(page: str, module: str, given: str) -> None:
    for option in re.findall(r"--[a-z-]+", given):
        assert option in help_of(module), f"{page}: {module} has no {option}"


@pytest.mark.parametrize(("page", "command"), chosen(PRODUCT))
def test_a_command_of_the_product_is_one(page: str, command: str) -> None:
    if page in SYNOPSES:
        command = re.sub(r"[\[\]]|\.\.\.", " ", command)
    _, *given = shlex.split(command)
    *before, last = given or [""]
    for alternative in last.split("|"):
        require_parsed([*before, alternative] if given else [])
    if given[:1] == ["torture"]:  # hands its options on
        require_options(page, "torture", command)


@pytest.mark.parametrize(("page", "command"), chosen(HARNESSES))
def test_a_command_of_a_harness_is_one(page: str, command: str) -> None:
    match = HARNESSES.fullmatch(command)
    assert match is not None
    module, given = match.groups()
    path = ROOT / "tests" / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{page}: there is no {module}"
    require_options(page, module, given)


def test_a_target_that_make_is_asked_for_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    asked = {(page, match[1]) for page, command in commands() if (match := re.fullmatch(r"make ([a-z-]+)", command))}
    assert asked
    assert [(page, target) for page, target in asked if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize(("page", "command"), chosen(TESTS))
def test_a_command_of_pytest_selects_tests(page: str, command: str) -> None:
    """Its paths exist; where it chooses among their tests, some are left."""
    match = TESTS.fullmatch(command)
    assert match is not None
    given = shlex.split(re.sub(r"-n \d+", "", match[1]))
    missing = [path for path in given if path.startswith("tests/") and not (ROOT / path).exists()]
    assert not missing, f"{page}: {command}"
    if {"-k", "-m"} & set(given):
        collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run([*collect, *given], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout[-2_000:]}\n{done.stderr}"
