"""A stage of the pipeline: the Faust app of one role and its dependencies."""

from typing import NamedTuple

from traderecon.telemetry import Metrics
from traderecon.topics import Topics
from traderecon.transport.app import StreamApp
from traderecon.transport.retry_counts import RetryCounts


class Stage(NamedTuple):
    """``partitions``: of the journal; ``retry_counts``: failed attempts per record of this role."""

    app: StreamApp
    topics: Topics
    partitions: int
    metrics: Metrics
    retry_counts: RetryCounts
