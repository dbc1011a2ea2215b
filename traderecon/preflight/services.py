"""Checks of the services a worker uses: the broker with its topics and clock, and the database."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

from traderecon.addresses import EMBEDDED, sqlite_path
from traderecon.client.client import TOPIC, Client
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.preflight.findings import Finding, Level, bad, ok, warn
from traderecon.preflight.rights import Right, by_resource, grant, missing, needed, servers
from traderecon.preflight.topics import CREATE_TOPICS, Fitness, TopicStatus, inspect
from traderecon.records.instants import NS_PER_MS, iso
from traderecon.rulebook import matching_agreement, rules_in_force
from traderecon.settings import ConfigurationError, Settings
from traderecon.sourcebook import sources_agreement, sources_in_force
from traderecon.transport.agreement import Agreement
from traderecon.transport.errors import ClientError, NoAnswer
from traderecon.transport.log.open_log import NAME as LOG_NAME
from traderecon.transport.log.worker_lock import holder
from traderecon.transport.open_transactions import HANGS_S
from traderecon.worker.identity import Identity, OtherIdentity, stored_identity, unexpected, verify
from traderecon.worker.roles import ROLES

AHEAD_MS, FAR_AHEAD_MS = 1_000, 30_000
MS_PER_S = 1_000


async def broker(settings: Settings, roles: Collection[str]) -> AsyncIterator[Finding]:
    """Whether the broker answers, grants these roles their rights, has their topics, and has the right time."""
    embedded = settings.broker.startswith(EMBEDDED)
    if embedded:
        for finding in _embedded_log(settings):
            yield finding
        if not (settings.data_dir / LOG_NAME).exists():
            return
    try:
        async with connected(settings) as client:
            wanted = needed(settings, roles)
            denied = await missing(client, wanted)
            yield ok("broker", f"{client.where} answers")
            for finding in _denied_rights(settings, client, denied):
                yield finding
            statuses = await inspect(client, settings, _visible_topics(roles, wanted, denied))
            yield _cluster(settings, await client.cluster_id())
            if not embedded:
                for finding in await _agreements(settings, roles, client):
                    yield finding
            for finding in _topics(statuses, embedded=embedded):
                yield finding
            if not embedded:
                present = [status.topic for status in statuses if status.fitness is not Fitness.MISSING]
                for finding in [*await _leaders(client, present), *await _transactions(client, present)]:
                    yield finding
                yield await _clock(client, statuses)
    except NoAnswer as error:
        yield bad("broker", str(error), unreachable=True)
    except ClientError as error:
        yield bad("broker", str(error))


def _embedded_log(settings: Settings) -> Iterator[Finding]:
    """The embedded log allows one worker at a time; a log that is still to be created will get a new id."""
    if (pid := holder(settings.data_dir)) is not None:
        yield ok("worker", f"one runs on {settings.data_dir}, process {pid}; the embedded log allows only one")
    if (settings.data_dir / LOG_NAME).exists():
        return
    text = f"the embedded log in {settings.data_dir} does not exist yet; the first command that needs it creates it"
    if settings.cluster_id:
        yield bad(
            "broker",
            f"{text} with a new id, but TRADERECON_CLUSTER_ID expects {settings.cluster_id!r}",
            "correct TRADERECON_DATA_DIR, or unset TRADERECON_CLUSTER_ID until the log exists",
        )
        return
    try:
        stored = stored_identity(settings.data_dir)
    except (OtherIdentity, OSError) as error:
        yield bad("cluster", str(error), "no worker starts until this is corrected")
        return
    if stored is None:
        yield ok("broker", text)
        return
    yield bad(
        "broker",
        f"there is no {LOG_NAME} in {settings.data_dir}, which belongs to the log {stored.cluster!r}",
        f"restore {LOG_NAME}, or set another TRADERECON_DATA_DIR",
    )


async def _agreements(settings: Settings, roles: Collection[str], client: Client) -> list[Finding]:
    """Whether the workers of these roles agree with these settings; nothing if they may not describe a group."""
    try:
        agreements = {
            "intake": ("sources in force", sources_agreement(sources_in_force(settings))),
            "matching": ("rules in force", matching_agreement(settings, rules_in_force(settings))),
        }
    except ConfigurationError:  # reported by another check
        return []
    found = [
        await _agreement(f"{settings.topic_prefix}traderecon-{role}", check, agreement, client)
        for role, (check, agreement) in agreements.items()
        if role in roles
    ]
    return [finding for finding in found if finding is not None]


async def _agreement(group: str, check: str, agreement: Agreement, client: Client) -> Finding | None:
    """Whether the workers of a group have this value."""
    try:
        state = await client.group(group)
    except ClientError:  # reported by another check
        return None
    if not state.members or state.protocol in {"", agreement.protocol}:
        return None
    text = (
        f"the workers of the group {group} ({', '.join(state.hosts)}) have {agreement.describe(state.protocol)}; "
        f"these settings give {agreement.describe(agreement.protocol)}. A worker started here would wait"
    )
    return warn(check, text, agreement.todo)


def _denied_rights(settings: Settings, client: Client, denied: Collection[Right]) -> Iterator[Finding]:
    principal = client.principal
    for rights in by_resource(denied):
        text = f"the principal {principal} may not {rights}"
        yield bad("rights", text, f"grant it: {grant(principal, rights, servers(settings))}")


def _visible_topics(
    roles: Collection[str], wanted: Collection[Right], denied: Collection[Right]
) -> Collection[str] | None:
    """The topics to check: those of the roles, except where a right is denied. None: all."""
    if set(roles) >= set(ROLES) and not denied:
        return None
    hidden = {right.name for right in denied}
    return {right.name for right in wanted if right.kind == TOPIC} - hidden


def _cluster(settings: Settings, cluster: str) -> Finding:
    """Whether this log is the expected one, and the one the data directory belongs to."""
    identity = Identity(cluster, settings.topic_prefix, settings.topic_partitions)
    todo = "no worker starts until this is corrected"
    if mismatch := unexpected(identity, settings.cluster_id):
        return bad("cluster", mismatch, todo)
    try:
        verify(settings.data_dir, identity)
        bound = stored_identity(settings.data_dir) is not None
    except (OtherIdentity, OSError) as error:
        return bad("cluster", str(error), todo)
    if settings.cluster_id:
        return ok("cluster", f"{cluster}, as TRADERECON_CLUSTER_ID expects")
    if bound:
        return ok("cluster", f"{cluster}, to which {settings.data_dir} belongs")
    text = f"{cluster}; {settings.data_dir} belongs to no cluster yet, so any is accepted"
    return ok("cluster", f"{text}: set TRADERECON_CLUSTER_ID to expect one")


def _topics(statuses: tuple[TopicStatus, ...], *, embedded: bool) -> Iterator[Finding]:
    """The missing topics, and one finding for all topics with the same problem."""
    faulty = [status for status in statuses if status.fitness is not Fitness.OK]
    if statuses and not faulty:
        count = f"the pipeline's own with {statuses[-1].partitions} partitions each"
        yield ok("topics", f"all {len(statuses)} topics exist, {count}")
    if absent := [status.topic for status in faulty if status.fitness is Fitness.MISSING]:
        text = f"missing: {', '.join(absent)}"
        if embedded:
            yield warn("topics", text, f"{CREATE_TOPICS}; `simulate` and `ingest` create them, too")
        else:
            yield bad("topics", text, CREATE_TOPICS)
    by_problem: dict[tuple[Fitness, str, str], list[str]] = {}
    for status in faulty:
        by_problem.setdefault((status.fitness, status.text, status.todo), []).append(status.topic)
    for (fitness, text, todo), names in by_problem.items():
        sentence = f"{names[0]} {text}" if len(names) == 1 else f"{', '.join(names)}: each {text}"
        if fitness in {Fitness.OTHER_PARTITIONS, Fitness.NO_TIME}:
            yield bad("topics", sentence, todo)
        elif fitness in {Fitness.OTHER_SETTINGS, Fitness.FEW_COPIES}:
            yield warn("topics", sentence, todo)


async def _leaders(client: Client, topics: Collection[str]) -> list[Finding]:
    """Partitions without a leader: they can be neither read nor written; a worker starts with the others."""
    partitions = [f"{topic}[{number}]" for topic in topics for number in await client.leaderless(topic)]
    todo = "start its broker; no grace period expires until every input partition can be read"
    return [warn("leaders", f"{', '.join(partitions)}: no leader", todo)] if partitions else []


async def _transactions(client: Client, topics: Collection[str]) -> list[Finding]:
    """Transactions that have been open for longer than ``HANGS_S``."""
    findings = []
    for topic in topics:
        for transaction in await client.open_transactions(topic):
            if now_ns() // NS_PER_MS - transaction.since_ms >= HANGS_S * MS_PER_S:
                text = (
                    f"{topic}[{transaction.partition}] has an open transaction at offset {transaction.first_offset}, "
                    f"since {iso(transaction.since_ms * NS_PER_MS)}; {transaction.behind} offsets wait behind it, and "
                    "no grace period expires"
                )
                todo = (
                    f"let its producer end it, or run `kafka-transactions.sh abort --topic {topic} --partition "
                    f"{transaction.partition} --start-offset {transaction.first_offset}`"
                )
                findings.append(warn("transactions", text, todo))
    return findings


async def _clock(client: Client, statuses: tuple[TopicStatus, ...]) -> Finding:
    """Compare clocks without writing a record: no timestamp in the log should be in this machine's future.

    Only a warning: a record keeps its timestamp after the wrong clock has been corrected. A running worker checks the
    broker's current time itself, and pauses graces while it distrusts it.
    """
    healthy = [status.topic for status in statuses if status.fitness is Fitness.OK]
    for ahead_ms in (FAR_AHEAD_MS, AHEAD_MS):
        now_ms = now_ns() // NS_PER_MS
        for topic in healthy:
            if await client.has_records_since(topic, now_ms + ahead_ms):
                text = f"{topic} has a record with a timestamp more than {ahead_ms // 1000} s in this machine's future"
                todo = (
                    "set all clocks by NTP; no grace period expires while the broker's clock is ahead (`clock_ahead`)"
                )
                return warn("clock", text, todo)
    return ok("clock", "no record is in this machine's future; a broker that is behind shows only when it writes")


async def database(settings: Settings, *, answered: bool) -> AsyncIterator[Finding]:
    """Whether the database can be opened, has the tables of this version, and belongs to this log.

    ``answered``: whether the broker answered; if not, it is not asked for its identity.
    """
    url = settings.database_url
    path = sqlite_path(url)
    if path is not None and not path.exists():
        yield _new_database(path)
        return
    found = await asyncio.to_thread(_existing_database, url, await _identity(settings) if answered else None)
    yield found
    if found.level is not Level.FAIL and (other := await asyncio.to_thread(_other_groups, settings)) is not None:
        yield other


def _new_database(path: Path) -> Finding:
    existing = next(folder for folder in path.resolve().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        text = f"{path} cannot be created: {existing} cannot be written ({error.strerror})"
        return bad("database", text, "correct TRADERECON_DATABASE_URL or TRADERECON_DATA_DIR", unreachable=True)
    return ok("database", f"{path} does not exist yet; the first worker creates it")


async def _identity(settings: Settings) -> Identity | None:
    """The log that the database must belong to; None if it does not answer, which another check reports."""
    if settings.broker.startswith(EMBEDDED) and not (settings.data_dir / LOG_NAME).exists():
        return None
    try:
        async with connected(settings) as client:
            return Identity(await client.cluster_id(), settings.topic_prefix, settings.topic_partitions)
    except ClientError:
        return None


def _existing_database(url: str, identity: Identity | None) -> Finding:
    # SQLAlchemy and the migrations are slow to import.
    from traderecon.sink.database import StoreError
    from traderecon.sink.migration import head
    from traderecon.sink.store import Store

    try:
        store = Store.open(url)
        try:
            current, newest = store.migration(), head()
            path = store.path
            complete_from = store.complete_from() if current == newest else None
            if identity is not None and current == newest:
                store.belongs_to(identity.cluster, identity.topic_prefix)
        finally:
            store.close()
    except StoreError as error:
        return bad("database", str(error), unreachable=error.code == Exit.UNREACHABLE)
    if current is None:
        return ok("database", f"{path} is empty; the first worker creates its tables")
    if current != newest:
        text = f"{path} is at migration {current}, but this version needs {newest}"
        return bad("database", text, "run `traderecon db upgrade`")
    if complete_from is not None:
        text = f"{path}, at migration {current}, is complete from {complete_from}: older records had expired by then"
        return warn("database", text, "restore an older backup, or accept that")
    return ok("database", f"{path}, at migration {current}")


def _other_groups(settings: Settings) -> Finding | None:
    """A warning if the trades in the database were judged by rules with another ``group_by`` or ``match_key``."""
    from traderecon.sink.database import StoreError
    from traderecon.sink.rules_queries import newest_rules
    from traderecon.sink.store import Store

    try:
        store = Store.open(settings.database_url)
        try:
            before = newest_rules(store.engine) if store.migration() is not None else None
        finally:
            store.close()
        rules = rules_in_force(settings)
    except (StoreError, ConfigurationError):  # reported by another check
        return None
    if before is None:
        return None
    for name, now in (("group_by", rules.group_by or ""), ("match_key", ", ".join(rules.match_key or ()))):
        known = before.get(name) or ""
        known = known if isinstance(known, str) else ", ".join(known)
        if known != now:
            text = (
                f"{name} is {now or 'not set'}, but the trades in the database were judged with {known or 'none'}: "
                "they keep their ids, and a late leg of one is matched under another id"
            )
            return warn("rules", text, "set it back, or start with new topics and a new database")
    return None
