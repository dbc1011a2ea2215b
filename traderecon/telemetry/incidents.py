"""The number of open incidents of one process, by kind, as a metric."""

from collections.abc import Collection

from traderecon.telemetry.metrics import Metrics
from traderecon.transport.app import StreamApp
from traderecon.transport.incidents import Kind

COUNT_S = 1.0


def attach(app: StreamApp, running: Collection[StreamApp], metrics: Metrics) -> None:
    """Add a timer to an app that counts the open incidents of the apps of this process."""

    async def count(*_: object) -> None:
        for kind in Kind:
            metrics.incidents.labels(kind).set(sum(len(each.incidents.open(kind)) for each in running))

    app.timer(interval=COUNT_S, on_leader=False, name="incidents")(count)
