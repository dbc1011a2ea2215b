"""``traderecon doctor``: check whether a worker could start here, and what to do if not."""

import asyncio
import json
import logging

import click
import msgspec

from traderecon.exit_codes import Exit
from traderecon.preflight import Finding, checks, exit_code
from traderecon.preflight.findings import bad, ok
from traderecon.settings import ConfigurationError, load
from traderecon.worker.roles import ROLES


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(ROLES), help="Check only what this role needs; may be repeated."
)
def doctor(*, as_json: bool, roles: tuple[str, ...]) -> None:
    """Check broker, topics, clock, disk, database, rules and versions. Changes nothing.

    Exit code 0 if a worker could start, 4 if the broker or the database does not answer, else 78.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the findings report the same errors
    findings = _findings(roles or ROLES)
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(_line(finding))
    if code := exit_code(findings):
        raise click.exceptions.Exit(Exit(code))


def _findings(roles: tuple[str, ...]) -> list[Finding]:
    try:
        settings = load()
    except ConfigurationError as error:
        return [bad("settings", str(error), "correct it, and check with `traderecon config show`")]
    return [ok("settings", f"broker {settings.masked()['broker']}"), *asyncio.run(checks(settings, roles))]


def _line(finding: Finding) -> str:
    return f"{finding.level:<4} {finding}"
