"""The metrics of one worker. Source: CONTRACT.md, Metrics.

Created with the worker, never on import. Only new records are counted: a replay counts nothing twice.
"""

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from traderecon import __version__

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters, gauges and histograms in ``registry``; label values are codes and topic names only."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.consumed = Counter(
            "traderecon_messages_consumed", "Messages read from an input topic.", ["topic"], registry=registry
        )
        self.rejected = Counter(
            "traderecon_messages_rejected", "Messages that were rejected.", ["topic", "reason"], registry=registry
        )
        self.duplicates = Counter(
            "traderecon_duplicates",
            "Legs that repeat, contradict or come below another, and legs that are dropped: outranked, closed.",
            ["topic", "kind"],
            registry=registry,
        )
        self.results = Counter("traderecon_results", "Results published.", ["state"], registry=registry)
        self.reasons = Counter("traderecon_reasons", "Reasons of the results published.", ["reason"], registry=registry)
        self.pending = Gauge(
            "traderecon_pending_trades",
            "Trades waiting for a side within their grace period.",
            ["waiting_for"],
            registry=registry,
        )
        self.held_trades = Gauge(
            "traderecon_held_trades",
            "Trades whose grace period is over and that are held, because their source is silent or catching up.",
            ["held_by"],
            registry=registry,
        )
        self.orphan_snapshots = Gauge(
            "traderecon_orphan_snapshots",
            "Pnl snapshots, and partial keys, whose trade has not arrived, a grace period after them.",
            registry=registry,
        )
        self.silent_sources = Gauge(
            "traderecon_silent_sources",
            "Sources that have stopped although they should send, as this worker sees it.",
            registry=registry,
        )
        self.decision = Histogram(
            "traderecon_decision_seconds",
            "From the broker's timestamp of the deciding leg to the acknowledgement of its result.",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.end_to_end = Histogram(
            "traderecon_end_to_end_seconds",
            "From the broker's timestamp of the deciding leg to the commit of its row in the database.",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.lag = Gauge(
            "traderecon_consumer_lag_messages",
            "Records of a partition that are not processed yet.",
            ["topic", "partition"],
            registry=registry,
        )
        self.watermark = Gauge(
            "traderecon_watermark_timestamp_seconds",
            "The watermark of a journal partition, in seconds since 1970.",
            ["partition"],
            registry=registry,
        )
        self.last_message = Gauge(
            "traderecon_last_message_timestamp_seconds",
            "The broker's timestamp of the last message of an input topic.",
            ["topic"],
            registry=registry,
        )
        self.rules_changed = Gauge(
            "traderecon_rules_changed_timestamp_seconds",
            "When this worker took over with other rules than before, in seconds since 1970; 0: it did not.",
            registry=registry,
        )
        self.conflicts = Counter(
            "traderecon_result_conflicts",
            "Results whose version or event id is stored with other content: a defect.",
            registry=registry,
        )
        self.sink_rows = Counter("traderecon_sink_rows", "Rows written to the database.", registry=registry)
        self.sink_batch = Histogram(
            "traderecon_sink_batch_seconds",
            "Duration of one transaction of the sink.",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.recovery = Gauge(
            "traderecon_table_recovery_seconds", "Duration of the last recovery of the tables.", registry=registry
        )
        self.disk_free = Gauge(
            "traderecon_disk_free_bytes", "Free space on the disk of the data directory.", registry=registry
        )
        self.database_disk_free = Gauge(
            "traderecon_database_disk_free_bytes",
            "Free space on the disk of the database.",
            ["file"],
            registry=registry,
        )
        self.database_wal = Gauge(
            "traderecon_database_wal_bytes",
            "Size of the write-ahead log of the database: it grows during long reads.",
            registry=registry,
        )
        self.held = Gauge(
            "traderecon_held",
            "1 while a role is paused: disk space is low, its database does not answer, or no clock is believed.",
            ["role", "reason"],
            registry=registry,
        )
        self.incidents = Gauge(
            "traderecon_incidents_open",
            "Open problems outside the worker that hold up its work: docs/operations.md, Incidents.",
            ["kind"],
            registry=registry,
        )
        self.watermark_ahead = Gauge(
            "traderecon_watermark_ahead_seconds",
            "How far the fastest clock is ahead of the accepted time of the log; normally 0.",
            registry=registry,
        )
        build = Gauge(
            "traderecon_build_info", "Version of TradeRecon and Python.", ["version", "python"], registry=registry
        )
        build.labels(__version__, platform.python_version()).set(1)
