"""Count and forward on plain Faust, as a tutorial would write it: the harness must find its losses.

    python -m torture.counting_stock --broker kafka://HOST:PORT --prefix P --data-dir DIR --instance w1

Delivery, table, commits and errors are Faust's defaults. One row per key: the uids seen so far, read, changed and
written back. The rule is in oracle.py.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import faust
from faust.types import StreamT

from torture.reported_clock import report_clock


def make_app(broker: str, prefix: str, data_dir: Path, session_timeout_s: float, instance: str) -> faust.App:
    """The app with its agent."""
    app = faust.App(
        f"{prefix}-counting",
        broker=broker,
        store="rocksdb://",
        datadir=data_dir,
        topic_partitions=4,
        web_enabled=False,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 3,
        consumer_group_instance_id=instance,
    )
    source = app.topic(f"{prefix}-in", key_type=bytes, value_type=bytes, value_serializer="raw")
    out = app.topic(f"{prefix}-out", key_type=bytes, value_type=bytes, value_serializer="raw")
    counts: Any = app.Table("counts", default=list)

    async def forward(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            key, uid = event.key.decode(), event.value.decode()
            uids = counts[key]
            if uid in uids:
                continue
            uids.append(uid)
            counts[key] = uids
            result = {"key": key, "uid": uid, "n": len(uids), "at": event.message.offset}
            value = json.dumps(result, separators=(",", ":")).encode()
            await out.send(key=event.key, value=value, partition=event.message.partition)

    app.agent(source)(forward)
    return app


def main() -> None:
    """Run one worker until a signal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", required=True, help="kafka://HOST:PORT")
    parser.add_argument("--prefix", required=True, help="before every topic and the app's id")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the table lives")
    parser.add_argument("--session-timeout", type=float, default=3, help="seconds")
    parser.add_argument("--instance", required=True, help="the static member's name")
    options = parser.parse_args()
    report_clock()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    app = make_app(options.broker, options.prefix, options.data_dir, options.session_timeout, options.instance)
    faust.Worker(app, loglevel="info").execute_from_commandline()


if __name__ == "__main__":
    main()
