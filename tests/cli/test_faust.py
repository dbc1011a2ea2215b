"""Faust's own commands find the apps of the roles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from traderecon.exit_codes import Exit


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-m", "traderecon", "tables"], "facts, deadlines, watermarks"),
        (["-m", "traderecon", "agents", "--role", "intake"], "@intake-executions"),
        (["-m", "faust", "-A", "traderecon.app:matching", "agents"], "@matching"),
    ],
)
def test_they_list_what_a_role_has(tmp_path: Path, words: list[str], shown: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert [path.name for path in (tmp_path / "traderecon-data").glob("worker-*")] == ["worker-0"]


@pytest.mark.parametrize(
    ("setting", "value", "code", "found"),
    [
        ("BROKER", "kafka://127.0.0.1:1", Exit.UNREACHABLE, "no answer from the Kafka at 127.0.0.1:1"),
        ("CLUSTER_ID", "other", Exit.CONFIG, "TRADERECON_CLUSTER_ID expects 'other'"),
        ("DATA_DIR", "/proc/here", Exit.CONFIG, "/proc/here"),
        ("GRACE_SECONDS", "x", Exit.CONFIG, "TRADERECON_GRACE_SECONDS"),
        ("RULES", "none.toml", Exit.CONFIG, "none.toml"),
    ],
)
def test_what_keeps_a_role_from_starting_is_one_sentence(
    tmp_path: Path, setting: str, value: str, code: Exit, found: str
) -> None:
    environment = {**os.environ, f"TRADERECON_{setting}": value}
    done = subprocess.run(
        [sys.executable, "-m", "traderecon", "tables"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert found in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
