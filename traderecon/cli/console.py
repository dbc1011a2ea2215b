"""Console: messages to the user go to stderr, results to stdout.

say("12 rows rejected")     fail(Exit.INPUT, "...")     with progress(trades, "trades") as advance: advance(1)
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

_LONG = 100_000
_UPDATES = 1_000


class Failure(click.ClickException):
    """The end of a command: click shows the text on stderr and exits with the code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = code


def say(text: str) -> None:
    """Print a message on stderr."""
    click.echo(text, err=True)


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun; the default plural ends in s.

    >>> counted(1, "trade"), counted(0, "trade"), counted(1_200, "copy", "copies")
    ('1 trade', '0 trades', '1,200 copies')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def printable(text: str) -> str:
    """Escape control characters in untrusted text, so that it cannot control the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def fail(code: int, text: str) -> NoReturn:
    """End the command with this exit code; ``text``: what was found, where, and what to do."""
    raise Failure(code, text)


@contextmanager
def progress(total: int, label: str, *, long: int = _LONG) -> Iterator[Callable[[int], None]]:
    """Show a progress bar over ``total`` steps while the block runs; yields ``advance(steps)``, cheap to call.

    Without a terminal, or for fewer than ``long`` steps, nothing is shown. ``NO_COLOR`` is respected.
    """
    if total < long or not sys.stderr.isatty():
        yield lambda steps: None
        return
    # Slow to import, and rarely needed.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        stride = max(1, total // _UPDATES)
        pending = 0

        def advance(steps: int) -> None:
            nonlocal pending
            pending += steps
            if pending >= stride:
                bar.advance(task, pending)
                pending = 0

        yield advance
