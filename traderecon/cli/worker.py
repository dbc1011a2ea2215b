"""``traderecon worker``: run the stages of the pipeline, in this process and its forks, until a signal."""

import errno
import os
import socket
import sys
import threading
from typing import Any, ClassVar

import click

from traderecon.addresses import EMBEDDED
from traderecon.cli.console import fail, say
from traderecon.cli.rules import effective_settings
from traderecon.demo import FILE
from traderecon.exit_codes import Exit
from traderecon.settings import Settings
from traderecon.worker.roles import ROLES

PORTS_TRIED = 100


class _Roles(click.ParamType):
    name = "roles"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        roles = tuple(role.strip() for role in value.split(",")) if isinstance(value, str) else tuple(value)
        if unknown := [role for role in roles if role not in ROLES]:
            self.fail(f"{', '.join(map(repr, unknown))}: choose from {', '.join(ROLES)}", param, ctx)
        return roles


class _Level(click.ParamType):
    """A log level by any name that Faust or Python use for it, or by number."""

    name = "level"
    _NAMES: ClassVar = {
        "debug": "debug",
        "info": "info",
        "warn": "warning",
        "warning": "warning",
        "error": "error",
        "crit": "critical",
        "critical": "critical",
        "fatal": "critical",
        "10": "debug",
        "20": "info",
        "30": "warning",
        "40": "error",
        "50": "critical",
    }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        level = self._NAMES.get(str(value).strip().lower())
        if level is None:
            self.fail(f"{value!r}: choose from debug, info, warning, error, critical", param, ctx)
        return level


@click.command()
@click.option("--roles", type=_Roles(), default=",".join(ROLES), show_default=True, help="Stages to run.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of pages, metrics and health.")
@click.option(
    "-l",
    "--loglevel",
    type=_Level(),
    default="warning",
    show_default=True,
    help="Breaks are logged at warning; info adds the start and stop of Faust's services.",
)
@click.option("--tied", is_flag=True, hidden=True, help="End at once when standard input does.")
def worker(*, roles: tuple[str, ...], port: int | None, loglevel: str, tied: bool) -> None:
    """Run a worker on the configured broker.

    Workers with the same settings share the partitions; each uses its own directory worker-<k> in the data directory.
    Ctrl-C or SIGTERM stops it cleanly. Exit code 70: a guarantee could not be kept, and nothing was acknowledged; start
    it again.
    """
    from traderecon.open_files import raise_limit
    from traderecon.worker.memory import limit_fragmentation

    parent = os.getpid()
    limit_fragmentation()
    raise_limit()
    if tied:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    settings = effective_settings()
    if not tied and settings.broker.startswith(EMBEDDED) and (settings.data_dir / FILE).exists():
        say(
            f"warning: {settings.data_dir} has simulated trades of `traderecon demo`; for real trades set another "
            "TRADERECON_DATA_DIR"
        )
    try:
        run(settings, roles, listener(settings, port), loglevel)
    except SystemExit as end:
        # The message is for the whole worker: its forks leave it to the parent.
        if not end.code and not tied and os.getpid() == parent:
            say("stopped; the next start continues from here")
        raise


def run(settings: Settings, roles: tuple[str, ...], listening: socket.socket, loglevel: str) -> None:
    """Run the preflight, then the stages until a signal; ends with SystemExit."""
    # These import Faust, which would slow down `--help`.
    from mode import loop

    from traderecon.app import apps, identity_of, settle_database
    from traderecon.cli.broker import run as run_async
    from traderecon.cli.start import start_errors
    from traderecon.worker.event_loop import AppRunner
    from traderecon.worker.home import take_home
    from traderecon.worker.memory import tune_gc
    from traderecon.worker.processes import fork_processes, shares

    _preflight(settings, roles)
    with start_errors():
        home = take_home(settings.data_dir, run_async(identity_of(settings)))
        if "sink" in roles:
            run_async(settle_database(settings, home.identity))
        tune_gc()
        to_fork = () if settings.broker.startswith("embedded") else shares(roles)
        here = fork_processes(roles, to_fork, listening)
        loop.use("uvloop")  # after the fork: it starts threads
        siblings = [(share.role, fork.port) for share, fork in here.forks.items()]
        stages = apps(settings, home.share(here.share), here.roles, listening=here.listening, siblings=siblings)
    if here.listening is listening:
        _announce(settings, roles, *listening.getsockname()[:2])
    AppRunner(*stages, loglevel=loglevel).execute_from_commandline()


