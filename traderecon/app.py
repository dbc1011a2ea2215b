"""The composition root: settings -> one Faust app per role on one log, wired to its dependencies.

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
from traderecon.audit.signing import Signer, SigningKeyError
from traderecon.client.connection import connected, security
from traderecon.intake import agent as intake_agent
from traderecon.matching import agent as matching_agent
from traderecon.rulebook import matching_agreement, rules_in_force
from traderecon.settings import ConfigurationError, Settings, is_local, load
from traderecon.sink import agent as sink_agent
from traderecon.sink.database import file_path
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.sourcebook import sources_agreement, sources_in_force
from traderecon.stage import Stage
from traderecon.telemetry import Metrics, incidents, lag
from traderecon.topics import Topics, topics
from traderecon.transport.app import StreamApp, TopicUse
from traderecon.transport.incidents import Kind
from traderecon.transport.retry_counts import RetryCounts
from traderecon.worker import free_space, log_retention
from traderecon.worker.home import WorkerHome, take_home
from traderecon.worker.identity import Identity, OtherIdentity, unexpected
from traderecon.worker.roles import ROLES
from traderecon.worker.sink_group import settle, sink_agreement, sink_group

BATCH_RECORDS = 4_000
"""Batch size for a backlog: every batch waits twice for an acknowledgement, whatever its size."""

logger = logging.getLogger(__name__)


class Context(NamedTuple):
    """Shared by all apps of one worker."""

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
    """One app per role, plus the app that serves metrics and health; ConfigurationError if the rules are invalid.

    ``listening``: the socket to serve on; None opens one on the host and port of the settings.
    ``siblings``: the roles of this worker that run in other processes, with the loopback port of their health.
    """
    context = Context(settings, home, topics(settings.topic_prefix), Metrics())
    stages = {role: _STAGES[role](context) for role in ROLES if role in roles and role in _STAGES}
    for app in stages.values():
        lag.attach(app, context.metrics)
    pages = _web(context, stages, listening, web.Siblings(siblings), pages="web" in roles)
    incidents.attach(pages, stages.values(), context.metrics)
    database = file_path(settings.database_url) if {"sink", "web"} & set(roles) else None
    disks = free_space.Disks(settings.data_dir, home.directory, database)
    free_space.attach(pages, stages, context.metrics, disks, settings.min_free_mb)
    if (url := broker_url(settings)).startswith(EMBEDDED):
        log_retention.attach(pages, settings, embedded_directory(url) or settings.data_dir)
    return [*stages.values(), pages]


def broker_url(settings: Settings) -> str:
    """The broker URL for the transports; ``embedded://`` becomes the log in the data directory."""
    if settings.broker == "embedded://":
        return embedded_url(settings.data_dir.resolve())
    return settings.broker


async def identity_of(settings: Settings) -> Identity:
    """The identity of the configured log. Raises ``ClientError``; OtherIdentity if it is not the expected one."""
    async with connected(settings) as client:
        identity = Identity(await client.cluster_id(), settings.topic_prefix, settings.topic_partitions)
    if error := unexpected(identity, settings.cluster_id):
        raise OtherIdentity(error)
    return identity


async def settle_database(settings: Settings, identity: Identity) -> None:
    """Bind the database to this log and give it a unique id, before its sink is created. ClientError; StoreError."""
    store = Store.open(settings.database_url)
    try:
        store.prepare()
        if store.bind(identity.cluster, identity.topic_prefix):
            logger.warning(
                "%s was written by a version that did not record its log: assuming cluster %r, prefix %r",
                store.path,
                identity.cluster,
                identity.topic_prefix,
            )
        await settle(settings, store)
    finally:
        store.close()


def _intake(context: Context) -> StreamApp:
    names = context.topics
    sources = sources_in_force(context.settings)
    stage = _stage(
        context,
        "intake",
        writes=(names.legs, names.dead_letters, names.accounts),
        reads=(names.legs, names.actions),
        agreement=sources_agreement(sources),
    )
    intake_agent.attach(
        stage,
        sources,
        clock_step_s=context.settings.clock_step_seconds,
        wall_votes=not is_local(context.settings.broker),
        clock_file=context.home.directory / "intake" / "clock.json",
    )
    return stage.app


