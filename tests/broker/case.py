"""An app of a finding, run as a worker in a process of its own: plain Faust, or ours.

    python -m broker.case MODULE STOCK-OR-OURS ADDRESS NAME DIRECTORY MARK

A module of a finding has a function ``stock`` and a function ``ours``; each makes its app, or its apps, from a Case.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import faust
from faust.types import StreamT

from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch
from traderecon.transport.app import StreamApp, Timing

TIMING = Timing(session_s=3.0)


class Case(NamedTuple):
    """Where an app runs: broker (host:port), its own name, its directory, and a word that tells two workers apart."""

    address: str
    name: str
    directory: Path
    mark: str = ""

    def topic(self, role: str) -> str:
        """The full name of one of this app's topics."""
        return f"{self.name}-{role}"


def stock_app(case: Case, **settings: Any) -> faust.App:
    """Faust as it comes, but for faster commits and a shorter session, so that a test is soon over."""
    return faust.App(
        case.name,
        broker=f"aiokafka://{case.address}",
        datadir=str(case.directory),
        web_enabled=False,
        broker_session_timeout=TIMING.session_s,
        broker_heartbeat_interval=TIMING.session_s / 4,
        broker_commit_interval=TIMING.commit_interval_s,
        **{"topic_partitions": 1, "store": "rocksdb://", **settings},
    )


def our_app(case: Case, **settings: Any) -> StreamApp:
    """The same, ours."""
    return StreamApp(
        case.name,
        broker=f"kafka://{case.address}",
        data_dir=case.directory,
        **{"partitions": 1, "timing": TIMING, **settings},
    )


def keep_in_stock(app: faust.App, case: Case) -> faust.App:
    """Plain Faust keeps each row of ``in`` in a table, as its manual shows."""
    rows: Any = app.Table("rows", key_type=bytes, value_type=bytes)

    @app.agent(app.topic(case.topic("in"), key_serializer="raw", value_serializer="raw"))
    async def keep(stream: Any) -> None:
        async for key, value in stream.items():
            rows[key] = value

    return app


def keep_in_ours(app: StreamApp, case: Case) -> StreamApp:
    """The same, ours."""
    rows = BatchTable(app, name="rows", partitions=1)
    app.tables.add(rows)

    @app.agent(app.topic(case.topic("in")))
    async def keep(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            await put_all(rows, batch)

    return app


async def put_all(rows: BatchTable, batch: MicroBatch) -> None:
    """Every record of a batch as a row of a table."""
    write_batch = rows.write_batch(batch)
    for record in batch:
        write_batch.put(record.key or b"", record.value or b"")
    await write_batch.write()


def main(module: str, kind: str, *place: str) -> None:
    """Run one worker until a signal, or until it stops itself."""
    address, name, directory, mark = place
    made = getattr(import_module(module), kind)(Case(address, name, Path(directory), mark))
    apps = made if isinstance(made, list) else [made]
    faust.Worker(*apps, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
