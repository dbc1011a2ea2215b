"""A worker's /metrics without the worker: every metric of the contract, and each scrape finds that work was done.

python -m ops.exporter    prints its port on stdout, serves until it is ended
"""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from traderecon.records import REASON_INFO, Reason, RejectCode
from traderecon.telemetry import Metrics
from traderecon.topics import topics
from traderecon.transport.incidents import Kind

STATES = ("MATCHED", "MISMATCHED", "UNMATCHED", "CANCELLED")
PARTITIONS = 4


def work(metrics: Metrics, breaks_open: Gauge, break_age: Histogram) -> None:
    """One step of a worker with every role: something of each kind happened."""
    names = topics()
    now_s = time.time()
    for name in names.inputs:
        metrics.consumed.labels(name).inc(60)
        metrics.rejected.labels(name, RejectCode.FIELD_MISSING).inc()
        metrics.duplicates.labels(name, "identical").inc()
        metrics.last_message.labels(name).set(now_s)
    for name in (*names.inputs, names.legs, *names.outputs):
        for partition in range(PARTITIONS):
            metrics.lag.labels(name, str(partition)).set(3)
    for state in STATES:
        metrics.results.labels(state).inc(15)
    for reason in Reason:
        metrics.reasons.labels(reason).inc()
        breaks_open.labels(reason, REASON_INFO[reason].severity).set(2)
    for waiting_for in ("confirmation", "execution", "pnl"):
        metrics.pending.labels(waiting_for).set(5)
    metrics.orphan_snapshots.set(2)
    for partition in range(PARTITIONS):
        metrics.watermark.labels(str(partition)).set(now_s - 1)
    for seconds in (0.004, 0.03, 0.2):
        metrics.decision.observe(seconds)
        metrics.end_to_end.observe(2 * seconds)
        metrics.sink_batch.observe(seconds)
        break_age.observe(1_000 * seconds)
    metrics.sink_rows.inc(60)
    metrics.recovery.set(1.5)
    metrics.disk_free.set(40 * 1024**3)
    metrics.database_disk_free.labels("traderecon.db").set(30 * 1024**3)
    metrics.database_wal.set(4 * 1024**2)
    metrics.held.labels("intake", "disk").set(0)
    for kind in Kind:
        metrics.incidents.labels(kind).set(0)
    metrics.watermark_ahead.set(0)
    metrics.silent_sources.set(0)
    metrics.held_trades.labels("broker_confirmations").set(0)


class Scrape(BaseHTTPRequestHandler):
    """Answers every request with the metrics after one more step of work."""

    steps: Iterator[bytes]

    def do_GET(self) -> None:
        page = next(self.steps)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a scrape a second is no news."""


def steps() -> Iterator[bytes]:
    """What /metrics says, scrape by scrape."""
    metrics = Metrics()
    # The web role's collector gives these five; here they are made by the names of the contract.
    stakes = Gauge("traderecon_money_at_stake", "At stake.", ["currency", "severity"], registry=metrics.registry)
    stakes.labels("USD", "high").set(1_250.5)
    severities = Gauge("traderecon_breaks_open_by_severity", "Open.", ["severity"], registry=metrics.registry)
    severities.labels("high").set(2)
    Gauge("traderecon_unaccounted_offsets", "Offsets nobody told of.", registry=metrics.registry)
    breaks_open = Gauge("traderecon_breaks_open", "Open breaks.", ["reason", "severity"], registry=metrics.registry)
    break_age = Histogram(
        "traderecon_break_age_seconds",
        "How long the open breaks have been open; business time if the rules have a calendar.",
        buckets=(60, 3_600, 86_400),
        registry=metrics.registry,
    )
    while True:
        work(metrics, breaks_open, break_age)
        yield generate_latest(metrics.registry)


if __name__ == "__main__":
    Scrape.steps = steps()
    with ThreadingHTTPServer(("127.0.0.1", 0), Scrape) as server:
        print(server.server_port, flush=True)  # noqa: T201  # whoever started it reads the port
        server.serve_forever()
