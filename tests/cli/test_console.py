"""Results on stdout, messages on stderr; a progress bar only on a terminal and for long work; NO_COLOR is respected."""

import os
import pty
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from traderecon.cli.console import fail, progress, say
from traderecon.exit_codes import Exit

WORK = """
import sys
from traderecon.cli.console import progress
with progress({total}, "trades", long=1000) as advance:
    for _ in range({total} // 10):
        advance(10)
print("rich" in sys.modules)
"""
COLOUR = re.compile(rb"\x1b\[(\d+;)*(3[0-9]|9[0-7])[;m]")


def on_a_terminal(total: int, **environment: str) -> tuple[bytes, bytes]:
    """The output on stdout, and on stderr with a terminal."""
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORK.format(total=total)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**plain, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    stderr = b""
    while True:
        try:
            more = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        stderr += more
    os.close(ours)
    out, _ = worker.communicate()
    assert worker.returncode == 0
    return out, stderr


def test_long_work_shows_a_bar_on_a_terminal() -> None:
    out, stderr = on_a_terminal(5000)
    assert out == b"True\n"
    assert b"trades" in stderr
    assert COLOUR.search(stderr)


def test_no_color_is_respected() -> None:
    _, stderr = on_a_terminal(5000, NO_COLOR="1")
    assert b"trades" in stderr
    assert not COLOUR.search(stderr)


def test_short_work_shows_nothing_and_loads_nothing() -> None:
    assert on_a_terminal(990) == (b"False\n", b"")


def test_no_bar_off_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", WORK.format(total=5000)], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"False\n", b"")


@pytest.mark.parametrize("code", Exit)
def test_a_failure_prints_its_reason_and_exits_with_its_code(code: Exit) -> None:
    @click.command()
    def command() -> None:
        say("reading")
        fail(code, "trades.csv: is empty: name the columns")

    result = CliRunner().invoke(command)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == "reading\nError: trades.csv: is empty: name the columns\n"


def test_a_failure_passes_through_the_progress_bar() -> None:
    with pytest.raises(click.ClickException, match="full"), progress(10, "rows"):
        fail(Exit.INPUT, "the disk is full")
