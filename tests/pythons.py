"""The tests on every other Python that this machine has: what the README calls supported is run.

    python tests/pythons.py

Looks for ``python3.11`` to ``python3.14`` on the PATH and where pyenv keeps its versions. Each gets an environment of
its own in ``.venv/python-<version>``, from the same hashed lists. The browser and the tools of the operating system are
the same for all, so what drives them runs once, with the Python of ``.venv``. Exit code 1 where a test failed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST, NEWEST = (3, 11), (3, 14)
LEFT_OUT = ("tests/web/test_pages_in_browser.py", "tests/ops")


def version(python: str) -> tuple[int, int] | None:
    """The version that an interpreter says it has; None where it does not run."""
    asked = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    major, _, minor = asked.stdout.partition(" ")
    return (int(major), int(minor)) if asked.returncode == 0 else None


def found() -> dict[tuple[int, int], str]:
    """Interpreters by version, the running one's left out."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    candidates = [path for name in names if (path := shutil.which(name))]
    candidates += map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")))
    versions = {number: path for path in candidates if (number := version(path)) and OLDEST <= number <= NEWEST}
    versions.pop(sys.version_info[:2], None)
    return versions


def run(name: str, python: str) -> int:
    """Build the environment of one Python, and run the tests in it."""
    folder = ROOT / ".venv" / f"python-{name}"
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    own = str(folder / "bin/python")
    install = [own, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
    for listed in ("run", "dev"):
        subprocess.run([*install, "--require-hashes", "-r", f"requirements/{listed}.txt"], cwd=ROOT, check=True)
    subprocess.run([*install, "--no-build-isolation", "--editable", "."], cwd=ROOT, check=True)
    environment = os.environ | {"KAFKA_JARS": str(ROOT / ".venv/kafka")}
    left_out = [f"--ignore={path}" for path in LEFT_OUT]
    command = [own, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-q", *left_out]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    """Run them all; the largest exit code."""
    pythons = found()
    if not pythons:
        sys.stdout.write("There is no other Python from 3.11 on here.\n")
    worst = 0
    for number, python in sorted(pythons.items()):
        name = ".".join(map(str, number))
        sys.stdout.write(f"\nPython {name}: {python}\n")
        sys.stdout.flush()
        worst = max(worst, run(name, python))
    return worst


if __name__ == "__main__":
    sys.exit(main())
