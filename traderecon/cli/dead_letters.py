"""``traderecon dead-letters``: list, show, replay and discard rejected records."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import click
import msgspec

from traderecon.cli import attribution
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, printable, say
from traderecon.cli.decisions import Decider, Decision, Outcome, bytes_of
from traderecon.cli.local_database import readable_database
from traderecon.cli.rules import effective_settings
from traderecon.client.connection import connected
from traderecon.exit_codes import Exit
from traderecon.records import RejectCode
from traderecon.records.action import Deed
from traderecon.records.dead_letter import dead_letter_id
from traderecon.sink.dead_letter_queries import parse_dead_letter_id, sent_record
from traderecon.sink.filters import DeadLetterFilter, DeadLetterState
from traderecon.sink.queries import Queries
from traderecon.sink.rows import DeadLetterRecord, DeadLetterRow
from traderecon.topics import topics

SHOWN_BYTES = 4_096
_PARTICIPLE = {Deed.REPLAY: "replayed", Deed.DISCARD: "discarded"}
BATCH_SIZE = 100
"""Dead letters decided at once: each may hold a record of 64 kB."""

_CODE = click.option(
    "--code", type=click.Choice([code.value for code in RejectCode]), help="Only records rejected with this code."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_BY = click.option("--by", metavar="NAME", help="Who decides. Default: the logged-in user.")


@click.group("dead-letters")
def dead_letters() -> None:
    """List, replay or discard dead letters: records that could not be decoded.

    The ID of a dead letter is topic/partition/offset of its record, as in executions/0/17.
    """


@dead_letters.command("list")
@_CODE
@click.option("--topic", default="", metavar="T", help="Only records of this topic.")
@click.option(
    "--state", type=click.Choice([state.value for state in DeadLetterState]), help="Only dead letters in this state."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number to list.")
@_JSON
def list_(*, code: str | None, topic: str, state: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, newest first: ID, state, code, and the error."""
    criteria = DeadLetterFilter(code or "", topic, state or "")
    with readable_database(effective_settings()) as queries:
        rows = [row for row in queries.rows(criteria, limit=limit) if isinstance(row, DeadLetterRow)]
        total = queries.count(criteria)
    if as_json:
        click.echo(json.dumps([_to_json(row) for row in rows]))
    else:
        for row in rows:
            click.echo(f"{_id(row)}  {row.state}  {row.code}  {printable(row.text)}")
    if not rows:
        say("no dead letters match")
    if total > len(rows):
        say(f"{len(rows)} of {total:,} dead letters; --limit shows more")


@dead_letters.command()
@click.argument("dead_letter", metavar="ID")
@_JSON
def show(*, dead_letter: str, as_json: bool) -> None:
    """Show a dead letter with its record and the decisions about it."""
    with readable_database(effective_settings()) as queries:
        (record,) = _records(queries, (dead_letter,))
    if as_json:
        actions = [msgspec.to_builtins(action) for action in record.actions]
        click.echo(json.dumps({**_to_json(record.row), "key": record.key, "raw": record.raw, "actions": actions}))
        return
    for name, value in _to_json(record.row).items():
        if name not in {"key", "raw"} and value is not None:
            click.echo(f"{name}: {printable(str(value))}")
    for name, value in (("key", record.key), ("record", record.raw)):
        content = bytes_of(value)
        click.echo(f"{name}: {'none' if content is None else _to_text(content)}")
    for action in record.actions:
        attempt = f", attempt {action.attempt}" if action.attempt else ""
        text = f"{action.at} {action.deed} of {action.letter} by {action.by}{attempt}"
        click.echo(printable(f"{text}: {action.reason}" if action.reason else text))


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option(
    "--code", type=click.Choice([code.value for code in RejectCode]), help="Every open dead letter with this code."
)
@click.option("--reason", default="", metavar="TEXT", help="Why it should succeed now; recorded. Default: none.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@_BY
@_JSON
def replay(
    *, ids: tuple[str, ...], code: str | None, reason: str, dry_run: bool, by: str | None, as_json: bool
) -> None:
    """Send the records of dead letters to their topics again.

    Each record is sent unchanged, at most three times. If one cannot be sent, the others are, and the exit code is 3.
    If one does not exist, none is sent.
    """
    if bool(ids) == (code is not None):
        raise click.UsageError("give one or more IDs, or --code")
    decision = Decision(Deed.REPLAY, attribution.by(by), attribution.why(reason) if reason else "")

    def select(queries: Queries) -> Sequence[str]:
        return ids if code is None else _open_ids(queries, code)

    _decide(decision, select, dry=dry_run, as_json=as_json)


@dead_letters.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, metavar="TEXT", help="Why it needs no more action; recorded.")
@_BY
@_JSON
def discard(*, ids: tuple[str, ...], reason: str, by: str | None, as_json: bool) -> None:
    """Close dead letters that need no more action. Their records stay where they are."""
    decision = Decision(Deed.DISCARD, attribution.by(by), attribution.why(reason))
    _decide(decision, lambda _: ids, dry=False, as_json=as_json)


