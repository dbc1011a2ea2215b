"""The preflight: checks what a worker depends on before it starts. Changes nothing and sends no record.

checks(settings) -> [Finding(check, level, text, todo), ...] -> exit_code
"""

from collections.abc import Collection

from traderecon.preflight.findings import Finding, Level, exit_code
from traderecon.preflight.machine import (
    checkpoint_key,
    data_directory,
    database_disk,
    files,
    readable_codecs,
    rules_file,
    versions,
)
from traderecon.preflight.pages import web_host, web_port
from traderecon.preflight.services import broker, database
from traderecon.settings import Settings
from traderecon.worker.roles import ROLES

__all__ = ["Finding", "Level", "checks", "exit_code"]


async def checks(settings: Settings, roles: Collection[str] = ROLES, *, listening: bool = False) -> list[Finding]:
    """All findings, in the order to fix them in; takes about ten seconds if a broker does not answer.

    ``roles``: the roles to run; what only other roles need is not checked. ``listening``: the caller has the port of
    the pages, so it is not checked.
    """
    findings = [*versions(), *readable_codecs(), *files()]
    findings += [*data_directory(settings), *database_disk(settings), *rules_file(settings)]
    findings += checkpoint_key(settings) if "sink" in roles else ()
    findings += [finding async for finding in broker(settings, roles)]
    answered = not any(finding.unreachable for finding in findings)
    findings += [finding async for finding in database(settings, answered=answered)]
    findings += web_host(settings)
    findings += () if listening else web_port(settings)
    return findings
