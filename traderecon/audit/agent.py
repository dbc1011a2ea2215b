"""The checkpointer beside the sink: publishes checkpoints about once a minute, and when the worker stops.

The file is written and synced before the topic, and the database is committed before both.
"""

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from faust.exceptions import ConsumerNotStarted
from sqlalchemy.exc import DatabaseError

from traderecon.audit.checkpoint_files import NAME, append
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.signing import Signer
from traderecon.clock import now_ns
from traderecon.exit_codes import Exit
from traderecon.records.checkpoint import Checkpoint, TopicPartition
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import iso
from traderecon.sink.store import Store
from traderecon.stage import Stage
from traderecon.transport import Outgoing
from traderecon.transport.fail_stop import fail_stop

EVERY_S = 60.0
FIRST_S = 2.0
"""A chain without checkpoints gets its first one this soon: until then nothing proves that its rows existed."""


def attach(stage: Stage, store: Store, path: Path, signer: Signer | None = None) -> None:
    """Add the timers to the sink's app; ``path`` is the checkpoint file. The app must write the checkpoint topic."""
    app = stage.app
    checkpointer = Checkpointer(store.readers, path, lambda: iso(now_ns()), *(() if signer is None else (signer.sign,)))
    tps: set[TopicPartition] = set()
    lock = asyncio.Lock()

    async def publish(*, first_only: bool = False) -> None:
        async with lock:
            # All partitions this worker has read, also if they are revoked by now; none if it never had any.
            with suppress(ConsumerNotStarted):
                tps.update((tp.topic, tp.partition) for tp in app.consumer.assignment())
            due = await asyncio.to_thread(_due, checkpointer, tps, store, first_only=first_only)
            if not due:
                return
            try:
                await asyncio.to_thread(append, path, due)
            except OSError as error:
                fail_stop(
                    f"{path}: a checkpoint cannot be written ({error.strerror}): free some space, then restart",
                    code=Exit.SOFTWARE,
                )
            for checkpoint in due:
                message = Outgoing(checkpoint.key, checkpoint.line)
                await app.append(stage.topics.checkpoints, checkpoint.partition, [message])
            checkpointer.mark_published(due)

    async def publish_at_shutdown(*_: Any, **__: Any) -> None:
        await publish()

    async def publish_regularly() -> None:
        await publish()

    async def publish_first() -> None:
        await publish(first_only=True)

    app.timer(EVERY_S, name="checkpoints")(publish_regularly)
    app.timer(FIRST_S, name="first-checkpoints")(publish_first)
    app.on_before_shutdown.connect(publish_at_shutdown, weak=False)


def _due(checkpointer: Checkpointer, tps: set[TopicPartition], store: Store, *, first_only: bool) -> list[Checkpoint]:
    try:
        return checkpointer.due(tps, first_only=first_only)
    except (DatabaseError, sqlite3.DatabaseError) as error:  # from the engine, or from its raw connection
        store_error = store.to_store_error(error)
        if store_error.transient:
            return []  # they are due again next time
        fail_stop(store_error.message, error if store_error.code == Exit.SOFTWARE else None, code=store_error.code)
    except OtherFormat as error:
        fail_stop(f"{NAME}: {error}", code=error.exit_code)
    except OSError as error:
        fail_stop(f"{error.filename}: cannot be read ({error.strerror})", error, code=Exit.SOFTWARE)
