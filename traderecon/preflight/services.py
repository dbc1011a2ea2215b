"""What a worker talks to: the broker with its topics and its clock, and the database."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

from traderecon.addresses import EMBEDDED, sqlite_path
from traderecon.client.client import TOPIC, Client
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.preflight.findings import Finding, bad, ok, warn
from traderecon.preflight.rights import Right, gathered, grant, lacking, needed, servers
from traderecon.preflight.topics import MAKE, Fitness, Standing, inspect
from traderecon.records.instants import NS_PER_MS, iso
from traderecon.rulebook import TODO, matching_agreement, rules_in_force
from traderecon.settings import ConfigurationError, Settings
from traderecon.transport.errors import ClientError, NoAnswer
from traderecon.transport.log.open_log import NAME as LOG_NAME
from traderecon.transport.log.worker_lock import holder
from traderecon.transport.open_transactions import HANGS_S
from traderecon.worker.identity import Identity, OtherIdentity, held, unexpected, verify
from traderecon.worker.roles import ROLES

AHEAD_MS, FAR_AHEAD_MS = 1_000, 30_000
MS_PER_S = 1_000


async def broker(settings: Settings, roles: Collection[str]) -> AsyncIterator[Finding]:
    """Whether the broker answers, lets us do what these roles do, has their topics, and keeps our time."""
    embedded = settings.broker.startswith(EMBEDDED)
    if embedded:
        for finding in _embedded(settings):
            yield finding
        if not (settings.data_dir / LOG_NAME).exists():
            return
    try:
        async with connected(settings) as client:
            wanted = needed(settings, roles)
            refused = await lacking(client, wanted)
            yield ok("broker", f"{client.where} answers")
            for finding in _rights(settings, client, refused):
                yield finding
            standings = await inspect(client, settings, _visible(roles, wanted, refused))
            yield _cluster(settings, await client.cluster_id())
            if not embedded and "matching" in roles:
                for finding in await _agreement(settings, client):
                    yield finding
            for finding in _topics(standings, embedded=embedded):
                yield finding
            if not embedded:
                present = [one.topic for one in standings if one.fitness is not Fitness.MISSING]
                for finding in [*await _leaders(client, present), *await _transactions(client, present)]:
                    yield finding
                yield await _clock(client, standings)
    except NoAnswer as error:
        yield bad("broker", str(error), "start it, or mend TRADERECON_BROKER", unreachable=True)
    except ClientError as error:
        mend = "mend TRADERECON_BROKER or TRADERECON_DATA_DIR" if embedded else "docs/security.md says what it asks for"
        yield bad("broker", str(error), mend)


def _embedded(settings: Settings) -> Iterator[Finding]:
    """What the embedded log adds: one worker at a time, and a log that is still to be created has a new id."""
    if (running := holder(settings.data_dir)) is not None:
        yield ok("worker", f"one is running on {settings.data_dir}, process {running}; the embedded log takes one")
    if (settings.data_dir / LOG_NAME).exists():
        return
    text = f"the embedded log in {settings.data_dir}: not there yet, made by whoever needs it first"
    if settings.cluster_id:
        yield bad(
            "broker",
            f"{text}; its id would be a new one, and TRADERECON_CLUSTER_ID expects {settings.cluster_id!r}",
            "correct TRADERECON_DATA_DIR, or leave TRADERECON_CLUSTER_ID out until the log is there",
        )
        return
    try:
        before = held(settings.data_dir)
    except (OtherIdentity, OSError) as error:
        yield bad("cluster", str(error), "a worker refuses to start")
        return
    if before is None:
        yield ok("broker", text)
        return
    yield bad(
        "broker",
        f"there is no {LOG_NAME} in {settings.data_dir}, which belongs to the log {before.cluster!r}",
        f"restore {LOG_NAME}, or name another TRADERECON_DATA_DIR",
    )


async def _agreement(settings: Settings, client: Client) -> list[Finding]:
    """Whether the workers of the matching group have our rules; a group we may not look at is passed over."""
    group = f"{settings.topic_prefix}traderecon-matching"
    try:
        mine = matching_agreement(settings, rules_in_force(settings)).protocol
        state = await client.group(group)
    except (ConfigurationError, ClientError):  # a finding of its own says so
        return []
    if not state.members or state.protocol in {"", mine}:
        return []
    text = f"the group {group} works with {state.protocol} ({', '.join(state.hosts)}), and here it is {mine}"
    return [warn("rules in force", text, f"a worker started here waits. {TODO}")]


def _rights(settings: Settings, client: Client, refused: Collection[Right]) -> Iterator[Finding]:
    principal = client.principal
    for rights in gathered(refused):
        text = f"the principal {principal} may not {rights}"
        yield bad("rights", text, f"grant it: {grant(principal, rights, servers(settings))}")


def _visible(roles: Collection[str], wanted: Collection[Right], refused: Collection[Right]) -> Collection[str] | None:
    """The topics to look at: those of the roles, without the ones that nothing can be seen of. None: all."""
    if set(roles) >= set(ROLES) and not refused:
        return None
    hidden = {right.name for right in refused}
    return {right.name for right in wanted if right.kind == TOPIC} - hidden


def _cluster(settings: Settings, cluster: str) -> Finding:
    """Whether this log is the one that is meant, and the one the data directory belongs to."""
    now = Identity(cluster, settings.topic_prefix, settings.topic_partitions)
    todo = "a worker refuses to start"
    if said := unexpected(now, settings.cluster_id):
        return bad("cluster", said, todo)
    try:
        verify(settings.data_dir, now)
    except (OtherIdentity, OSError) as error:
        return bad("cluster", str(error), todo)
    return ok("cluster", f"{cluster}, as it must be")


def _topics(standings: tuple[Standing, ...], *, embedded: bool) -> Iterator[Finding]:
    differing = [standing for standing in standings if standing.fitness is not Fitness.OK]
    if standings and not differing:
        count = f"ours with {standings[-1].partitions} partitions each"
        yield ok("topics", f"all {len(standings)} topics are there, {count}")
    if missing := [standing.topic for standing in differing if standing.fitness is Fitness.MISSING]:
        text = f"missing: {', '.join(missing)}"
        if embedded:
            yield warn("topics", text, f"{MAKE}; `simulate` and `ingest` do it as well")
        else:
            yield bad("topics", text, MAKE)
    alike: dict[tuple[Fitness, str, str], list[str]] = {}
    for standing in differing:
        alike.setdefault((standing.fitness, standing.text, standing.todo), []).append(standing.topic)
    for (fitness, text, todo), found in alike.items():
        sentence = f"{found[0]} {text}" if len(found) == 1 else f"{', '.join(found)}: each {text}"
        if fitness in {Fitness.OTHER_PARTITIONS, Fitness.NO_TIME}:
            yield bad("topics", sentence, todo)
        elif fitness in {Fitness.OTHER_SETTINGS, Fitness.FEW_COPIES}:
            yield warn("topics", sentence, todo)


async def _leaders(client: Client, topics: Collection[str]) -> list[Finding]:
    """The partitions that nobody can read or write now; a worker starts all the same, with the others."""
    found = [f"{topic}[{number}]" for topic in topics for number in await client.leaderless(topic)]
    todo = "start its broker; no grace ends until every partition of the inputs can be read"
    return [warn("leaders", f"{', '.join(found)}: no leader", todo)] if found else []


async def _transactions(client: Client, topics: Collection[str]) -> list[Finding]:
    """The transactions that have been open for so long that they hang."""
    findings = []
    for topic in topics:
        for one in await client.open_transactions(topic):
            if now_ns() // NS_PER_MS - one.since_ms >= HANGS_S * MS_PER_S:
                text = (
                    f"{topic}[{one.partition}] has an open transaction at offset {one.first_offset}, since "
                    f"{iso(one.since_ms * NS_PER_MS)}; {one.behind} offsets wait behind it, and no grace ends"
                )
                todo = (
                    f"have its producer end it, or `kafka-transactions.sh abort --topic {topic} --partition "
                    f"{one.partition} --start-offset {one.first_offset}`"
                )
                findings.append(warn("transactions", text, todo))
    return findings


async def _clock(client: Client, standings: tuple[Standing, ...]) -> Finding:
    """Compare clocks without a record of our own: what the log has should not lie in our future.

    A record keeps its timestamp after the clock that was wrong has been corrected, so it is no reason to refuse: a
    running worker checks the broker's present time itself, and holds graces while it does not believe it.
    """
    stamped = [standing.topic for standing in standings if standing.fitness is Fitness.OK]
    for ahead_ms in (FAR_AHEAD_MS, AHEAD_MS):
        now_ms = now_ns() // NS_PER_MS
        for topic in stamped:
            if await client.has_records_since(topic, now_ms + ahead_ms):
                text = f"{topic} has a record with a timestamp more than {ahead_ms // 1000} s in our future"
                todo = "set all clocks by NTP; a worker holds graces while the broker's clock is ahead (`clock_ahead`)"
                return warn("clock", text, todo)
    return ok("clock", "the broker has stamped nothing in our future; whether we are ahead shows only when it writes")


async def database(settings: Settings, *, answered: bool) -> AsyncIterator[Finding]:
    """Whether the database can be opened, has the tables of this version, and belongs to this log.

    ``answered``: the broker did; where not, it is not asked which log it has.
    """
    url = settings.database_url
    path = sqlite_path(url)
    if path is not None and not path.exists():
        yield _new_database(path)
        return
    yield await asyncio.to_thread(_database, url, await _identity(settings) if answered else None)


def _new_database(path: Path) -> Finding:
    there = next(folder for folder in path.resolve().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{path} cannot be created: {there} cannot be written ({error.strerror})"
        return bad("database", text, "correct TRADERECON_DATABASE_URL or TRADERECON_DATA_DIR", unreachable=True)
    return ok("database", f"{path}: not there yet, made by the first worker")


async def _identity(settings: Settings) -> Identity | None:
    """The log that the database must belong to; None where it does not say: a finding of its own does."""
    if settings.broker.startswith(EMBEDDED) and not (settings.data_dir / LOG_NAME).exists():
        return None
    try:
        async with connected(settings) as client:
            return Identity(await client.cluster_id(), settings.topic_prefix, settings.topic_partitions)
    except ClientError:
        return None


def _database(url: str, identity: Identity | None) -> Finding:
    # SQLAlchemy and its migrations are slow to import.
    from traderecon.sink.database import StoreError
    from traderecon.sink.migration import head
    from traderecon.sink.store import Store

    try:
        store = Store.open(url)
        try:
            at, newest = store.migration(), head()
            where = store.path
            since = store.complete_from() if at == newest else None
            if identity is not None and at == newest:
                store.belongs(identity.cluster, identity.topic_prefix)
        finally:
            store.close()
    except StoreError as error:
        return bad(
            "database", str(error), "TRADERECON_DATABASE_URL names it", unreachable=error.code == Exit.UNREACHABLE
        )
    if at is None:
        return ok("database", f"{where}: empty, the first worker makes its tables")
    if at != newest:
        return bad("database", f"{where} is at migration {at}, this version at {newest}", "run `traderecon db upgrade`")
    if since is not None:
        text = f"{where}, at migration {at}: complete from {since}, what was before had expired when it began"
        return warn("database", text, "restore a backup that is older, or know it")
    return ok("database", f"{where}, at migration {at}")
