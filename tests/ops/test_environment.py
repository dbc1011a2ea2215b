"""The environment that `make` builds: from hashed lists alone, by the oldest pip of a platform and by a current one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiers import nightly_but

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PIP_", "VIRTUAL_ENV"))
}


def run(*command: str, at: Path) -> str:
    # Compiling what was installed takes longer than installing it, and proves nothing here.
    ended = subprocess.run(
        command, cwd=at, env={**ENVIRONMENT, "PIP_NO_COMPILE": "1"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.mark.matrix("P9")
@pytest.mark.parametrize("pip", nightly_but("oldest", ["oldest", "current"]))
def test_the_lists_are_closures_that_every_pip_installs(pip: str, tmp_path: Path) -> None:
    for name in subprocess.check_output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, text=True).split(
        "\0"
    ):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    python = str(tmp_path / ".venv/bin/python")
    run("make", ".venv/python.stamp", f"PYTHON={Path(sys.base_prefix) / 'bin/python3'}", at=tmp_path)
    run(python, "-m", "pip", "install", "--require-hashes", "--requirement", f"requirements/pip-{pip}.txt", at=tmp_path)
    wanted = (ROOT / f"requirements/pip-{pip}.txt").read_text().split("pip==")[1].split()[0]
    assert f"pip {wanted} " in run(python, "-m", "pip", "--version", at=tmp_path)

    run("make", ".venv/dev.stamp", at=tmp_path)

    run(python, "-m", "pip", "check", at=tmp_path)
    assert "reconcile" in run(str(tmp_path / ".venv/bin/traderecon"), "--help", at=tmp_path)
