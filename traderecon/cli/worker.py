"""``traderecon worker``: the stages of the pipeline, in this process and its forks, until it is told to stop."""

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
from traderecon.exit_codes import Exit
from traderecon.settings import ConfigurationError, Settings
from traderecon.worker.roles import ROLES

PORTS_TRIED = 100


class _Roles(click.ParamType):
    name = "roles"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        roles = tuple(role.strip() for role in value.split(",")) if isinstance(value, str) else tuple(value)
        if unknown := [role for role in roles if role not in ROLES]:
            self.fail(f"{', '.join(map(repr, unknown))}: choose among {', '.join(ROLES)}", param, ctx)
        return roles


class _Level(click.ParamType):
    """A level of log by any name that Faust, Python or people have for it, and by the number."""

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
            self.fail(f"{value!r}: choose among debug, info, warning, error, critical", param, ctx)
        return level


@click.command()
@click.option("--roles", type=_Roles(), default=",".join(ROLES), show_default=True, help="Stages this worker runs.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where pages, metrics and health are served.")
@click.option(
    "-l",
    "--loglevel",
    type=_Level(),
    default="warning",
    show_default=True,
    help="Breaks are told at warning; info has the parts of Faust as they start and stop.",
)
@click.option("--tied", is_flag=True, hidden=True, help="End at once when standard input does.")
def worker(*, roles: tuple[str, ...], port: int | None, loglevel: str, tied: bool) -> None:
    """Run a worker on the configured broker.

    More workers with the same settings share the work; each takes a free directory worker-<k> of the data
    directory. Ctrl-C or SIGTERM ends it in order. Exit 70: a promise could not be kept, and nothing was acknowledged;
    start it again.
    """
    from traderecon.demo.day import FILE
    from traderecon.open_files import raise_limit
    from traderecon.worker.memory import give_back

    started = os.getpid()
    give_back()
    raise_limit()
    if tied:
        threading.Thread(target=_end_with_input, daemon=True).start()
    settings = effective_settings()
    if not tied and settings.broker.startswith(EMBEDDED) and (settings.data_dir / FILE).exists():
        say(
            f"warning: {settings.data_dir} has the simulated trades of `traderecon demo`; for real ones set "
            "TRADERECON_DATA_DIR"
        )
    try:
        run(settings, roles, listener(settings, port), loglevel)
    except SystemExit as end:
        # Forks end by themselves, and the process that was started speaks for all of them.
        if not end.code and not tied and os.getpid() == started:
            say("stopped; the next start goes on from here")
        raise


def run(settings: Settings, roles: tuple[str, ...], listening: socket.socket, loglevel: str) -> None:
    """Check what can be checked, then work until a signal; ends with SystemExit."""
    # Faust and what comes with it: `--help` is quick.
    import faust
    from mode import loop

    from traderecon.app import apps, identity_of, settle_database
    from traderecon.cli.broker import run as ask
    from traderecon.sink.database import StoreError
    from traderecon.worker.home import take_home
    from traderecon.worker.identity import OtherIdentity
    from traderecon.worker.memory import settle
    from traderecon.worker.processes import divided, shares

    _preflight(settings, roles)
    try:
        home = take_home(settings.data_dir, ask(identity_of(settings)))
        if "sink" in roles:
            ask(settle_database(settings, home.identity))
        settle()
        apart = () if settings.broker.startswith("embedded") else shares(roles)
        here = divided(roles, apart, listening)
        loop.use("uvloop")  # not before: it starts threads
        siblings = [(share.role, fork.port) for share, fork in here.forks.items()]
        made = apps(settings, home.share(here.share), here.roles, listening=here.listening, siblings=siblings)
    except (ConfigurationError, OtherIdentity) as error:
        fail(Exit.CONFIG, str(error))
    except StoreError as error:
        fail(error.code, str(error))
    except OSError as error:
        fail(Exit.CONFIG, f"{settings.data_dir}: {error.strerror or error}; TRADERECON_DATA_DIR names it")
    if here.listening is listening:
        _said(settings, roles, *listening.getsockname()[:2])
    worker = faust.Worker(*made, loglevel=loglevel.upper(), redirect_stdouts=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()


def _said(settings: Settings, roles: tuple[str, ...], host: str, port: int) -> None:
    """Where this worker is, and on what."""
    what = "TradeRecon is" if "web" in roles else "metrics and health are"
    log = "the embedded log, one process" if settings.broker.startswith("embedded") else settings.shown()["broker"]
    say(f"{what} at http://{f'[{host}]' if ':' in host else host}:{port}/ ({', '.join(roles)} on {log})")


def _preflight(settings: Settings, roles: tuple[str, ...]) -> None:
    """Make what is ours to make, and refuse what could only fail later; warnings are told."""
    from traderecon.addresses import EMBEDDED
    from traderecon.cli.broker import run as ask
    from traderecon.client.connection import connected
    from traderecon.preflight import Level, checks, exit_code
    from traderecon.preflight.topics import make
    from traderecon.transport.log import WorkerLock, WorkerRunning

    async def prepared() -> None:
        async with connected(settings) as client:
            await make(client, settings)

    if settings.broker.startswith(EMBEDDED):
        _belonging(settings)
        ask(prepared())
        try:
            WorkerLock(settings.data_dir).release()
        except WorkerRunning as error:
            fail(Exit.CONFIG, str(error))
    findings = [finding for finding in ask(checks(settings, roles)) if finding.check != "web port"]
    for finding in findings:
        if finding.level is Level.WARN and finding.check != "sqlite":  # at every start nobody would read it: ``doctor``
            say(f"warning: {finding}")
    if code := exit_code(findings):
        fail(code, "\n".join(str(finding) for finding in findings if finding.level is Level.FAIL))


def _belonging(settings: Settings) -> None:
    """Refuse a data directory of another log before topics are made for it."""
    from traderecon.app import identity_of
    from traderecon.cli.broker import run as ask
    from traderecon.worker.identity import OtherIdentity, verify

    try:
        verify(settings.data_dir, ask(identity_of(settings)))
    except OtherIdentity as error:
        fail(Exit.CONFIG, str(error))


def listener(settings: Settings, asked: int | None) -> socket.socket:
    """A socket that listens: on the port asked for, by option or setting, or else on the first free one.

    Exit 4 where a port that was asked for is taken.
    """
    if asked is not None or "web_port" in settings.model_fields_set:
        ports = range(asked or settings.web_port, (asked or settings.web_port) + 1)
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
                    f"this user may not listen on port {port}: name one above 1023: --port, TRADERECON_WEB_PORT",
                )
            if isinstance(error, socket.gaierror) or error.errno != errno.EADDRINUSE:
                fail(Exit.UNREACHABLE, f"nothing can listen on {settings.web_host}: TRADERECON_WEB_HOST names it")
            if port == ports[-1]:
                found = f"port {port} is taken" if len(ports) == 1 else f"ports {ports[0]} to {port} are taken"
                fail(Exit.UNREACHABLE, f"{found}: stop what has it, or name another: --port, TRADERECON_WEB_PORT")
    raise AssertionError("there is at least one port")


def _end_with_input() -> None:
    """Who started us is gone, and perhaps starts another: nothing that is left to do here may get in its way."""
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    os._exit(Exit.SOFTWARE)
