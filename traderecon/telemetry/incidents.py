"""The incidents of one process as a metric: how many of each kind are open."""

from collections.abc import Collection

from traderecon.telemetry.metrics import Metrics
from traderecon.transport import StreamApp
from traderecon.transport.incidents import Kind

COUNT_S = 1.0


def attach(app: StreamApp, running: Collection[StreamApp], metrics: Metrics) -> None:
    """Have an app count the open incidents of the apps of this process, every second."""

    async def count(*_: object) -> None:
        for kind in Kind:
            metrics.incidents.labels(kind).set(sum(len(one.incidents.open(kind)) for one in running))

    app.timer(interval=COUNT_S, on_leader=False, name="incidents")(count)
