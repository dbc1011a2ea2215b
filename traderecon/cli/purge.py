"""``traderecon db purge`` and ``traderecon db hold``: what the database lets go of, and what it must keep."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
from sqlalchemy import Engine

from traderecon.audit.checkpoint_files import NAME
from traderecon.audit.purging import Purging, decide
from traderecon.audit.signing import KeyTrouble, Signer
from traderecon.cli import attribution as signature
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, progress, say
from traderecon.cli.covered import covered, covered_now
from traderecon.cli.dates import Day
from traderecon.cli.rules import effective_settings
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.records.action import Hold, Release
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.instants import iso
from traderecon.settings import Settings
from traderecon.sink.database import StoreError
from traderecon.sink.purge import Plan
from traderecon.sink.store import Store
from traderecon.topics import topics

_WATERMARK = "SELECT min(watermark), count(*), count(watermark) FROM standings"
_HOLDS = 'SELECT hold_id, trade_id, ticker, "by", since, reason, released_at FROM legal_holds ORDER BY since, hold_id'

BY = click.option("--by", help="Who decides; the user of this machine unless told.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@click.option("--before", type=Day(), help="Trades whose last result is older than this UTC day.")
@click.option("--apply", is_flag=True, help="Do it; without this nothing is changed.")
@click.option("--reason", default="", help="Why, for whoever asks later; needed with --apply.")
@BY
@JSON
def purge(*, before: datetime | None, apply: bool, reason: str, by: str | None, as_json: bool) -> None:
    """Remove trades that are older than the retention.

    Without --apply it says what would go. Default for --before: the watermark, less
    TRADERECON_DATABASE_RETENTION_DAYS. Trades with an open break, and those
    under a legal hold (`traderecon db hold`), stay. Their results become links of the chains, which still verify; the
    first of them go altogether, up to checkpoints that are published first. Workers may run.
    """
    settings = effective_settings()
    if apply and not reason:
        fail(Exit.USAGE, "--apply needs --reason: the decision is written to the topic of actions")
    store = _store(settings)
    try:
        until = _before(settings, store.engine, before)
        plan = run(_purge(settings, store.engine, until, apply, signature.by(by), reason))
    except StoreError as error:
        fail(error.code, error.sentence)
    except OSError as error:
        fail(Exit.SOFTWARE, f"{error.filename}: cannot be written ({error.strerror}): make room, and purge again")
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"before": until, "applied": apply, **plan._asdict()}))
    done = "gone" if apply else "would go"
    trades, results = counted(plan.trades, "trade"), counted(plan.results, "result")
    say(f"{trades} with {results} ({counted(plan.size_bytes, 'byte')}) from before {until}: {done}")
    say(f"{plan.open:,} with an open break and {plan.held:,} under a legal hold stay")
    if not apply:
        say("nothing was changed: --apply --reason ... does it")


@click.group()
def hold() -> None:
    """Legal holds: what no purge may take until it is released."""


@hold.command()
@click.option("--trade", help="A trade.")
@click.option("--ticker", help="Every trade of a ticker.")
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@BY
@JSON
def add(*, trade: str | None, ticker: str | None, reason: str, by: str | None, as_json: bool) -> None:
    """Hold a trade, or every trade of a ticker.

    The decision is written to the topic of actions, which the sink reads.
    """
    if (trade is None) == (ticker is None):
        fail(Exit.USAGE, "name --trade or --ticker, one of them")
    held = Hold(uuid.uuid4().hex[:12], signature.by(by), iso(now_ns()), signature.why(reason), trade, ticker)
    settings = effective_settings()
    run(_decided(settings, held))
    _told(held, as_json=as_json)
    what = f"trade {trade}" if trade is not None else f"ticker {ticker}"
    say(f"hold {held.hold_id} on {what}{_coverage(settings, trade, ticker)}")


def _coverage(settings: Settings, trade: str | None, ticker: str | None) -> str:
    """How many trades a new hold covers, and a warning where it is none: it may come before its trades."""
    found = covered_now(settings.database_url, trade, ticker)
    if found is None:
        return ""
    if found.trades:
        return f": {counted(found.trades, 'trade')} of the database now"
    meant = "" if found.meant is None else f"; did you mean {found.meant}?"
    return f"\nwarning: it covers no trade of the database now{meant}"


@hold.command()
@click.argument("hold_id")
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@BY
@JSON
def release(*, hold_id: str, reason: str, by: str | None, as_json: bool) -> None:
    """End a hold."""
    settings = effective_settings()
    if hold_id not in {one["hold_id"] for one in _holds(settings) if one["released_at"] is None}:
        fail(Exit.INPUT, f"there is no hold {hold_id!r} to release: `traderecon db hold list` has those there are")
    released = Release(hold_id, signature.by(by), iso(now_ns()), signature.why(reason))
    run(_decided(settings, released))
    _told(released, as_json=as_json)
    say(f"hold {hold_id} is released")


@hold.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def list_(*, as_json: bool) -> None:
    """Print every hold, released or not.

    Each with the number of trades of the database that it covers now.
    """
    holds = _holds(effective_settings())
    if as_json:
        click.echo(json.dumps(holds))
        return
    if not holds:
        say("there are no legal holds")
    for one in holds:
        what = f"trade {one['trade_id']}" if one["trade_id"] is not None else f"ticker {one['ticker']}"
        ended = f", released {one['released_at']}" if one["released_at"] else ""
        trades = counted(one["trades"], "trade")
        click.echo(f"{one['hold_id']} {what}: {one['reason']} ({one['by']}, {one['since']}{ended}), {trades}")


def _before(settings: Settings, engine: Engine, before: datetime | None) -> str:
    with engine.connect() as connection:
        watermark, told, known = connection.exec_driver_sql(_WATERMARK).one()
    if not known or known < told:
        fail(Exit.CONFIG, "no watermark yet: matching has not told every partition's time, so nothing is old enough")
    now = datetime.fromisoformat(watermark)
    if before is not None:
        if before > now:
            text = f"--before {before:%Y-%m-%d} lies after the watermark ({watermark})"
            fail(Exit.USAGE, f"{text}: give {now:%Y-%m-%d} or an earlier day")
        return f"{before:%Y-%m-%dT%H:%M:%SZ}"
    if not settings.database_retention_days:
        fail(Exit.USAGE, "the database keeps everything: set TRADERECON_DATABASE_RETENTION_DAYS, or give --before")
    return f"{now - timedelta(days=settings.database_retention_days):%Y-%m-%dT%H:%M:%SZ}"


async def _purge(  # noqa: PLR0917  # a decision, word by word
    settings: Settings, engine: Engine, before: str, apply: bool, by: str, reason: str
) -> Plan:
    async with connected(settings) as client:
        names = topics(settings.topic_prefix)
        where = (engine, client, names, settings.data_dir / NAME, lambda: iso(now_ns()))
        purging = Purging(*where, _signed(settings)) if settings.checkpoint_key_file else Purging(*where)
        plan = purging.plan(before)
        if not apply:
            return plan
        with progress(plan.results, "purging") as advance:
            return await purging.purge(before, by, signature.why(reason), advance)


def _signed(settings: Settings) -> Callable[[Checkpoint], Checkpoint]:
    """How checkpoints are signed; a key that cannot be used ends the command."""
    try:
        return Signer.of(settings.checkpoint_key_file or Path()).signed
    except KeyTrouble as error:
        fail(Exit.CONFIG, f"TRADERECON_CHECKPOINT_KEY_FILE: {error}")


async def _decided(settings: Settings, decision: Hold | Release) -> None:
    async with connected(settings) as client:
        await decide(client, topics(settings.topic_prefix), decision)


def _holds(settings: Settings) -> list[dict[str, Any]]:
    store = _store(settings)
    try:
        with store.engine.connect() as connection:
            return [
                {**row, "trades": covered(connection, row["trade_id"], row["ticker"]).trades}
                for row in connection.exec_driver_sql(_HOLDS).mappings().all()
            ]
    finally:
        store.close()


def _store(settings: Settings) -> Store:
    try:
        store = Store.existing(settings.database_url)
        store.ready()
    except StoreError as error:
        fail(error.code, error.sentence)
    return store


def _told(decision: Hold | Release, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decision)))
