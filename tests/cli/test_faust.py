"""Faust's own commands find the apps of the roles."""

import subprocess
import sys
from pathlib import Path

import pytest


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
