"""``traderecon topics skip``: continue after records that retention has deleted, with the decision on record.

decision -> actions topic, then commit the group's offset, then the account of the skipped offsets -> accounts topic
"""

import json
import uuid
from contextlib import suppress

import click
import msgspec

from traderecon.cli import attribution
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, say
from traderecon.cli.rules import effective_settings
from traderecon.client.client import Client, GroupPosition
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.records.account import Account, Disposition, PartitionLedger, Span, decode_account, encode_account
from traderecon.records.action import Skip, encode_action
from traderecon.records.instants import iso
from traderecon.settings import Settings
from traderecon.topics import Topics
from traderecon.topics import topics as topic_names
from traderecon.transport.microbatch import Outgoing, partition_for


@click.command()
@click.option("--topic", required=True, help="An input topic or the journal (legs), by its full name.")
@click.option("--partition", type=click.IntRange(0), required=True, help="The partition.")
@click.option("--to", "following", type=click.IntRange(0), required=True, help="The offset to continue at.")
@click.option("--reason", required=True, help="Why; recorded with the decision.")
@click.option("--by", help="Who decides. Default: the logged-in user.")
@click.option("--json", "as_json", is_flag=True, help="The decision as one JSON object on stdout.")
def skip(*, topic: str, partition: int, following: int, reason: str, by: str | None, as_json: bool) -> None:
    """Continue after records that retention has deleted.

    For one partition. Only deleted records can be skipped. Stop the workers that read the topic first. The command
    writes the decision to the actions topic, moves the group to the offset, and accounts for the skipped offsets. If it
    is interrupted, run it again.
    """
    settings = effective_settings()
    decision = run(_skip(settings, topic, partition, following, attribution.why(reason), attribution.by(by)))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(decision)))
    count = decision.following - decision.first
    skipped = f"{count} offsets, {decision.first} to {decision.following - 1}, are" if count else "deleted records are"
    say(f"{topic}[{partition}]: {skipped} skipped; {decision.group} continues at {decision.following} or later")


async def _skip(settings: Settings, topic: str, partition: int, following: int, reason: str, by: str) -> Skip:  # noqa: PLR0917  # the fields of the decision
    names = topic_names(settings.topic_prefix)
    group = _group(settings, names, topic)
    async with connected(settings) as client:
        if partition >= (count := (await client.topics()).get(topic, partition + 1)):
            fail(Exit.USAGE, f"{topic} has {counted(count, 'partition')}: 0 to {count - 1}")
        position = await client.position(group, topic, partition)
        missing: tuple[Span, ...] = ()
        if position.committed is None or position.committed >= position.low:  # only the accounts show what was read
            missing = await _unaccounted(client, names, topic, partition, position.low)
        first = _first_skipped(topic, partition, following, position, missing)
        decision = Skip(uuid.uuid4().hex, topic, partition, first, following, group, by, iso(now_ns()), reason)
        await _append(client, names.actions, decision.key, encode_action(decision))
        if position.committed is None or position.committed < following:
            await client.move(group, topic, partition, following)
        if topic == names.legs:  # the matching table must not wait for them, either
            from traderecon.worker.state import set_applied  # imports Faust

            await set_applied(client, names, partition, following - 1)
        if first < following:  # last, because client.move fails while the group has members
            account = Account(topic, partition, first, ((Disposition.SKIPPED, following - first),))
            await _append(client, names.accounts, account.key, encode_account(account))
    return decision


async def _unaccounted(client: Client, names: Topics, topic: str, partition: int, low: int) -> tuple[Span, ...]:
    """The offsets below ``low``, the first one still in the log, that no account covers."""
    ledger: PartitionLedger | None = None
    key = f"{topic}/{partition}".encode()
    count = (await client.topics()).get(names.accounts, 1)
    async for records in client.read(names.accounts, partition_for(key, count)):
        for record in records:
            if record.key == key:
                with suppress(msgspec.MsgspecError):  # the sink rejects records that are not accounts
                    account = decode_account(record.value or b"")
                    ledger = (ledger or PartitionLedger.starting_at(account)).with_account(account)
    return ledger.missing_spans(low) if ledger is not None else ()


def _group(settings: Settings, names: Topics, topic: str) -> str:
    """The group that reads the topic, if its commits decide where it continues; ends the command otherwise."""
    if topic in names.inputs:
        return f"{settings.topic_prefix}traderecon-intake"
    if topic == names.legs:
        return f"{settings.topic_prefix}traderecon-matching"
    choices = ", ".join([*names.inputs, names.legs])
    hint = ". For topics the sink reads, move the database away: the new one starts with the records that still exist"
    text = f"{topic!r}: records can be skipped in {choices} only{hint if topic in names.outputs else ''}"
    return fail(Exit.USAGE, text)


def _first_skipped(
    topic: str, partition: int, following: int, position: GroupPosition, missing: tuple[Span, ...]
) -> int:
    """The first skipped offset; ends the command if the decision would skip records that still exist."""
    low, committed = position.low, position.committed
    offsets = f"{topic}[{partition}] has the offsets {low} to {position.high}"
    if following == low and missing:
        return missing[0][0]
    if committed is None and following == low:
        return low  # commit and accounts have expired: only the worker's table knows how many records are gone
    if committed is None:
        fail(Exit.USAGE, f"{offsets}, and its group has no commit: the only offset to continue at is {low}")
    if committed >= low and not missing:
        fail(Exit.USAGE, f"{offsets}, and its group continues at {committed}: no record is lost, nothing to skip")
    if following != low:
        lost = sum(end - start for start, end in missing) or low - committed
        fail(
            Exit.USAGE,
            f"{offsets}, and its group continues at {committed}: {lost} records are gone, and the only offset to "
            f"continue at without skipping more is {low}",
        )
    return committed


async def _append(client: Client, topic: str, key: bytes, value: bytes) -> None:
    partition = partition_for(key, (await client.topics()).get(topic, 1))
    await client.append(topic, partition, [Outgoing(key, value)])
