"""``traderecon watermark``: show how far log time has advanced in the journal, and reset it."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import NoReturn

import click
import msgspec

from traderecon.addresses import sqlite_path
from traderecon.cli import attribution
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, say
from traderecon.cli.dates import Instant
from traderecon.cli.local_database import ask
from traderecon.cli.rules import effective_settings
from traderecon.client.client import Client
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.records.action import RESET_KEY, WatermarkReset, decode_reset, encode_action
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import NS_PER_MS, NS_PER_S, iso
from traderecon.records.journal import Progress, decode_progress
from traderecon.settings import Settings
from traderecon.sink.queries import Queries
from traderecon.topics import Topics, topics
from traderecon.transport.microbatch import Outgoing, partition_for

TAIL_RECORDS = 10_000
"""Records read from the end of a journal partition to find its last progress, which is written every second."""
TAIL_GROWTH = 10
"""Factor by which the tail grows if there was no progress in it."""


class SourceProgress(msgspec.Struct, frozen=True):
    """The time that one source partition has reached, as last recorded in the journal."""

    topic: str
    partition: int
    at: str
    behind_s: int
    epoch: int


@click.group()
def watermark() -> None:
    """Show or reset the watermark: the log time up to which every input has been read."""


@watermark.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(*, as_json: bool) -> None:
    """Show the time that each source partition has reached.

    The slowest comes first: it determines when grace periods expire.
    """
    settings = effective_settings()
    epoch, partitions = run(_read_progress(settings))
    if as_json:
        click.echo(json.dumps({"epoch": epoch, "reached": [msgspec.to_builtins(progress) for progress in partitions]}))
        return
    for progress in partitions:
        click.echo(f"{progress.at}  {beside_local_clock(progress)}  {progress.topic}[{progress.partition}]")
    if not partitions:
        say("the journal has no recent progress: is intake running?")
    say(f"epoch {epoch}: the watermark has been reset {counted(epoch, 'time')}")


@watermark.command()
@click.option("--reason", required=True, help="Why; recorded with the decision.")
@click.option("--by", help="Who decides. Default: the logged-in user.")
@click.option("--at", type=Instant(), help="The new time (UTC). Default: now, by this machine's clock.")
@click.option("--dry-run", is_flag=True, help="Print the effect, and write nothing.")
@click.option("--force", is_flag=True, help="Accept a time that is far from this machine's clock.")
@click.option("--json", "as_json", is_flag=True, help="The decision as one JSON object on stdout.")
def reset(*, reason: str, by: str | None, at: datetime | None, dry_run: bool, force: bool, as_json: bool) -> None:
    """Set the watermark to a time.

    For use when clocks cannot be trusted, or were trusted wrongly. Compare the clocks of all brokers first: a time that
    is too late lets grace periods expire at once and causes false breaks. A time that differs from this machine's clock
    by more than TRADERECON_CLOCK_STEP_SECONDS needs --force.

    The decision is written to the actions topic; running workers apply it within seconds, others when they start. It
    cannot be undone: results published under it stay, even after a reset back, and trades that it makes older than
    TRADERECON_RETENTION_DAYS are closed, so that later legs are ORPHAN_LATE. No record is skipped.
    """
    settings = effective_settings()
    now_ms = now_ns() // NS_PER_MS
    at_ms = now_ms if at is None else int(at.timestamp() * 1_000)
    decision = WatermarkReset(uuid.uuid4().hex, 0, at_ms, attribution.by(by), iso(now_ns()), attribution.why(reason))
    ahead_s = int((at_ms - now_ms) / 1_000)
    if abs(ahead_s) > settings.clock_step_seconds and not force:
        _reject(settings, at_ms, ahead_s)
    if dry_run:
        if as_json:
            click.echo(json.dumps(msgspec.to_builtins(decision)))
        say(f"the watermark would be reset to {iso(at_ms * NS_PER_MS)}: {_effect(settings, ahead_s)}")
        say("nothing was written")
        return
    decision = run(_reset(settings, decision))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decision)))
    say(f"the watermark is reset to {iso(decision.at_ms * NS_PER_MS)}, epoch {decision.epoch}")


def _reject(settings: Settings, at_ms: int, ahead_s: int) -> NoReturn:
    step = f"{counted(settings.clock_step_seconds, 'second')} that TRADERECON_CLOCK_STEP_SECONDS allows"
    distance = f"{counted(abs(ahead_s), 'second')} {'ahead of' if ahead_s > 0 else 'behind'} this machine's clock"
    fail(
        Exit.USAGE,
        f"--at {iso(at_ms * NS_PER_MS)} is {distance}, more than the {step}. With it, {_effect(settings, ahead_s)}. "
        "Nothing was written. Correct --at, or repeat the command with --force if the time is right",
    )


def _effect(settings: Settings, ahead_s: int) -> str:
    """What a reset to a time this far ahead of this machine's clock does to pending trades."""
    if ahead_s < -settings.clock_step_seconds:
        return (
            "the watermark goes back: no grace period expires until it is again where it is now. A broker with the "
            "right time is ahead of it and is distrusted: the watermark may stand still until the next reset"
        )
    trades = ask(settings.database_url, _pending_trades)
    if trades is None:
        effect = "every trade whose grace period expires before it becomes UNMATCHED"
        return f"{effect} (there is no database here to count them)"
    verb = "waits" if trades == 1 else "wait"
    text = f"{counted(trades, 'trade')} {verb} for a leg according to {sqlite_path(settings.database_url)}"
    return f"{text}; every grace period that expires before that time expires at once, and its trade becomes UNMATCHED"