def _announce(settings: Settings, roles: tuple[str, ...], host: str, port: int) -> None:
    """Print the address of this worker, its roles and its broker."""
    service = "TradeRecon is" if "web" in roles else "metrics and health are"
    log = "the embedded log, one process" if settings.broker.startswith("embedded") else settings.masked()["broker"]
    say(f"{service} at http://{f'[{host}]' if ':' in host else host}:{port}/ ({', '.join(roles)} on {log})")


def _preflight(settings: Settings, roles: tuple[str, ...]) -> None:
    """Create missing topics on the embedded log, print the preflight's warnings, and exit if a check fails."""
    from traderecon.cli.broker import run as run_async
    from traderecon.client.connection import connected
    from traderecon.preflight import Level, checks, exit_code
    from traderecon.preflight.topics import create_topics
    from traderecon.transport.log import WorkerLock, WorkerRunning

    async def create_missing() -> None:
        async with connected(settings) as client:
            await create_topics(client, settings)

    if settings.broker.startswith(EMBEDDED):
        _verify_identity(settings)
        run_async(create_missing())
        try:
            WorkerLock(settings.data_dir).release()
        except WorkerRunning as error:
            fail(Exit.CONFIG, str(error))
    findings = run_async(checks(settings, roles, listening=True))
    for finding in findings:
        if finding.level is Level.WARN and finding.check != "sqlite":  # not at every start: ``doctor`` reports it
            say(f"warning: {finding}")
    if code := exit_code(findings):
        fail(code, "\n".join(str(finding) for finding in findings if finding.level is Level.FAIL))


def _verify_identity(settings: Settings) -> None:
    """Reject a data directory of another log before topics are created for it."""
    from traderecon.app import identity_of
    from traderecon.cli.broker import run as run_async
    from traderecon.worker.identity import OtherIdentity, verify

    try:
        verify(settings.data_dir, run_async(identity_of(settings)))
    except OtherIdentity as error:
        fail(Exit.CONFIG, str(error))


def listener(settings: Settings, requested: int | None) -> socket.socket:
    """A listening socket: on the port given by option or setting, else on the first free port.

    Exit code 4 if the given port is in use.
    """
    if requested is not None or "web_port" in settings.model_fields_set:
        ports = range(requested or settings.web_port, (requested or settings.web_port) + 1)
    else:
        ports = range(settings.web_port, settings.web_port + PORTS_TRIED)
    family = socket.AF_INET6 if ":" in settings.web_host else socket.AF_INET
    for port in ports:
        try:
            return socket.create_server((settings.web_host, port), family=family)
        except OSError as error:
            if error.errno == errno.EACCES and not isinstance(error, socket.gaierror):
                fail(
                    Exit.UNREACHABLE,
                    f"this user is not allowed to listen on port {port}: set --port or TRADERECON_WEB_PORT above 1023",
                )
            if isinstance(error, socket.gaierror) or error.errno != errno.EADDRINUSE:
                fail(Exit.UNREACHABLE, f"cannot listen on {settings.web_host}: correct TRADERECON_WEB_HOST")
            if port == ports[-1]:
                used = f"port {port} is in use" if len(ports) == 1 else f"ports {ports[0]} to {port} are in use"
                todo = "stop the process that uses it, or set another with --port or TRADERECON_WEB_PORT"
                fail(Exit.UNREACHABLE, f"{used}: {todo}")
    raise AssertionError("the range of ports is never empty")


def _exit_with_stdin() -> None:
    """Exit at once when stdin closes: the parent is gone, and a successor must not have to wait for this process."""
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    os._exit(Exit.SOFTWARE)
