"""Repeated options: a single-value option given twice is an error; Click would silently use the last."""

from collections import Counter
from typing import Any

import click


def refuse_repeats(command: click.Command) -> click.Command:
    """Add this check to a command and its subcommands."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            refuse_repeats(subcommand)
    if getattr(command, "refuses_repeats", False):
        return command
    parse = command.parse_args

    def check_and_parse(ctx: click.Context, args: list[str]) -> list[str]:
        _, _, params = command.make_parser(ctx).parse_args(list(args))
        for param, times in Counter(params).items():
            if times > 1 and isinstance(param, click.Option) and not _may_repeat(param):
                raise click.UsageError(f"{param.opts[0]} is given {times} times: give it once", ctx)
        return parse(ctx, args)

    attributes: dict[str, Any] = {"parse_args": check_and_parse, "refuses_repeats": True}
    for name, attribute in attributes.items():
        setattr(command, name, attribute)
    return command


def _may_repeat(option: click.Option) -> bool:
    """Whether an option may be given more than once: its values add up, or it is a flag."""
    return option.multiple or option.count or option.is_flag
