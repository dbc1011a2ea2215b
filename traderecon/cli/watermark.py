"""``traderecon watermark``: how far the journal has got in time, and a decision to set it."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import NoReturn

import click
import msgspec

from traderecon.addresses import sqlite_path
from traderecon.cli import attribution as signature
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, say
from traderecon.cli.dates import Instant
from traderecon.cli.local_database import asked
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
"""So many of the last records of a journal partition are looked at: progress comes every second."""
WIDER = 10
"""So many times as many are looked at where none of them is progress."""


class Reached(msgspec.Struct, frozen=True):
    """How far time has got in one source partition, as the journal was told last."""

    topic: str
    partition: int
    at: str
    behind_s: int
    epoch: int


@click.group()
def watermark() -> None:
    """The log's time: how far every input has been read, and a decision to set it."""


@watermark.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(*, as_json: bool) -> None:
    """Show how far time has got in each source partition.

    The slowest comes first: graces end by it.
    """
    settings = effective_settings()
    epoch, reached = run(_shown(settings))
    if as_json:
        click.echo(json.dumps({"epoch": epoch, "reached": [msgspec.to_builtins(one) for one in reached]}))
        return
    for one in reached:
        click.echo(f"{one.at}  {beside_our_clock(one)}  {one.topic}[{one.partition}]")
    if not reached:
        say("the journal has been told nothing of the time lately: does intake run?")
    say(f"epoch {epoch}: the watermark has been reset {counted(epoch, 'time')}")


@watermark.command()
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@click.option("--by", help="Who decides; default: the user of this machine.")
@click.option("--at", type=Instant(), help="What time it is (UTC); default: now, by the clock of this machine.")
@click.option("--dry-run", is_flag=True, help="Say what it would do; nothing is written.")
@click.option("--force", is_flag=True, help="Take a time that is far from the clock of this machine.")
@click.option("--json", "as_json", is_flag=True, help="The decision as one JSON object on stdout.")
def reset(*, reason: str, by: str | None, at: datetime | None, dry_run: bool, force: bool, as_json: bool) -> None:
    """Decide what time it is for the log.

    For clocks that cannot be believed, or have been believed wrongly. Compare the clocks of all brokers first: a
    time that is too late ends graces at once and makes false breaks. A time
    that differs from this machine's clock by more than TRADERECON_CLOCK_STEP_SECONDS needs --force.

    The decision is written to the topic of actions; running workers apply it within seconds, others when they start.
    It cannot be undone: results that are published under it stay, also after a reset back, and trades that it makes
    older than TRADERECON_RETENTION_DAYS are closed, so that legs which come later are ORPHAN_LATE. No record is
    skipped.
    """
    settings = effective_settings()
    now_ms = now_ns() // NS_PER_MS
    at_ms = now_ms if at is None else int(at.timestamp() * 1_000)
    decided = WatermarkReset(uuid.uuid4().hex, 0, at_ms, signature.by(by), iso(now_ns()), signature.why(reason))
    ahead_s = int((at_ms - now_ms) / 1_000)
    if abs(ahead_s) > settings.clock_step_seconds and not force:
        _refuse(settings, at_ms, ahead_s)
    if dry_run:
        if as_json:
            click.echo(json.dumps(msgspec.to_builtins(decided)))
        say(f"the log's time would be {iso(at_ms * NS_PER_MS)}: {_effect(settings, ahead_s)}")
        say("nothing was written")
        return
    decided = run(_reset(settings, decided))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decided)))
    say(f"the log's time is {iso(decided.at_ms * NS_PER_MS)} from now on, epoch {decided.epoch}")


def _refuse(settings: Settings, at_ms: int, ahead_s: int) -> NoReturn:
    step = f"{counted(settings.clock_step_seconds, 'second')} that TRADERECON_CLOCK_STEP_SECONDS allows"
    far = f"{counted(abs(ahead_s), 'second')} {'ahead of' if ahead_s > 0 else 'behind'} this machine's clock"
    fail(
        Exit.USAGE,
        f"--at {iso(at_ms * NS_PER_MS)} is {far}, more than the {step}. With it, {_effect(settings, ahead_s)}. Nothing "
        "was written. Correct --at, or repeat the command with --force if that is the time",
    )


