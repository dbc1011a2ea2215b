"""``traderecon watermark``: how far the journal has got in time, and a decision to set it."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import click
import msgspec

from traderecon.cli import signature
from traderecon.cli.broker import run
from traderecon.cli.rules import effective_settings
from traderecon.cli.talk import say
from traderecon.clock import now_ns
from traderecon.connection import connected
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import NS_PER_MS, NS_PER_S, iso
from traderecon.records.journal import Progress, progress_of
from traderecon.records.watermark_reset import KEY, WatermarkReset, reset_json, reset_of
from traderecon.settings import Settings
from traderecon.topics import Topics, topics
from traderecon.transport.client import Client
from traderecon.transport.microbatch import Outgoing, partition_for

TAIL_RECORDS = 10_000
"""So many of the last records of a journal partition are looked at: progress comes every second."""
WIDER = 10
"""So many times as many are looked at where none of them is progress."""


class _Reached(msgspec.Struct, frozen=True):
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
    """Show how far time has got in each source partition, the slowest first; graces end by the slowest."""
    settings = effective_settings()
    epoch, reached = run(_shown(settings))
    if as_json:
        click.echo(json.dumps({"epoch": epoch, "reached": [msgspec.to_builtins(one) for one in reached]}))
        return
    for one in reached:
        click.echo(f"{one.at}  {one.behind_s:>6} s behind this machine's clock  {one.topic}[{one.partition}]")
    if not reached:
        say("the journal has been told nothing of the time lately: does intake run?")
    say(f"epoch {epoch}: the watermark has been reset {epoch} times")


@watermark.command()
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@click.option("--by", help="Who decides; default: the user of this machine.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="What time it is (UTC); default: now, by the clock of this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="The decision as one JSON object on stdout.")
def reset(*, reason: str, by: str | None, at: datetime | None, as_json: bool) -> None:
    """Decide what time it is for the log, where its clocks cannot be believed or have been believed wrongly.

    Compare the clocks of all brokers first: a time that is wrong makes false breaks. The decision is written to the
    topic of actions; running workers take it in within seconds, others when they start. What was published
    stays, and no trade that is unread is passed over.
    """
    settings = effective_settings()
    at_ms = now_ns() // NS_PER_MS if at is None else int(at.replace(tzinfo=UTC).timestamp()) * 1000
    decided = run(_reset(settings, at_ms, signature.why(reason), signature.by(by)))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decided)))
    say(f"the log's time is {iso(decided.at_ms * NS_PER_MS)} from now on, epoch {decided.epoch}")


async def _reset(settings: Settings, at_ms: int, reason: str, by: str) -> WatermarkReset:
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        partition = partition_for(KEY, (await client.topics()).get(names.actions, 1))
        epoch = await _decided_epoch(client, names, partition)
        # The topic of decisions may have lost its records: an epoch that the journal has had already changes nothing.
        epoch = max([epoch, *[progress.epoch async for progress in _told(client, names)]])
        decided = WatermarkReset(uuid.uuid4().hex, epoch + 1, at_ms, by, iso(now_ns()), reason)
        await client.append(names.actions, partition, [Outgoing(KEY, reset_json(decided))])
    return decided


async def _decided_epoch(client: Client, names: Topics, partition: int) -> int:
    """The epoch of the last reset that the topic of decisions has."""
    epoch = 0
    async for records in client.read(names.actions, partition):
        for record in records:
            if (before := reset_of(record.value or b"")) is not None:
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
                            found.append(progress_of(record.value or b""))
            count *= WIDER
        for progress in found:
            yield progress


async def _shown(settings: Settings) -> tuple[int, list[_Reached]]:
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        partition = partition_for(KEY, (await client.topics()).get(names.actions, 1))
        epoch = await _decided_epoch(client, names, partition)
        found: dict[tuple[str, int], tuple[int, int]] = {}
        async for told in _told(client, names):
            epoch = max(epoch, told.epoch)
            for topic, numbers in told.reached.items():
                for place in ((topic, one) for one in numbers):
                    found[place] = max(found.get(place, (0, 0)), (told.epoch, told.at_ns))
    now = now_ns()
    reached = [
        _Reached(topic, number, iso(at_ns) if at_ns else "never", (now - at_ns) // NS_PER_S if at_ns else 0, told_in)
        for (topic, number), (told_in, at_ns) in sorted(found.items(), key=lambda one: (one[1], one[0]))
    ]
    return epoch, reached
