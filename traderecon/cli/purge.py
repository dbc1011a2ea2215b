"""``traderecon db purge`` and ``traderecon db hold``: remove old trades, and protect trades under a legal hold."""

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
from traderecon.audit.signing import Signer, SigningKeyError
from traderecon.cli import attribution
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, progress, say
from traderecon.cli.dates import Day
from traderecon.cli.hold_coverage import coverage_of, current_coverage
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

BY = click.option("--by", help="Who decides. Default: the logged-in user.")
REASON = click.option("--reason", required=True, help="Why; recorded with the decision.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@click.option("--before", type=Day(), help="Purge trades whose last result is older than this UTC day.")
@click.option("--apply", is_flag=True, help="Purge; without it, only print what would be removed.")
@click.option("--reason", default="", help="Why; recorded with the decision. Required with --apply.")
@BY
@JSON
def purge(*, before: datetime | None, apply: bool, reason: str, by: str | None, as_json: bool) -> None:
    """Remove trades that are older than the retention.

    Without --apply, prints what would be removed. Default for --before: the watermark minus
    TRADERECON_DATABASE_RETENTION_DAYS. Trades with an open break or under a legal hold (`traderecon db hold`) are kept.
    The chains still verify: purged results keep their digests, and the oldest rows of a chain are dropped up to a
    checkpoint that is published first. Workers may run.
    """
    settings = effective_settings()
    if apply and not reason:
        fail(Exit.USAGE, "--apply needs --reason: the decision is written to the actions topic")
    store = _store(settings)
    try:
        cutoff = _cutoff(settings, store.engine, before)
        plan = run(_purge(settings, store.engine, cutoff, apply, attribution.by(by), reason))
    except StoreError as error:
        fail(error.code, error.message)
    except OSError as error:
        text = f"{error.filename}: cannot be written ({error.strerror}): free some space, and purge again"
        fail(Exit.SOFTWARE, text)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"before": cutoff, "applied": apply, **plan._asdict()}))
    done = "removed" if apply else "would be removed"
    trades, results = counted(plan.trades, "trade"), counted(plan.results, "result")
    say(f"{trades} with {results} ({counted(plan.size_bytes, 'byte')}) from before {cutoff}: {done}")
    say(f"{plan.open:,} with an open break and {plan.held:,} under a legal hold are kept")
    if not apply:
        say("nothing was changed: give --apply and --reason to purge")


@click.group()
def hold() -> None:
    """Manage legal holds, which protect trades from purging."""


@hold.command()
@click.option("--trade", help="Hold one trade.")
@click.option("--ticker", help="Hold every trade of a ticker.")
@REASON
@BY
@JSON
def add(*, trade: str | None, ticker: str | None, reason: str, by: str | None, as_json: bool) -> None:
    """Hold a trade, or every trade of a ticker.

    The decision is written to the actions topic, which the sink reads.
    """
    if (trade is None) == (ticker is None):
        fail(Exit.USAGE, "give either --trade or --ticker")
    decision = Hold(uuid.uuid4().hex[:12], attribution.by(by), iso(now_ns()), attribution.why(reason), trade, ticker)
    settings = effective_settings()
    run(_publish(settings, decision))
    _print(decision, as_json=as_json)
    scope = f"trade {trade}" if trade is not None else f"ticker {ticker}"
    say(f"hold {decision.hold_id} on {scope}{_coverage(settings, trade, ticker)}")


def _coverage(settings: Settings, trade: str | None, ticker: str | None) -> str:
    """How many trades a new hold covers, with a warning if there are none; a hold may precede its trades."""
    coverage = current_coverage(settings.database_url, trade, ticker)
    if coverage is None:
        return ""
    if coverage.trades:
        return f": covers {counted(coverage.trades, 'trade')} in the database now"
    suggestion = "" if coverage.suggestion is None else f"; did you mean {coverage.suggestion}?"
    return f"\nwarning: it covers no trade in the database now{suggestion}"