def _effect(settings: Settings, ahead_s: int) -> str:
    """What a reset to a time so far ahead of this machine's clock does to the trades that wait."""
    if ahead_s < -settings.clock_step_seconds:
        return (
            "time goes back: no grace ends before the watermark is where it is now. A broker whose clock is right is "
            "ahead of that time then, and not believed: time may stand still until the next reset"
        )
    trades = asked(settings.database_url, _waiting)
    if trades is None:
        return "every trade whose grace ends before it becomes UNMATCHED (there is no database here to count them)"
    verb = "waits" if trades == 1 else "wait"
    text = f"{counted(trades, 'trade')} {verb} for a leg according to {sqlite_path(settings.database_url)}"
    return f"{text}; every grace that ends before it is over at once, and its trade becomes UNMATCHED"


def _waiting(queries: Queries) -> int:
    return sum(sum(one.pending.values()) for one in queries.standings())


async def _reset(settings: Settings, wanted: WatermarkReset) -> WatermarkReset:
    """Publish the decision under the next epoch."""
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        partition = partition_for(RESET_KEY, (await client.topics()).get(names.actions, 1))
        epoch = await _decided_epoch(client, names, partition)
        # The topic of decisions may have lost its records: an epoch that the journal has had already changes nothing.
        epoch = max([epoch, *[progress.epoch async for progress in _told(client, names)]])
        decided = msgspec.structs.replace(wanted, epoch=epoch + 1)
        await client.append(names.actions, partition, [Outgoing(RESET_KEY, encode_action(decided))])
    return decided


async def _decided_epoch(client: Client, names: Topics, partition: int) -> int:
    """The epoch of the last reset that the topic of decisions has."""
    epoch = 0
    async for records in client.read(names.actions, partition):
        for record in records:
            if (before := decode_reset(record.value or b"")) is not None:
                epoch = max(epoch, before.epoch)
    return epoch


async def _told(client: Client, names: Topics) -> AsyncIterator[Progress]:
    """The last progress that each partition of the journal has been told."""
    for number, end in (await client.ends(names.legs)).items():
        found: list[Progress] = []
        first, count = end, TAIL_RECORDS
        while first and not found:
            first = max(0, end - count)
            async for records in client.read(names.legs, number, first):
                for record in records:
                    if record.key is None:
                        with suppress(msgspec.MsgspecError, OtherFormat):  # not of ours: it says nothing
                            found.append(decode_progress(record.value or b""))
            count *= WIDER
        for progress in found:
            yield progress


async def _shown(settings: Settings) -> tuple[int, list[Reached]]:
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        partition = partition_for(RESET_KEY, (await client.topics()).get(names.actions, 1))
        epoch = await _decided_epoch(client, names, partition)
        found: dict[tuple[str, int], tuple[int, int]] = {}
        async for told in _told(client, names):
            epoch = max(epoch, told.epoch)
            for topic, numbers in told.reached.items():
                for place in ((topic, one) for one in numbers):
                    found[place] = max(found.get(place, (0, 0)), (told.epoch, told.at_ns))
    now = now_ns()
    reached = [
        Reached(topic, number, iso(at_ns) if at_ns else "never", (now - at_ns) // NS_PER_S if at_ns else 0, told_in)
        for (topic, number), (told_in, at_ns) in sorted(found.items(), key=lambda one: (one[1], one[0]))
    ]
    return epoch, reached


def beside_our_clock(one: Reached) -> str:
    """How far this is from our own time, for people."""
    return f"{abs(one.behind_s):>6,} s {'ahead of' if one.behind_s < 0 else 'behind'} this machine's clock"
