"""Repeated options: one that takes a single value is refused the second time; Click would keep the last, silently."""

from collections import Counter
from typing import Any

import click


def refuse_repeats(command: click.Command) -> click.Command:
    """The command, and those below it, with this check before anything is read."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            refuse_repeats(below)
    if getattr(command, "refuses_repeats", False):
        return command
    parse = command.parse_args

    def checked(ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = command.make_parser(ctx).parse_args(list(args))
        for param, times in Counter(given).items():
            if times > 1 and isinstance(param, click.Option) and not _adds_up(param):
                raise click.UsageError(
                    f"{param.opts[0]} is given {times} times, and takes one value: give it once", ctx
                )
        return parse(ctx, args)

    attributes: dict[str, Any] = {"parse_args": checked, "refuses_repeats": True}
    for name, attribute in attributes.items():
        setattr(command, name, attribute)
    return command


def _adds_up(option: click.Option) -> bool:
    """Whether it may be given more than once: each time counts, or says the same again."""
    return option.multiple or option.count or option.is_flag
