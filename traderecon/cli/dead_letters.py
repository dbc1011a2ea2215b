"""``traderecon dead-letters``: what was rejected, looked at from a terminal, sent again, or put away for good."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from traderecon.addresses import sqlite_path
from traderecon.cli import attribution as signature
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, printable, say
from traderecon.cli.decisions import Decider, Decision, Outcome, bytes_of
from traderecon.cli.rules import effective_settings
from traderecon.client.connection import connected
from traderecon.exit_codes import Exit
from traderecon.records import RejectCode
from traderecon.records.action import Deed
from traderecon.records.dead_letter import dead_letter_id
from traderecon.records.formats import OtherFormat
from traderecon.settings import Settings
from traderecon.sink.database import StoreError, explained
from traderecon.sink.dead_letter_queries import parsed, sent_record
from traderecon.sink.filters import DeadLetterFilter, DeadLetterState
from traderecon.sink.queries import UNREADABLE, Queries
from traderecon.sink.rows import DeadLetterRow, SentRecord
from traderecon.sink.store import Store
from traderecon.topics import topics

SHOWN_BYTES = 4_096
_PARTICIPLE = {Deed.REPLAY: "replayed", Deed.DISCARD: "discarded"}
AT_ONCE = 100
"""So many letters are decided in one step: a record may have 64 kB."""

_CODE = click.option(
    "--code", type=click.Choice([code.value for code in RejectCode]), help="Only what was rejected with this code."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_BY = click.option("--by", metavar="NAME", help="Who decides. Default: who is logged in.")


@click.group("dead-letters")
def dead_letters() -> None:
    """Dead letters: records that are no leg, with their reason and origin.

    An ID is where the record lies: topic/partition/offset, as in executions/0/17.
    """


@dead_letters.command("list")
@_CODE
@click.option("--topic", default="", metavar="T", help="Only what lies in this topic.")
@click.option(
    "--state", type=click.Choice([state.value for state in DeadLetterState]), help="Only what is in this state."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@_JSON
def list_(*, code: str | None, topic: str, state: str | None, limit: int, as_json: bool) -> None:
    """List them, the newest first: ID, state, code, and what was found."""
    wanted = DeadLetterFilter(code or "", topic, state or "")
    with _database(effective_settings()) as queries:
        rows = [row for row in queries.rows(wanted, limit=limit) if isinstance(row, DeadLetterRow)]
        total = queries.count(wanted)
    if as_json:
        click.echo(json.dumps([_told(row) for row in rows]))
    else:
        for row in rows:
            click.echo(f"{_id(row)}  {row.state}  {row.code}  {printable(row.text)}")
    if not rows:
        say("no dead letter is like this")
    if total > len(rows):
        say(f"{len(rows)} of {total:,} dead letters; --limit shows more")


@dead_letters.command()
@click.argument("letter", metavar="ID")
@_JSON
def show(*, letter: str, as_json: bool) -> None:
    """Show one, with its record and what was decided about it."""
    with _database(effective_settings()) as queries:
        (sent,) = _found(queries, (letter,))
    if as_json:
        actions = [msgspec.to_builtins(action) for action in sent.actions]
        click.echo(json.dumps({**_told(sent.row), "key": sent.key, "raw": sent.raw, "actions": actions}))
        return
    row = sent.row
    for name, value in _told(row).items():
        if name not in {"key", "raw"} and value is not None:
            click.echo(f"{name}: {printable(str(value))}")
    for name, value in (("key", sent.key), ("record", sent.raw)):
        content = bytes_of(value)
        click.echo(f"{name}: {'none' if content is None else _bytes_shown(content)}")
    for action in sent.actions:
        attempt = f", attempt {action.attempt}" if action.attempt else ""
        said = f"{action.at} {action.deed} of {action.letter} by {action.by}{attempt}"
        click.echo(printable(f"{said}: {action.reason}" if action.reason else said))


@dead_letters.command()
@click.argument("letters", nargs=-1, metavar="ID...")
@click.option("--code", type=click.Choice([code.value for code in RejectCode]), help="Every open one with this code.")
@click.option("--reason", default="", metavar="TEXT", help="Why it will do better now.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@_BY
@_JSON
def replay(
    *, letters: tuple[str, ...], code: str | None, reason: str, dry_run: bool, by: str | None, as_json: bool
) -> None:
    """Send the records of these letters to their topics again.

    They are sent as they were, each at most three times. Exit 3 where one cannot be sent; the others are. Where one
    is not there, none is.
    """
    if bool(letters) == (code is not None):
        raise click.UsageError("say which: one ID or several, or --code")
    decision = Decision(Deed.REPLAY, signature.by(by), signature.why(reason) if reason else "")

    def chosen(queries: Queries) -> Sequence[str]:
        return letters if code is None else _open(queries, code)

    _decide(decision, chosen, dry=dry_run, as_json=as_json)


@dead_letters.command()
@click.argument("letters", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, metavar="TEXT", help="Why nothing more is done about it.")
@_BY
@_JSON
def discard(*, letters: tuple[str, ...], reason: str, by: str | None, as_json: bool) -> None:
    """Put letters away: nothing more is done about them. They stay where they are."""
    decision = Decision(Deed.DISCARD, signature.by(by), signature.why(reason))
    _decide(decision, lambda _: letters, dry=False, as_json=as_json)


def _decide(decision: Decision, chosen: Callable[[Queries], Sequence[str]], *, dry: bool, as_json: bool) -> None:
    settings = effective_settings()
    outcomes: list[Outcome] = []

    async def decided() -> None:
        async with connected(settings) as client:
            decider = Decider(client, topics(settings.topic_prefix), dry=dry)
            for some in steps:
                for outcome in await decider.decide(decision, _found(queries, some)):
                    outcomes.append(outcome)
                    if not as_json:
                        _say(decision, outcome, dry=dry)

    with _database(settings) as queries:
        letters = list(dict.fromkeys(chosen(queries)))
        for some in (steps := [letters[first : first + AT_ONCE] for first in range(0, len(letters), AT_ONCE)]):
            _found(queries, some)  # nothing is decided where one of them is not there
        try:
            run(decided())
        finally:
            if as_json:
                click.echo(json.dumps([{**outcome._asdict(), "done": _done(outcome, dry=dry)} for outcome in outcomes]))
    if refused := sum(bool(outcome.why_not) for outcome in outcomes):
        share = f"{refused} of {counted(len(outcomes), 'dead letter')}"
        fail(Exit.INPUT, f"{share} cannot be {_PARTICIPLE[decision.deed]}, see above")
    if not outcomes:
        say("no dead letter is like this: nothing to do")


def _done(outcome: Outcome, *, dry: bool) -> bool:
    return not outcome.why_not and not dry


def _say(decision: Decision, outcome: Outcome, *, dry: bool) -> None:
    if outcome.why_not:
        say(f"{outcome.letter}: not {_PARTICIPLE[decision.deed]}: {printable(outcome.why_not)}")
    elif decision.deed is Deed.DISCARD:
        click.echo(f"{outcome.letter}: discarded")
    else:
        click.echo(f"{outcome.letter}: {'would be ' if dry else ''}replayed, attempt {outcome.attempt}")


def _found(queries: Queries, letters: Sequence[str]) -> list[SentRecord]:
    """Every letter; ends the command, 3, where one is not there."""
    found = []
    for letter in letters:
        place = parsed(letter)
        if place is None:
            fail(Exit.INPUT, f"{letter!r} is no ID: write topic/partition/offset, as in executions/0/17")
        sent = sent_record(queries.engine, place)
        if sent is None:
            fail(Exit.INPUT, f"there is no dead letter {letter}: `traderecon dead-letters list` has them")
        found.append(sent)
    return found


def _open(queries: Queries, code: str) -> list[str]:
    """The open ones with a code, the oldest first."""
    wanted = DeadLetterFilter(code=code, state=DeadLetterState.OPEN)
    return [_id(row) for rows in queries.stream(wanted) for row in rows if isinstance(row, DeadLetterRow)][::-1]


@contextmanager
def _database(settings: Settings) -> Iterator[Queries]:
    """The database, to be read; ends the command where that is not possible."""
    try:
        store = Store.existing(settings.database_url)
        try:
            store.ready()
        finally:
            store.close()
        queries = Queries.open(settings.database_url)
        try:
            yield queries
        finally:
            queries.close()
    except StoreError as error:
        fail(error.code, error.sentence)
    except OtherFormat as error:
        fail(error.exit_code, str(error))
    except UNREADABLE as error:
        told = explained(str(sqlite_path(settings.database_url)), getattr(error, "orig", error))
        fail(told.code, told.sentence)


def _id(row: DeadLetterRow) -> str:
    return dead_letter_id(row.source_topic, row.source_partition, row.source_offset)


def _told(row: DeadLetterRow) -> dict[str, Any]:
    """A row as JSON; its ID in the place of the number that the database gave it."""
    return {**msgspec.structs.asdict(row), "id": _id(row)}


def _bytes_shown(value: bytes) -> str:
    rest = f" … ({len(value)} bytes)" if len(value) > SHOWN_BYTES else ""
    return printable(value[:SHOWN_BYTES].decode(errors="backslashreplace")) + rest
