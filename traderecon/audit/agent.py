"""The notary at work beside the sink: about once a minute, and when the worker stops, what is committed is told.

First the file, synced, then the topic: what a checkpoint says was in the database before either of them.
"""

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from faust.exceptions import ConsumerNotStarted
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from traderecon.audit.checkpoint_files import NAME, append
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.signing import Signer
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.records.checkpoint import Checkpoint, Place
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import iso
from traderecon.sink.database import explained
from traderecon.stage import Stage
from traderecon.transport import Outgoing
from traderecon.transport.fail_stop import fail_stop

EVERY_S = 60.0
FIRST_S = 2.0
"""A chain that has no checkpoint yet gets its first so soon: until then nothing shows that its rows were there."""


def attach(stage: Stage, engine: Engine, path: Path, signer: Signer | None = None) -> None:
    """Give the sink's app the timers; ``path`` is the file of checkpoints, and the app writes the topic of them."""
    app = stage.app
    checkpointer = Checkpointer(engine, path, lambda: iso(now_ns()), *(() if signer is None else (signer.signed,)))
    places: set[Place] = set()
    one_at_a_time = asyncio.Lock()

    async def tell(*, first_only: bool = False) -> None:
        async with one_at_a_time:
            # What this worker has read, also when its partitions are gone already, or it never got any.
            with suppress(ConsumerNotStarted):
                places.update((tp.topic, tp.partition) for tp in app.consumer.assignment())
            due = await asyncio.to_thread(_due, checkpointer, places, engine.url.database, first_only=first_only)
            if not due:
                return
            try:
                await asyncio.to_thread(append, path, due)
            except OSError as error:
                fail_stop(
                    f"{path}: a checkpoint cannot be written ({error.strerror}): make room, and start again",
                    code=Exit.SOFTWARE,
                )
            for one in due:
                await app.append(stage.topics.checkpoints, one.partition, [Outgoing(one.key, one.line)])
            checkpointer.told(due)

    async def last(*_: Any, **__: Any) -> None:
        await tell()

    async def all_that_moved() -> None:
        await tell()

    async def first() -> None:
        await tell(first_only=True)

    app.timer(EVERY_S, name="checkpoints")(all_that_moved)
    app.timer(FIRST_S, name="first-checkpoints")(first)
    app.on_before_shutdown.connect(last, weak=False)


def _due(checkpointer: Checkpointer, places: set[Place], where: str | None, *, first_only: bool) -> list[Checkpoint]:
    try:
        due = checkpointer.due(places, first_only=first_only)
    except (DatabaseError, sqlite3.DatabaseError) as error:  # of the engine, of its bare connection
        trouble = explained(where, getattr(error, "orig", error))
        if trouble.passes:
            return []  # they are told next time
        fail_stop(trouble.sentence, error if trouble.code == Exit.SOFTWARE else None, code=trouble.code)
    except OtherFormat as error:
        fail_stop(f"{NAME}: {error}", code=error.exit_code)
    except OSError as error:
        fail_stop(f"{error.filename}: cannot be read ({error.strerror})", error, code=Exit.SOFTWARE)
    return due
