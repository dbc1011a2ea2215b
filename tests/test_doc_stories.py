"""docs/audit.md on an installation at work: its blocks run from first to last, beside a worker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_pages import Needs, scripts
from pipeline_case import Installation
from pipeline_truth import Day

pytestmark = pytest.mark.system

DAY = Day(seed=7, trades=500)
"""Has the trade that the page proves."""
REPLACED = {
    "traderecon db hold list": "until traderecon db hold list | grep litigation; do sleep 0.2; done",
    "3f9c2a7b51d0": "$(traderecon db hold list | cut -d ' ' -f 1)",
}
"""The sink reads a hold soon, not at once; its id is another every time."""
OUTSIDE = ("etc/traderecon", "mnt/elsewhere", "backups")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, data_dir=tmp_path / "traderecon-data")
    installation.data_dir = tmp_path / "traderecon-data"
    yield installation
    installation.close()


def test_the_commands_of_the_audit_run_beside_a_worker(installation: Installation, tmp_path: Path) -> None:
    worker = installation.start_ready()
    installation.run("simulate", *DAY.arguments)
    installation.until_decided()
    installation.until((installation.data_dir / "checkpoints.jsonl").exists, "there is a checkpoint")
    replaced = dict(REPLACED)
    for name in OUTSIDE:
        (tmp_path / name).mkdir(parents=True)
        replaced[f"/{name}/"] = f"{tmp_path / name}/"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for _, block in scripts(Needs.A_WORKER):
        script = block
        for old, new in replaced.items():
            script = script.replace(old, new)
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=installation.directory,
            env={**installation.environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert worker.leave() == 0
