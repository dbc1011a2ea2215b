"""The metrics of one worker. Source: CONTRACT.md, Metrics.

Made with the worker, never on import. Counted are records that are news: a replay counts nothing twice.
"""

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from traderecon import __version__

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters, gauges and histograms in ``registry``; label values are codes and topic names of ours only."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.consumed = Counter(
            "traderecon_messages_consumed", "Records read from an input topic.", ["topic"], registry=registry
        )
        self.rejected = Counter(
            "traderecon_messages_rejected", "Records that are no leg.", ["topic", "reason"], registry=registry
        )
        self.duplicates = Counter(
            "traderecon_duplicates",
            "Legs that were there before, or stand behind a later version.",
            ["topic", "kind"],
            registry=registry,
        )
        self.results = Counter("traderecon_results", "Results published.", ["state"], registry=registry)
        self.reasons = Counter("traderecon_reasons", "Reasons of the results published.", ["reason"], registry=registry)
        self.pending = Gauge(
            "traderecon_pending_trades", "Trades that wait within their grace.", ["waiting_for"], registry=registry
        )
        self.decision = Histogram(
            "traderecon_decision_seconds",
            "From the broker's timestamp of the leg that decided to its result acknowledged.",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.end_to_end = Histogram(
            "traderecon_end_to_end_seconds",
            "From the broker's timestamp of the leg that decided to its row committed in the database.",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.lag = Gauge(
            "traderecon_consumer_lag_messages",
            "Records of a partition that are not done.",
            ["topic", "partition"],
            registry=registry,
        )
        self.watermark = Gauge(
            "traderecon_watermark_timestamp_seconds",
            "How far time has got in a journal partition, in seconds since 1970.",
            ["partition"],
            registry=registry,
        )
        self.last_message = Gauge(
            "traderecon_last_message_timestamp_seconds",
            "The broker's timestamp of the last record of a topic.",
            ["topic"],
            registry=registry,
        )
        self.conflicts = Counter(
            "traderecon_result_conflicts",
            "Results of a version that another result has already: a defect.",
            registry=registry,
        )
        self.sink_rows = Counter("traderecon_sink_rows", "Rows written to the database.", registry=registry)
        self.sink_batch = Histogram(
            "traderecon_sink_batch_seconds", "One transaction of the sink.", buckets=LATENCY_S, registry=registry
        )
        self.recovery = Gauge(
            "traderecon_table_recovery_seconds", "How long the last recovery of the tables took.", registry=registry
        )
        self.disk_free = Gauge(
            "traderecon_disk_free_bytes", "Free on the disk of the data directory.", registry=registry
        )
        self.database_disk_free = Gauge(
            "traderecon_database_disk_free_bytes", "Free on the disk of the database.", ["file"], registry=registry
        )
        self.database_wal = Gauge(
            "traderecon_database_wal_bytes",
            "Length of the write-ahead log beside the database: it grows while somebody reads for long.",
            registry=registry,
        )
        self.held = Gauge(
            "traderecon_held",
            "1 while a role takes in nothing more: for want of room on the disk, or of its database.",
            ["role", "reason"],
            registry=registry,
        )
        self.incidents = Gauge(
            "traderecon_incidents_open",
            "What is wrong outside of the worker and holds work up: docs/operations.md, Incidents.",
            ["kind"],
            registry=registry,
        )
        self.watermark_ahead = Gauge(
            "traderecon_watermark_ahead_seconds",
            "How far the clock that is most ahead is beyond what is believed of the log's time; in health 0.",
            registry=registry,
        )
        build = Gauge("traderecon_build_info", "Which code this is.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