@hold.command()
@click.argument("hold_id")
@REASON
@BY
@JSON
def release(*, hold_id: str, reason: str, by: str | None, as_json: bool) -> None:
    """Release a hold."""
    settings = effective_settings()
    if hold_id not in {row["hold_id"] for row in _holds(settings) if row["released_at"] is None}:
        fail(Exit.INPUT, f"there is no hold {hold_id!r} to release: `traderecon db hold list` shows all holds")
    decision = Release(hold_id, attribution.by(by), iso(now_ns()), attribution.why(reason))
    run(_publish(settings, decision))
    _print(decision, as_json=as_json)
    say(f"hold {hold_id} is released")


@hold.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def list_(*, as_json: bool) -> None:
    """Print every hold, including released ones.

    Each with the number of trades in the database that it covers now.
    """
    holds = _holds(effective_settings())
    if as_json:
        click.echo(json.dumps(holds))
        return
    if not holds:
        say("there are no legal holds")
    for row in holds:
        scope = f"trade {row['trade_id']}" if row["trade_id"] is not None else f"ticker {row['ticker']}"
        released = f", released {row['released_at']}" if row["released_at"] else ""
        trades = counted(row["trades"], "trade")
        click.echo(f"{row['hold_id']} {scope}: {row['reason']} ({row['by']}, {row['since']}{released}), {trades}")


def _cutoff(settings: Settings, engine: Engine, before: datetime | None) -> str:
    """The time before which trades are purged, never after the watermark; ends the command if there is none."""
    with engine.connect() as connection:
        watermark, partitions, reported = connection.exec_driver_sql(_WATERMARK).one()
    if not reported or reported < partitions:
        text = "no watermark yet: matching has not reported the time of every partition, so no trade is old enough"
        fail(Exit.CONFIG, text)
    now = datetime.fromisoformat(watermark)
    if before is not None:
        if before > now:
            text = f"--before {before:%Y-%m-%d} is after the watermark ({watermark})"
            fail(Exit.USAGE, f"{text}: give {now:%Y-%m-%d} or an earlier day")
        return f"{before:%Y-%m-%dT%H:%M:%SZ}"
    if not settings.database_retention_days:
        fail(Exit.USAGE, "the database keeps everything: set TRADERECON_DATABASE_RETENTION_DAYS, or give --before")
    return f"{now - timedelta(days=settings.database_retention_days):%Y-%m-%dT%H:%M:%SZ}"


async def _purge(  # noqa: PLR0917  # the fields of the decision
    settings: Settings, engine: Engine, before: str, apply: bool, by: str, reason: str
) -> Plan:
    async with connected(settings) as client:
        names = topics(settings.topic_prefix)
        arguments = (engine, client, names, settings.data_dir / NAME, lambda: iso(now_ns()))
        purging = Purging(*arguments, _signing(settings)) if settings.checkpoint_key_file else Purging(*arguments)
        plan = purging.plan(before)
        if not apply:
            return plan
        with progress(plan.results, "purging") as advance:
            return await purging.purge(before, by, attribution.why(reason), advance)


def _signing(settings: Settings) -> Callable[[Checkpoint], Checkpoint]:
    """A function that signs checkpoints; an invalid key ends the command."""
    try:
        return Signer.of(settings.checkpoint_key_file or Path()).sign
    except SigningKeyError as error:
        fail(Exit.CONFIG, f"TRADERECON_CHECKPOINT_KEY_FILE: {error}")


async def _publish(settings: Settings, decision: Hold | Release) -> None:
    async with connected(settings) as client:
        await decide(client, topics(settings.topic_prefix), decision)


def _holds(settings: Settings) -> list[dict[str, Any]]:
    store = _store(settings)
    try:
        with store.engine.connect() as connection:
            return [
                {**row, "trades": coverage_of(connection, row["trade_id"], row["ticker"]).trades}
                for row in connection.exec_driver_sql(_HOLDS).mappings().all()
            ]
    finally:
        store.close()


def _store(settings: Settings) -> Store:
    try:
        store = Store.existing(settings.database_url)
        store.prepare()
    except StoreError as error:
        fail(error.code, error.message)
    return store


def _print(decision: Hold | Release, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decision)))