def _pending_trades(queries: Queries) -> int:
    return sum(sum(partition.pending.values()) for partition in queries.partition_statuses())


async def _reset(settings: Settings, decision: WatermarkReset) -> WatermarkReset:
    """Publish the decision under the next epoch."""
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        partition = partition_for(RESET_KEY, (await client.topics()).get(names.actions, 1))
        epoch = await _last_reset_epoch(client, names, partition)
        # The actions topic may have lost records, and a reset to an epoch that the journal has seen has no effect.
        epoch = max([epoch, *[progress.epoch async for progress in _last_progress(client, names)]])
        decision = msgspec.structs.replace(decision, epoch=epoch + 1)
        await client.append(names.actions, partition, [Outgoing(RESET_KEY, encode_action(decision))])
    return decision


async def _last_reset_epoch(client: Client, names: Topics, partition: int) -> int:
    """The epoch of the last reset in the actions topic."""
    epoch = 0
    async for records in client.read(names.actions, partition):
        for record in records:
            if (earlier := decode_reset(record.value or b"")) is not None:
                epoch = max(epoch, earlier.epoch)
    return epoch


async def _last_progress(client: Client, names: Topics) -> AsyncIterator[Progress]:
    """The progress at the end of each journal partition."""
    for number, end in (await client.ends(names.legs)).items():
        tail: list[Progress] = []
        first, count = end, TAIL_RECORDS
        while first and not tail:
            first = max(0, end - count)
            async for records in client.read(names.legs, number, first):
                for record in records:
                    if record.key is None:
                        with suppress(msgspec.MsgspecError, OtherFormat):  # not written by this pipeline
                            tail.append(decode_progress(record.value or b""))
            count *= TAIL_GROWTH
        for progress in tail:
            yield progress


async def _read_progress(settings: Settings) -> tuple[int, list[SourceProgress]]:
    """The current epoch, and the time that each source partition has reached, slowest first."""
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        partition = partition_for(RESET_KEY, (await client.topics()).get(names.actions, 1))
        epoch = await _last_reset_epoch(client, names, partition)
        latest: dict[tuple[str, int], tuple[int, int]] = {}
        async for progress in _last_progress(client, names):
            epoch = max(epoch, progress.epoch)
            for topic, numbers in progress.reached.items():
                for tp in ((topic, number) for number in numbers):
                    latest[tp] = max(latest.get(tp, (0, 0)), (progress.epoch, progress.at_ns))
    now = now_ns()
    partitions = [
        SourceProgress(
            topic, number, iso(at_ns) if at_ns else "never", (now - at_ns) // NS_PER_S if at_ns else 0, at_epoch
        )
        for (topic, number), (at_epoch, at_ns) in sorted(latest.items(), key=lambda entry: (entry[1], entry[0]))
    ]
    return epoch, partitions


def beside_local_clock(progress: SourceProgress) -> str:
    """The distance from this machine's clock, as text."""
    return f"{abs(progress.behind_s):>6,} s {'ahead of' if progress.behind_s < 0 else 'behind'} this machine's clock"
