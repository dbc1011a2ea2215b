"""The documents tell the truth: their commands run, their tables agree with the code, their links lead somewhere."""

import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import get_args

import pytest
from doc_pages import PAGES, ROOT, Needs, blocks, needs

from traderecon.present.trade_row import COLUMNS
from traderecon.records import Hint
from traderecon.rules import FOUNDING, Attribute
from traderecon.rules.file import parse_rules
from traderecon.rules.rules import Rule
from traderecon.settings import PREFIX, Settings
from traderecon.topics import topics

pytestmark = pytest.mark.system

PATIENCE_S = 180
"""A busy machine takes longer than ten seconds; the figure is in the notes, the bound here."""


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
    """Those that need nothing; ``Needs`` says what the others need, and a test of each has it."""
    for block in blocks(page, "sh"):
        if needs(page, block) is Needs.NOTHING:
            done = run(block, tmp_path)
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_the_command_that_tests_is_what_ci_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_program_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "python"):
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    page = ROOT / "docs" / "files.md"
    printed = "".join(run(block, tmp_path).stderr for block in blocks(page, "sh"))
    (shown,) = blocks(page, "text")
    assert shown in printed


def test_make_demo_shows_breaks(tmp_path: Path) -> None:
    begun = time.monotonic()
    with subprocess.Popen(
        ["make", "demo"],
        cwd=ROOT,
        env={**os.environ, "TRADERECON_DATA_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stderr is not None
        address = next(found[1] for line in demo.stderr if (found := re.search(r"TradeRecon is at (\S+)/ ", line)))
        counts: dict[str, int] = {}
        while not (counts.get("MATCHED") and counts.get("MISMATCHED")) and time.monotonic() < begun + PATIENCE_S:
            with urllib.request.urlopen(f"{address}/api/reconciliation_status") as answer:
                counts = json.load(answer)
            time.sleep(0.1)
        os.killpg(demo.pid, signal.SIGINT)
        demo.communicate()
    assert counts["MATCHED"] > 100
    assert counts["MISMATCHED"] > 0


def test_make_demo_says_what_it_does_before_each_step_that_takes_time() -> None:
    done = subprocess.run(["make", "-nB", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.replace("\\\n", "").splitlines()
    slow = [number for number, line in enumerate(lines) if re.search(r" -m venv | install | demo$", line)]
    assert len(slow) >= 4
    for before, number in itertools.pairwise([0, *slow]):
        assert any(line.startswith("echo ") for line in lines[before:number]), lines[number]
    (packages,) = (line for line in lines if "requirements/run.txt" in line and "pip" in line)
    assert "--quiet" not in packages


def test_the_settings_of_the_readme_are_those_of_the_code() -> None:
    rows = ["| Variable | Default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default not in {None, ""} else ""
        said = " ".join((field.description or "").split()).replace("``", "`")
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {said} |")
    assert "\n".join(rows) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_a_picture_of_the_overview() -> None:
    """`make picture` takes it; tests/web makes the same one of another day."""
    header = (ROOT / "docs" / "overview.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == (1280, 800)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        linked = page if not target else (page.parent / target).resolve()
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} links to {target}#{anchor}"


def test_every_topic_has_a_row_in_the_contract() -> None:
    contract = (ROOT / "docs" / "CONTRACT.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]*`) \|", contract, re.MULTILINE)
    named = set(re.findall(r"`([a-z_]+)`", " ".join(cells)))
    assert set(topics()) <= named


def test_every_rule_has_a_row_in_the_readme() -> None:
    rows = re.findall(r"^\| ([a-z_, ]+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in row.split(", ")}
    assert {rule.name for rule in FOUNDING.every} <= named
    assert {rule.name for rule in get_args(Rule) if rule is not Attribute} <= named


def test_the_columns_of_the_output_are_described() -> None:
    table = re.search(r"^\| Column \|.*?\n\n", (ROOT / "docs" / "files.md").read_text(), re.MULTILINE | re.DOTALL)
    assert table is not None
    named = set(re.findall(r"`([a-z_*]+)`", table.group()))
    for column in COLUMNS:
        side, _, field = column.partition("_")
        assert column in named or (f"{side}_*" in named and field in named), f"{column} is not in docs/files.md"


def test_the_rules_files_of_the_pages_are_read() -> None:
    (example, *more) = [text for page in ("rules", "matching") for text in blocks(ROOT / "docs" / f"{page}.md", "toml")]
    rules = parse_rules(example)
    assert rules.name == tomllib.loads(example)["name"]
    assert "ticker" not in {rule.name for rule in rules.checks}
    assert more
    for part in more:
        assert parse_rules(f'name = "desk"\n{part}') != FOUNDING


def test_every_hint_that_a_verdict_gives_is_explained() -> None:
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "matching.md").read_text(), re.MULTILINE))
    assert explained <= {hint.value for hint in Hint}
    code = "".join(
        path.read_text() for folder in ("matching", "intake") for path in (ROOT / "traderecon" / folder).glob("*.py")
    )
    assert explained == set(re.findall(r"\bHint\.([A-Z_]+)\b", code))
