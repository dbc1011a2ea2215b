"""The consumer lag of each partition of this worker, and the duration of its last recovery."""

from typing import Any

from faust.types import TP

from traderecon.telemetry.metrics import Metrics
from traderecon.transport.app import StreamApp

LAG_S = 5.0


def attach(app: StreamApp, metrics: Metrics) -> None:
    """Add a timer to an app that reports its lag; partitions that were revoked are removed from the metric."""
    reported: set[TP] = set()

    async def report(*_: object) -> None:
        consumer: Any = app.consumer
        readings = consumer.readings()
        try:
            ends = await consumer.highwaters(*readings) if readings else {}
        except consumer.transient_errors:
            return
        for tp in reported - readings.keys():
            metrics.lag.remove(*tp)
        reported.intersection_update(readings)
        for tp, end in ends.items():
            metrics.lag.labels(*tp).set(max(0, (end or 0) - readings[tp].settle()))
            reported.add(tp)
        if app.tables:
            metrics.recovery.set(app.tables.recovery.took_s)

    app.timer(interval=LAG_S, name="lag")(report)
