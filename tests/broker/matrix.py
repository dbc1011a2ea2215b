"""The broker tests on several versions of Kafka, one after the other: a table for docs/transport.md.

    PYTHONPATH=tests python -m broker.matrix 4.0.2 4.4.0

``make kafka-matrix`` fetches the versions first. What pytest prints of a version goes to ``.venv/kafka-<version>.log``.
Exit code 1 where a version has failures.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

SUMMARY = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in ([\d.]+)s", re.MULTILINE)


def outcome(version: str) -> tuple[int, str]:
    """Run the broker tests on ``version``; pytest's exit code and its last line."""
    folder = Path(sys.prefix) / f"kafka-{version}"
    if not any(folder.glob(f"kafka_*{version}.jar")):
        raise SystemExit(f"there is no Kafka {version} in {folder}: run `make kafka-matrix`")
    tests = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-q", str(tests)]
    ended = subprocess.run(
        command,
        env=os.environ | {"KAFKA_JARS": str(folder)},
        cwd=tests.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    folder.with_suffix(folder.suffix + ".log").write_text(ended.stdout + ended.stderr)
    found = SUMMARY.findall(ended.stdout)
    return (
        ended.returncode,
        f"{found[-1][0]} | {float(found[-1][1]) / 60:.0f}" if found else f"exit {ended.returncode} |",
    )


def main(versions: list[str]) -> int:
    """Print a row per version; the largest exit code."""
    sys.stdout.write("| Kafka | Broker tests | Minutes |\n|---|---|--:|\n")
    worst = 0
    for version in versions:
        code, text = outcome(version)
        sys.stdout.write(f"| {version} | {text} |\n")
        sys.stdout.flush()
        worst = max(worst, code)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
