"""The composition root: settings -> one Faust app per role, on one log, with what each stage needs handed to it.

    intake ─> legs ─> matching ─> reconciled, mismatch, dead_letters, standings ─> sink ─> SQL ─> web

``faust -A traderecon.app:matching worker`` runs one role; ``traderecon worker`` runs several: see ``processes``.
"""

import asyncio
import logging
import socket
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from aiohttp.web import SockSite

from traderecon import web
from traderecon.addresses import EMBEDDED, embedded_directory, embedded_url
from traderecon.audit import agent as audit_agent
from traderecon.audit import checkpoint_files as checkpoint
from traderecon.audit.signing import KeyTrouble, Signer
from traderecon.client.connection import connected, security
from traderecon.intake import agent as intake_agent
from traderecon.matching import agent as matching_agent
from traderecon.rulebook import matching_agreement, rules_in_force
from traderecon.settings import ConfigurationError, Settings, load, on_this_machine
from traderecon.sink import agent as sink_agent
from traderecon.sink.database import file_path
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.stage import Stage
from traderecon.telemetry import Metrics, incidents, lag
from traderecon.topics import Topics, topics
from traderecon.transport import StreamApp
from traderecon.transport.incidents import Kind
from traderecon.transport.retry_counts import RetryCounts
from traderecon.worker import free_space, log_retention
from traderecon.worker.home import WorkerHome, take_home
from traderecon.worker.identity import Identity, OtherIdentity, unexpected
from traderecon.worker.roles import ROLES
from traderecon.worker.sink_group import settle, sink_agreement, sink_group

BATCH_RECORDS = 4_000
"""A backlog is read in batches of so many: each waits twice for an acknowledgement, whatever its size."""

logger = logging.getLogger(__name__)


class Parts(NamedTuple):
    """What the apps of one worker share."""

    settings: Settings
    home: WorkerHome
    topics: Topics
    metrics: Metrics


def apps(
    settings: Settings,
    home: WorkerHome,
    roles: Collection[str],
    *,
    listening: socket.socket | None,
    siblings: Sequence[tuple[str, int]],
) -> list[StreamApp]:
    """One app per role, and the one that serves metrics and health; ConfigurationError when the rules are unusable.

    ``listening``: the socket that one serves; None: it opens its own, on the host and port of the settings.
    ``siblings``: roles of this worker in other processes, and the ports of loopback where they tell how they are.
    """
    parts = Parts(settings, home, topics(settings.topic_prefix), Metrics())
    made = {role: _STAGES[role](parts) for role in ROLES if role in roles and role in _STAGES}
    for app in made.values():
        lag.attach(app, parts.metrics)
    pages = _web(parts, made, listening, web.Siblings(siblings), pages="web" in roles)
    incidents.attach(pages, made.values(), parts.metrics)
    database = file_path(settings.database_url) if {"sink", "web"} & set(roles) else None
    disks = free_space.Disks(settings.data_dir, home.directory, database)
    free_space.attach(pages, made, parts.metrics, disks, settings.min_free_mb)
    if (url := broker_url(settings)).startswith(EMBEDDED):
        log_retention.attach(pages, settings, embedded_directory(url) or settings.data_dir)
    return [*made.values(), pages]


def broker_url(settings: Settings) -> str:
    """The broker as the transports want it: ``embedded://`` alone is the log of the data directory."""
    if settings.broker == "embedded://":
        return embedded_url(settings.data_dir.resolve())
    return settings.broker


async def identity_of(settings: Settings) -> Identity:
    """The log these settings lead to. Raises ``ClientError``; OtherIdentity where it is not the one expected."""
    async with connected(settings) as client:
        identity = Identity(await client.cluster_id(), settings.topic_prefix, settings.topic_partitions)
    if said := unexpected(identity, settings.cluster_id):
        raise OtherIdentity(said)
    return identity


async def settle_database(settings: Settings, identity: Identity) -> None:
    """Have the database belong to this log, with an id no other database has: before its sink is made.

    ClientError; StoreError.
    """
    store = Store.open(settings.database_url)
    try:
        store.ready()
        if store.pin(identity.cluster, identity.topic_prefix):
            logger.warning(
                "%s is from a version that did not note which log it belongs to: taken to be cluster %r, prefix %r, "
                "from now on",
                store.path,
                identity.cluster,
                identity.topic_prefix,
            )
        await settle(settings, store)
    finally:
        store.close()


