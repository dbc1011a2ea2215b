"""``traderecon torture``: runs the harness of a checkout; in an installed package it explains why it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from torture.test_torture_report import GOOD

from traderecon.cli import command, torture
from traderecon.exit_codes import Exit


def run(here: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "traderecon", "torture", *words],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_its_options_are_those_of_the_harness(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    for option in (
        "--seed",
        "--minutes",
        "--until",
        "--workers",
        "--trades",
        "--faults",
        "--plan",
        "--resume",
        "--json",
    ):
        assert option in done.stdout


def test_it_adds_up_the_reports_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(GOOD.to_json())
    done = run(tmp_path, "sum", ".")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 runs | commit abc1234 | 3 faults (2 kill, 1 stop) | ")


def test_an_unknown_kind_of_fault_is_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path, "--faults", "flood")
    assert done.returncode == Exit.USAGE
    assert "unknown faults flood" in done.stderr


def test_without_kafka_it_fails_with_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("KAFKA_JARS", str(tmp_path / "jars"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    done = run(tmp_path, "--seed", "1", "--cycles", "1")
    assert (done.returncode, done.stdout) == (Exit.CONFIG, "")
    assert done.stderr == f"torture: there is no Kafka in {tmp_path / 'jars'}: run `make kafka`\n"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_without_a_checkout_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torture, "__file__", str(tmp_path / "site" / "traderecon" / "cli" / "torture.py"))
    done = CliRunner().invoke(command, ["torture", "--seed", "1"])
    assert done.exit_code == Exit.CONFIG
    assert "torture needs a source checkout" in done.output