def _decide(decision: Decision, select: Callable[[Queries], Sequence[str]], *, dry: bool, as_json: bool) -> None:
    settings = effective_settings()
    outcomes: list[Outcome] = []

    async def decide_batches() -> None:
        async with connected(settings) as client:
            decider = Decider(client, topics(settings.topic_prefix), dry=dry)
            for batch in batches:
                for outcome in await decider.decide(decision, _records(queries, batch)):
                    outcomes.append(outcome)
                    if not as_json:
                        _print(decision, outcome, dry=dry)

    with readable_database(settings) as queries:
        ids = list(dict.fromkeys(select(queries)))
        batches = [ids[first : first + BATCH_SIZE] for first in range(0, len(ids), BATCH_SIZE)]
        for batch in batches:
            _records(queries, batch)  # decide nothing if one of them does not exist
        try:
            run(decide_batches())
        finally:
            if as_json:
                click.echo(json.dumps([{**outcome._asdict(), "done": _done(outcome, dry=dry)} for outcome in outcomes]))
    if rejected := sum(bool(outcome.why_not) for outcome in outcomes):
        share = f"{rejected} of {counted(len(outcomes), 'dead letter')}"
        fail(Exit.INPUT, f"{share} cannot be {_PARTICIPLE[decision.deed]}, see above")
    if not outcomes:
        say("no dead letters match: nothing to do")


def _done(outcome: Outcome, *, dry: bool) -> bool:
    return not outcome.why_not and not dry


def _print(decision: Decision, outcome: Outcome, *, dry: bool) -> None:
    if outcome.why_not:
        say(f"{outcome.letter}: not {_PARTICIPLE[decision.deed]}: {printable(outcome.why_not)}")
    elif decision.deed is Deed.DISCARD:
        click.echo(f"{outcome.letter}: discarded")
    else:
        click.echo(f"{outcome.letter}: {'would be ' if dry else ''}replayed, attempt {outcome.attempt}")


def _records(queries: Queries, ids: Sequence[str]) -> list[DeadLetterRecord]:
    """The dead letters with their records; ends the command with 3 if one does not exist."""
    records = []
    for dead_letter in ids:
        coordinates = parse_dead_letter_id(dead_letter)
        if coordinates is None:
            fail(Exit.INPUT, f"{dead_letter!r} is not an ID: write topic/partition/offset, as in executions/0/17")
        record = sent_record(queries.engine, coordinates)
        if record is None:
            fail(Exit.INPUT, f"there is no dead letter {dead_letter}: `traderecon dead-letters list` shows all")
        records.append(record)
    return records


def _open_ids(queries: Queries, code: str) -> list[str]:
    """The IDs of the open dead letters with a code, oldest first."""
    criteria = DeadLetterFilter(code=code, state=DeadLetterState.OPEN)
    return [_id(row) for rows in queries.stream(criteria) for row in rows if isinstance(row, DeadLetterRow)][::-1]


def _id(row: DeadLetterRow) -> str:
    return dead_letter_id(row.source_topic, row.source_partition, row.source_offset)


def _to_json(row: DeadLetterRow) -> dict[str, Any]:
    """A row as JSON, with its ID instead of the database's row number."""
    return {**msgspec.structs.asdict(row), "id": _id(row)}


def _to_text(value: bytes) -> str:
    rest = f" … ({len(value)} bytes)" if len(value) > SHOWN_BYTES else ""
    return printable(value[:SHOWN_BYTES].decode(errors="backslashreplace")) + rest
