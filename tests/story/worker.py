"""Stories in a worker: ``traderecon worker`` as a user runs it, on the embedded log or on Kafka.

run_worker(installation, course, send, pass_graces) -> every difference, after each step
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from broker.waiting import Never, until
from pipeline_case import Installation, Running

from story.copies import Profile
from story.course import Sent, Step
from story.stored import Stored
from traderecon.client.embedded_client import EmbeddedClient
from traderecon.records.instants import NS_PER_S
from traderecon.rules import Rules
from traderecon.transport import Outgoing

GRACE_S = 600
"""Longer than any run: only a step of the log's time ends it."""
STEP_WITHIN_S = 60
CONSUMED = "traderecon_messages_consumed_total"
"""Counted when the legs of a message are in the journal, which fixes the order of a trade's legs."""
MARGIN_S = 10


def install(
    folder: Path, profile: Profile, broker: str = "embedded://", **settings: object
) -> tuple[Installation, Rules]:
    """An installation with the rules and sources of a profile, and these rules."""
    if (text := profile.rules_file) is not None:
        settings["rules"] = folder / "rules.toml"
        (folder / "rules.toml").write_text(text, encoding="utf-8")
    rules = msgspec.structs.replace(profile.parsed_rules, grace_ns=GRACE_S * NS_PER_S)
    # No source is awaited: a story moves time in steps, and is about trades.
    settings = {"grace_seconds": GRACE_S, "silence_limit_seconds": 0, **settings}
    return Installation(folder, broker, **settings), rules


def run_worker(
    installation: Installation,
    worker: Running,
    course: Sequence[Step],
    send: Callable[[Sequence[Sent]], None],
    pass_graces: Callable[[], None],
) -> list[str]:
    """Take each step when the one before is stored as it must be; the first step that never is ends the run."""

    def read() -> Stored:
        with closing(sqlite3.connect(f"file:{installation.data_dir / 'traderecon.db'}?mode=ro", uri=True)) as database:
            return Stored.read(database, installation.prefix)

    sent = 0
    for number, step in enumerate(course):
        if step.passes_grace:
            pass_graces()
        else:
            send(step.sent)
            sent += len(step.sent)
            until(lambda: worker.metric(CONSUMED) >= sent, "all that was sent is in the journal")  # noqa: B023
        if found := _settled(installation, step, read):
            return [f"step {number}: {it}" for it in found]
    installation.until(installation.stored, "all is stored")
    return [f"at the end: {it}" for it in course[-1].expected.differences(read())]


def _settled(installation: Installation, step: Step, read: Callable[[], Stored]) -> list[str]:
    """Wait until all is stored as it must be; what is not, when the time is up."""
    with suppress(Never):
        installation.until(lambda: not step.expected.differences(read()), "the step is stored", STEP_WITHIN_S)
    return step.expected.differences(read())


def send_embedded(installation: Installation, messages: Sequence[Sent]) -> None:
    """Append messages to the embedded log, in their order."""
    rows: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
    for topic, partition, value in messages:
        rows[topic, partition].append(Outgoing(None, value))

    async def send() -> None:
        async with EmbeddedClient.open(installation.data_dir) as client:
            for place, outgoing in rows.items():
                await client.append(*place, outgoing)

    asyncio.run(send())


def advance_embedded(installation: Installation) -> None:
    """Put the log's time ahead of every grace."""

    async def advance() -> None:
        async with EmbeddedClient.open(installation.data_dir) as client:
            await client.advance((GRACE_S + MARGIN_S) * 1_000)

    asyncio.run(advance())