def _matching(context: Context) -> StreamApp:
    rules = rules_in_force(context.settings)
    writes = (*context.topics.published, context.topics.changelog, context.topics.actions)
    stage = _stage(context, "matching", writes=writes, agreement=matching_agreement(context.settings, rules))
    settings = context.settings
    matching_agent.attach(
        stage,
        rules,
        settings.retention_days,
        silence_limit_s=settings.silence_limit_seconds,
        silence_floor_s=settings.silence_floor_seconds,
    )
    return stage.app


def _sink(context: Context) -> StreamApp:
    store = Store.open(context.settings.database_url)
    store.prepare()
    group = sink_group(context.settings.topic_prefix, store.database_id() or "")
    writes = (context.topics.dead_letters, context.topics.checkpoints)
    stage = _stage(context, "sink", writes=writes, name=group, agreement=sink_agreement(store))
    sink_agent.attach(stage, store)
    audit_agent.attach(stage, store, context.settings.data_dir / checkpoint.NAME, _signer(context.settings))
    return stage.app


def _signer(settings: Settings) -> Signer | None:
    if settings.checkpoint_key_file is None:
        return None
    try:
        return Signer.of(settings.checkpoint_key_file)
    except SigningKeyError as error:
        raise ConfigurationError(f"TRADERECON_CHECKPOINT_KEY_FILE: {error}") from None


def _web(
    context: Context,
    stages: Mapping[str, StreamApp],
    listening: socket.socket | None,
    siblings: web.Siblings,
    *,
    pages: bool,
) -> StreamApp:
    settings = context.settings
    app = _app(
        context,
        "web",
        web_host=settings.web_host if listening is None else listening.getsockname()[0],
        web_port=settings.web_port,
        streams=False,
        web_application_options={"middlewares": web.middlewares()},
    )

    if listening is not None:
        server: Any = app.web
        server._transport_handlers["tcp"] = lambda: SockSite(server._runner, listening)

    def health() -> Mapping[str, Mapping[str, bool]]:
        return {role: {"ready": stage.ready, "taking_in": not stage.pauses} for role, stage in stages.items()}

    def open_incidents() -> list[str]:
        return [text for stage in stages.values() for kind in Kind for text in stage.incidents.open(kind).values()]

    queries = Queries.open(settings.database_url, rules_in_force(settings).calendar or None) if pages else None
    web.attach(
        app,
        queries,
        context.metrics,
        pages=pages,
        health=health,
        incidents=open_incidents,
        siblings=siblings,
        broker=_broker_label(settings),
    )
    return app


_STAGES = {"intake": _intake, "matching": _matching, "sink": _sink}


def _app(context: Context, role: str, *, name: str = "", **options: Any) -> StreamApp:
    settings, home = context.settings, context.home
    return StreamApp(
        name or f"{settings.topic_prefix}traderecon-{role}",
        broker=broker_url(settings),
        security=security(settings),
        data_dir=home.directory / role,
        partitions=settings.topic_partitions,
        batch_records=BATCH_RECORDS,
        instance=home.name,
        topic_allow_declare=False,  # Faust would create a changelog with a single replica
        **options,
    )


def _stage(
    context: Context, role: str, *, writes: Collection[str], reads: Collection[str] = (), **options: Any
) -> Stage:
    topic_use = TopicUse(writes, reads, fixed=(context.topics.legs, *context.topics.outputs))
    app = _app(context, role, topic_use=topic_use, **options)
    retry_counts = RetryCounts(context.home.directory / role / "retry-counts.json")
    return Stage(app, context.topics, context.settings.topic_partitions, context.metrics, retry_counts)


def _broker_label(settings: Settings) -> str:
    return "embedded log, one process" if settings.broker == "embedded://" else "Kafka"


@cache
def _standalone(role: str) -> StreamApp:
    settings = load()
    home = take_home(settings.data_dir, asyncio.run(identity_of(settings)))
    if role == "sink":
        asyncio.run(settle_database(settings, home.identity))
    context = Context(settings, home, topics(settings.topic_prefix), Metrics())
    return _web(context, {}, None, web.Siblings(()), pages=True) if role == "web" else _STAGES[role](context)


def __getattr__(name: str) -> StreamApp:
    """One role as an app of its own, for Faust's command line; created on first access."""
    if name not in ROLES:
        raise AttributeError(name)
    return _standalone(name)
