"""The tests' own programs, run as people run them: ``python -m name`` in ``tests/``, to its end."""

import os
import subprocess
import sys
from pathlib import Path

BOUND_S = 900


def program(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """How it ended and what it said, whatever that was."""
    return subprocess.run(
        [sys.executable, "-m", name, *options],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_S,
    )
