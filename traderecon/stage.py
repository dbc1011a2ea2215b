"""A stage of the pipeline: the Faust app of one role, and what every role is given."""

from typing import NamedTuple

from traderecon.telemetry import Metrics
from traderecon.topics import Topics
from traderecon.transport import StreamApp
from traderecon.transport.retry_counts import RetryCounts


class Stage(NamedTuple):
    """``partitions`` is how many the journal has; ``retry_counts`` counts the records that this role failed on."""

    app: StreamApp
    topics: Topics
    partitions: int
    metrics: Metrics
    retry_counts: RetryCounts
