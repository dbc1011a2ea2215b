"""The documents tell the truth: their commands run, their tables agree with the code, their links lead somewhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from traderecon.batch.table import COLUMNS
from traderecon.records import Hint
from traderecon.rules.file import parse_rules

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "scenarios" / "README.md"])

IN_THE_CHECKOUT = {"make demo"}
THIS_RUN = {"make test"}
"""Run by .ci/run, of which this test is a part."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """One block as a reader would paste it, with the commands of this environment on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "sh"):
        script = block.strip()
        if script in THIS_RUN:
            assert script in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
            continue
        done = run(script, ROOT if script in IN_THE_CHECKOUT else tmp_path)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_program_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "python"):
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_readme_shows_what_its_example_prints(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    printed = ""
    for block in blocks(page, "sh"):
        if not block.startswith("make"):
            printed += run(block, tmp_path).stderr
    (shown,) = blocks(page, "text")
    assert shown in printed


def test_the_demo_leaves_a_report() -> None:
    done = run("make demo", ROOT)
    assert done.returncode == 0, done.stderr
    assert "report in demo/report.html" in done.stderr
    assert (ROOT / "demo" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        linked = page if not target else (page.parent / target).resolve()
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} links to {target}#{anchor}"


def test_the_columns_of_the_output_are_described() -> None:
    table = re.search(r"^\| Column \|.*?\n\n", (ROOT / "docs" / "files.md").read_text(), re.MULTILINE | re.DOTALL)
    assert table is not None
    named = set(re.findall(r"`([a-z_*]+)`", table.group()))
    for column in COLUMNS:
        side, _, field = column.partition("_")
        assert column in named or (f"{side}_*" in named and field in named), f"{column} is not in docs/files.md"


def test_the_rules_file_of_the_page_is_read() -> None:
    (example,) = blocks(ROOT / "docs" / "matching.md", "toml")
    rules = parse_rules(example)
    assert rules.name == tomllib.loads(example)["name"]
    assert "ticker" not in {rule.name for rule in rules.checks}


def test_every_hint_that_a_verdict_gives_is_explained() -> None:
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "matching.md").read_text(), re.MULTILINE))
    assert explained <= {hint.value for hint in Hint}
    code = "".join(
        path.read_text() for folder in ("matching", "intake") for path in (ROOT / "traderecon" / folder).glob("*.py")
    )
    assert explained == set(re.findall(r"\bHint\.([A-Z_]+)\b", code))
