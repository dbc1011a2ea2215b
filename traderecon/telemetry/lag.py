"""Lag: how many records of each partition of this worker are not done, and how long its last recovery took."""

from typing import Any

from faust.types import TP

from traderecon.telemetry.metrics import Metrics
from traderecon.transport import StreamApp

LAG_S = 5.0


def attach(app: StreamApp, metrics: Metrics) -> None:
    """Have an app tell its lag, every five seconds; a partition that went to another worker is told no more."""
    told: set[TP] = set()

    async def tell(*_: object) -> None:
        consumer: Any = app.consumer
        readings = consumer.readings()
        try:
            ends = await consumer.highwaters(*readings) if readings else {}
        except consumer.transient_errors:
            return
        for tp in told - readings.keys():
            metrics.lag.remove(*tp)
        told.intersection_update(readings)
        for tp, end in ends.items():
            metrics.lag.labels(*tp).set(max(0, (end or 0) - readings[tp].settle()))
            told.add(tp)
        if app.tables:
            metrics.recovery.set(app.tables.recovery.took_s)

    app.timer(interval=LAG_S, name="lag")(tell)
