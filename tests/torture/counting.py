"""The workload of the torture: count the facts of each key, and forward each fact with its number.

    P-in [partition] -> count -> P-out [same partition], table ``counts``

A record is a fact when no record before it, in its partition, has the same key and uid. Its number is how many facts
of that key stand at or below its offset: a function of the input alone, whatever is killed, stopped or replayed.
"""

import argparse
import json
import sys
from pathlib import Path

import faust
from faust.types import StreamT

from torture.bugs import BUGS
from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch, Outgoing, StreamApp

PARTITIONS = 4


def counting(app: StreamApp, prefix: str) -> None:
    """Attach the workload to an app."""
    source = app.topic(f"{prefix}-in", key_type=bytes, value_type=bytes)
    out = f"{prefix}-out"
    table = BatchTable(app, name="counts", partitions=PARTITIONS)
    app.tables.add(table)

    @app.agent(source)
    async def count(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            draft = table.draft(batch)
            results = []
            for record in batch:
                if record.offset <= draft.applied:
                    continue  # a replay: its result has been delivered
                key, uid = record.key or b"", record.value or b""
                row = key + b"\x00" + uid
                if draft.get(row) is not None:
                    continue  # the producer's duplicate, or a replay a stale worker made look new
                draft.put(row, b"%d" % record.offset)
                facts = [int(offset) for _, offset in draft.scan(key + b"\x00")]
                number = sum(offset <= record.offset for offset in facts)
                result = {"key": key.decode(), "uid": uid.decode(), "n": number, "at": record.offset}
                results.append(Outgoing(key, json.dumps(result, separators=(",", ":")).encode()))
            if results:
                await app.append(out, batch.partition, results)
            await draft.write()


def main(arguments: list[str]) -> None:
    """One worker, until a signal or a halt."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--session-timeout", type=float, default=3.0)
    parser.add_argument("--commit-interval", type=float, default=0.5)
    parser.add_argument("--instance", default=None)
    parser.add_argument("--bug", default="", choices=("", *BUGS))
    options = parser.parse_args(arguments)
    if options.bug:
        BUGS[options.bug]()
    app = StreamApp(
        f"{options.prefix}-counting",
        broker=options.broker,
        data_dir=options.data_dir,
        partitions=PARTITIONS,
        writes=[f"{options.prefix}-out"],
        instance=options.instance,
        session_timeout_s=options.session_timeout,
        commit_interval_s=options.commit_interval,
    )
    counting(app, options.prefix)
    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1:])
