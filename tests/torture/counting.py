"""The counting app: count the facts of each key, and forward each fact with its number.

    P-in [partition] -> count -> P-out [same partition], table ``counts``

A record is a fact when no record before it, in its partition, has the same key and uid. Its number is how many facts
of that key have its offset or a lower one: a function of the input alone, whatever is killed, stopped or replayed.
"""

import argparse
import json
import sys
from pathlib import Path

import faust
from faust.types import StreamT

from torture.bugs import BUGS
from torture.reported_clock import report_clock
from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp, Timing, TopicUse

PARTITIONS = 4


def counting(app: StreamApp, prefix: str, *, tally: bool = False) -> None:
    """Attach the workload to an app.

    ``tally``: every record is a fact, and a stored number is incremented. That is right only if no stale worker writes,
    so only with one worker.
    """
    source = app.topic(f"{prefix}-in", key_type=bytes, value_type=bytes)
    out = f"{prefix}-out"
    table = BatchTable(app, name="counts", partitions=PARTITIONS)
    app.tables.add(table)

    @app.agent(source)
    async def count(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            write_batch = table.write_batch(batch)
            results = []
            for record in batch:
                if record.offset <= write_batch.applied:
                    continue  # a replay: its result has been delivered
                key, uid = record.key or b"", record.value or b""
                row = key + b"\x00" + uid
                if tally:
                    number = int(write_batch.get(key) or b"0") + 1
                    write_batch.put(key, b"%d" % number)
                    results.append(Outgoing(key, output(key, uid, number, record.offset)))
                    continue
                if write_batch.get(row) is not None:
                    continue  # the producer's duplicate, or a replay that a stale worker made look new
                write_batch.put(row, b"%d" % record.offset)
                facts = [int(offset) for _, offset in write_batch.scan(key + b"\x00")]
                number = sum(offset <= record.offset for offset in facts)
                results.append(Outgoing(key, output(key, uid, number, record.offset)))
            if results:
                await app.append(out, batch.partition, results)
            await write_batch.write()


def output(key: bytes, uid: bytes, number: int, offset: int) -> bytes:
    """The result of a fact."""
    result = {"key": key.decode(), "uid": uid.decode(), "n": number, "at": offset}
    return json.dumps(result, separators=(",", ":")).encode()


def main(arguments: list[str]) -> None:
    """Run one worker until a signal or fail-stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--session-timeout", type=float, default=3.0)
    parser.add_argument("--commit-interval", type=float, default=0.5)
    parser.add_argument("--instance", default=None)
    parser.add_argument("--batch-records", type=int, default=1_000)
    parser.add_argument("--tally", action="store_true")
    parser.add_argument("--bug", default="", choices=("", *BUGS))
    options = parser.parse_args(arguments)
    report_clock()
    if options.bug:
        BUGS[options.bug]()
    app = StreamApp(
        f"{options.prefix}-counting",
        broker=options.broker,
        data_dir=options.data_dir,
        partitions=PARTITIONS,
        topic_use=TopicUse(writes=[f"{options.prefix}-out"]),
        instance=options.instance,
        timing=Timing(session_s=options.session_timeout, commit_interval_s=options.commit_interval),
        batch_records=options.batch_records,
    )
    counting(app, options.prefix, tally=options.tally)
    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1:])
