"""``traderecon topics skip``: a decision to go on behind records that are gone, written down before it is done."""

import json
import uuid
from contextlib import suppress

import click
import msgspec

from traderecon.cli import attribution as signature
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, say
from traderecon.cli.rules import effective_settings
from traderecon.client.client import Client, GroupPosition
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.records.account import Account, Book, Disposition, Span, decode_account, encode_account
from traderecon.records.action import Skip, encode_action
from traderecon.records.instants import iso
from traderecon.settings import Settings
from traderecon.topics import Topics
from traderecon.topics import topics as named
from traderecon.transport.microbatch import Outgoing, partition_for
from traderecon.worker.state import set_applied


@click.command()
@click.option("--topic", required=True, help="An input topic, or the journal (legs), by its whole name.")
@click.option("--partition", type=click.IntRange(0), required=True, help="Which partition of it.")
@click.option("--to", "following", type=click.IntRange(0), required=True, help="The offset to go on at.")
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@click.option("--by", help="Who decides; the user of this machine unless told.")
@click.option("--json", "as_json", is_flag=True, help="The decision as one JSON object on stdout.")
def skip(*, topic: str, partition: int, following: int, reason: str, by: str | None, as_json: bool) -> None:
    """Go on behind records that retention has taken, in one partition.

    Only records that are not there any more can be left out. Stop the workers that read the topic first. The decision
    is written to the topic of actions, then the group goes on at that offset, then the ledger is told; where it ends
    in between, run it again.
    """
    settings = effective_settings()
    decided = run(_skip(settings, topic, partition, following, signature.why(reason), signature.by(by)))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decided)))
    lost = decided.following - decided.first
    what = f"{lost} offsets, {decided.first} to {decided.following - 1}, are" if lost else "what is gone is"
    say(f"{topic}[{partition}]: {what} left out; {decided.group} goes on at {decided.following} or later")


async def _skip(settings: Settings, topic: str, partition: int, following: int, reason: str, by: str) -> Skip:  # noqa: PLR0917  # the decision, word by word
    names = named(settings.topic_prefix)
    group = _group(settings, names, topic)
    async with connected(settings) as client:
        if partition >= (count := (await client.topics()).get(topic, partition + 1)):
            fail(Exit.USAGE, f"{topic} has {counted(count, 'partition')}: 0 to {count - 1}")
        at = await client.position(group, topic, partition)
        untold: tuple[Span, ...] = ()
        if at.committed is None or at.committed >= at.low:  # what was read up to is for the ledger to say
            untold = await _untold(client, names, topic, partition, at.low)
        first = _checked(topic, partition, following, at, untold)
        decided = Skip(uuid.uuid4().hex, topic, partition, first, following, group, by, iso(now_ns()), reason)
        await _written(client, names.actions, decided.key, encode_action(decided))
        if at.committed is None or at.committed < following:
            await client.move(group, topic, partition, following)
        if topic == names.legs:  # the table of matching is not to miss them either
            await set_applied(client, names, partition, following - 1)
        if first < following:  # the last of all: whoever reads the topic has been found to be gone
            account = Account(topic, partition, first, ((Disposition.SKIPPED, following - first),))
            await _written(client, names.accounts, account.key, encode_account(account))
    return decided


async def _untold(client: Client, names: Topics, topic: str, partition: int, low: int) -> tuple[Span, ...]:
    """The offsets below the first there still is that no account on the log tells of."""
    book: Book | None = None
    key = f"{topic}/{partition}".encode()
    count = (await client.topics()).get(names.accounts, 1)
    async for records in client.read(names.accounts, partition_for(key, count)):
        for record in records:
            if record.key == key:
                with suppress(msgspec.MsgspecError):  # what is no account, the sink puts aside
                    account = decode_account(record.value or b"")
                    book = (book or Book.opened(account)).entered(account)
    return book.untold(low) if book is not None else ()


def _group(settings: Settings, names: Topics, topic: str) -> str:
    """The group that reads the topic and keeps no offsets elsewhere."""
    if topic in names.inputs:
        return f"{settings.topic_prefix}traderecon-intake"
    if topic == names.legs:
        return f"{settings.topic_prefix}traderecon-matching"
    known = ", ".join([*names.inputs, names.legs])
    instead = ". What the sink reads is rebuilt instead: move the database away, and it begins with what is there still"
    return fail(Exit.USAGE, f"{topic!r}: of {known} records can be left out{instead if topic in names.outputs else ''}")


def _checked(topic: str, partition: int, following: int, at: GroupPosition, untold: tuple[Span, ...]) -> int:
    """The first offset that is left out; ends the command where the decision would leave out what is still there."""
    where = f"{topic}[{partition}] has the offsets {at.low} to {at.high}"
    if following == at.low and untold:
        return untold[0][0]
    if at.committed is None and following == at.low:
        return at.low  # commit and accounts have expired: how many are gone, only the worker's table knows
    if at.committed is None:
        fail(Exit.USAGE, f"{where}, and no commit says how far it was read: the only offset to go on at is {at.low}")
    if at.committed >= at.low and not untold:
        fail(Exit.USAGE, f"{where}, and is to be read on at {at.committed}: nothing is lost, nothing is to be done")
    if following != at.low:
        gone = sum(ended - begun for begun, ended in untold) or at.low - at.committed
        fail(
            Exit.USAGE,
            f"{where}, and is to be read on at {at.committed}: {gone} records are gone, and the only offset to go on "
            f"at without leaving out more is {at.low}",
        )
    return at.committed


async def _written(client: Client, topic: str, key: bytes, value: bytes) -> None:
    place = partition_for(key, (await client.topics()).get(topic, 1))
    await client.append(topic, place, [Outgoing(key, value)])
