"""A worker with the sink alone on the embedded log, in a process of its own; prints its metrics at the end.

python -m sink.sink_app DIRECTORY
"""

import sys
from pathlib import Path

import faust
from prometheus_client import generate_latest

from traderecon.sink.agent import attach
from traderecon.sink.store import Store
from traderecon.stage import Stage
from traderecon.telemetry.metrics import Metrics
from traderecon.topics import topics
from traderecon.transport.app import StreamApp, TopicUse
from traderecon.transport.retry_counts import RetryCounts


def main(directory: Path) -> None:
    """Run one worker until a signal or a fail-stop."""
    app = StreamApp(
        "sink",
        broker=f"embedded://{directory}",
        data_dir=directory / "tables",
        topic_use=TopicUse(writes=[topics().dead_letters]),
        batch_records=100,
    )
    store, metrics = Store.open(f"sqlite:///{directory / 't.db'}"), Metrics()
    store.prepare()
    attach(Stage(app, topics(), 2, metrics, RetryCounts(directory / "retry-counts.json")), store)
    try:
        faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()
    finally:
        sys.stdout.write(generate_latest(metrics.registry).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