def _intake(parts: Parts) -> StreamApp:
    names = parts.topics
    writes, reads = (names.legs, names.dead_letters, names.accounts), (names.legs, names.actions)
    stage = _stage(parts, "intake", writes=writes, reads=reads)
    intake_agent.attach(
        stage,
        clock_step_s=parts.settings.clock_step_seconds,
        wall_votes=not on_this_machine(parts.settings.broker),
        clock_file=parts.home.directory / "intake" / "clock.json",
    )
    return stage.app


def _matching(parts: Parts) -> StreamApp:
    rules = rules_in_force(parts.settings)
    writes = (*parts.topics.published, parts.topics.changelog, parts.topics.actions)
    stage = _stage(parts, "matching", writes=writes, agreement=matching_agreement(parts.settings, rules))
    matching_agent.attach(stage, rules, parts.settings.retention_days)
    return stage.app


def _sink(parts: Parts) -> StreamApp:
    store = Store.open(parts.settings.database_url)
    store.ready()
    group = sink_group(parts.settings.topic_prefix, store.database_id() or "")
    writes = (parts.topics.dead_letters, parts.topics.checkpoints)
    stage = _stage(parts, "sink", writes=writes, name=group, agreement=sink_agreement(store))
    sink_agent.attach(stage, store)
    audit_agent.attach(stage, store.readers, parts.settings.data_dir / checkpoint.NAME, _signer(parts.settings))
    return stage.app


def _signer(settings: Settings) -> Signer | None:
    if settings.checkpoint_key_file is None:
        return None
    try:
        return Signer.of(settings.checkpoint_key_file)
    except KeyTrouble as error:
        raise ConfigurationError(f"TRADERECON_CHECKPOINT_KEY_FILE: {error}") from None


def _web(
    parts: Parts,
    running: Mapping[str, StreamApp],
    listening: socket.socket | None,
    siblings: web.Siblings,
    *,
    pages: bool,
) -> StreamApp:
    settings = parts.settings
    app = _app(
        parts,
        "web",
        web=True,
        web_host=settings.web_host if listening is None else listening.getsockname()[0],
        web_port=settings.web_port,
        streams=False,
        web_application_options={"middlewares": web.middlewares()},
    )

    if listening is not None:
        server: Any = app.web
        server._transport_handlers["tcp"] = lambda: SockSite(server._runner, listening)

    def health() -> Mapping[str, Mapping[str, bool]]:
        return {role: {"ready": one.ready, "taking_in": not one.holds} for role, one in running.items()}

    def open_incidents() -> list[str]:
        return [sentence for one in running.values() for kind in Kind for sentence in one.incidents.open(kind).values()]

    queries = Queries.open(settings.database_url) if pages else None
    web.attach(
        app,
        queries,
        parts.metrics,
        pages=pages,
        health=health,
        incidents=open_incidents,
        siblings=siblings,
        broker=_told(settings),
    )
    return app


_STAGES = {"intake": _intake, "matching": _matching, "sink": _sink}


def _app(parts: Parts, role: str, *, name: str = "", **more: Any) -> StreamApp:
    settings, home = parts.settings, parts.home
    return StreamApp(
        name or f"{settings.topic_prefix}traderecon-{role}",
        broker=broker_url(settings),
        security=security(settings),
        data_dir=home.directory / role,
        partitions=settings.topic_partitions,
        batch_records=BATCH_RECORDS,
        instance=home.name,
        topic_allow_declare=False,  # a changelog made on the way would have one copy
        **more,
    )


def _stage(parts: Parts, role: str, writes: Collection[str], **more: Any) -> Stage:
    app = _app(parts, role, writes=writes, fixed=(parts.topics.legs, *parts.topics.outputs), **more)
    retry_counts = RetryCounts(parts.home.directory / role / "retry-counts.json")
    return Stage(app, parts.topics, parts.settings.topic_partitions, parts.metrics, retry_counts)


def _told(settings: Settings) -> str:
    return "embedded log, one process" if settings.broker == "embedded://" else "Kafka"


@cache
def _alone(role: str) -> StreamApp:
    settings = load()
    home = take_home(settings.data_dir, asyncio.run(identity_of(settings)))
    if role == "sink":
        asyncio.run(settle_database(settings, home.identity))
    parts = Parts(settings, home, topics(settings.topic_prefix), Metrics())
    return _web(parts, {}, None, web.Siblings(()), pages=True) if role == "web" else _STAGES[role](parts)


def __getattr__(name: str) -> StreamApp:
    """One role as an app of its own, for Faust's command line: made when it is asked for."""
    if name not in ROLES:
        raise AttributeError(name)
    return _alone(name)
