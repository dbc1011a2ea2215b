"""Talk: what a command says to a person, all of it on stderr. stdout is data.

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
    """One line, or several, on stderr."""
    click.echo(text, err=True)


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: the plural ends in s where none is given.

    >>> counted(1, "trade"), counted(0, "trade"), counted(1_200, "copy", "copies")
    ('1 trade', '0 trades', '1,200 copies')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def printable(text: str) -> str:
    """A sender's text, or a cell somebody may have changed: it must not speak to the terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def fail(code: int, text: str) -> NoReturn:
    """End the command with this exit code; ``text`` says what was found, where, and what to do."""
    raise Failure(code, text)


@contextmanager
def progress(total: int, label: str, *, long: int = _LONG) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` steps while the block runs; gives ``advance(steps)``, to be called as often as you like.

    Off a terminal nothing is shown, nor for fewer than ``long`` steps: they are done before a bar could be read.
    ``NO_COLOR`` is respected.
    """
    if total < long or not sys.stderr.isatty():
        yield lambda steps: None
        return
    # Slow to import, and most runs show no bar.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        stride = max(1, total // _UPDATES)
        untold = 0

        def advance(steps: int) -> None:
            nonlocal untold
            untold += steps
            if untold >= stride:
                bar.advance(task, untold)
                untold = 0

        yield advance
