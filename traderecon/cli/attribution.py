"""A signature: who decides, and why, as it stands under a decision for good.

by(--by) -> the name, or that of whoever is logged in        why(--reason) -> the reason
"""

import os
import pwd

import click

MAX_REASON = 500
MAX_NAME = 100


def by(name: str | None) -> str:
    """Who decides; wrong usage where nobody knows."""
    if name is None:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            raise click.UsageError("nobody is logged in by name: say who decides, --by NAME") from None
    return _text(name, "--by", MAX_NAME)


def why(reason: str) -> str:
    """Why; wrong usage where nothing is said, or too much."""
    return _text(reason, "--reason", MAX_REASON)


def _text(text: str, option: str, most: int) -> str:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise click.BadParameter(f"write 1 to {most} characters, none of them control characters", param_hint=option)
    return text.strip()
