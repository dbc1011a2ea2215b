"""Attribution of a decision: who decided, and why.

by(--by) -> the name, by default the logged-in user's        why(--reason) -> the reason
"""

import os
import pwd

import click

MAX_REASON = 500
MAX_NAME = 100


def by(name: str | None) -> str:
    """Who decides; a usage error if the user has no name."""
    if name is None:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            raise click.UsageError("this user has no name: give --by NAME") from None
    return _text(name, "--by", MAX_NAME)


def why(reason: str) -> str:
    """The reason; a usage error if it is blank or too long."""
    return _text(reason, "--reason", MAX_REASON)


def _text(text: str, option: str, max_length: int) -> str:
    if not text.strip() or len(text) > max_length or not text.isprintable():
        raise click.BadParameter(f"write 1 to {max_length} characters, no control characters", param_hint=option)
    return text.strip()
