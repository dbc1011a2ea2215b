"""A stage of the pipeline: the Faust app of one role, and what every role is given."""

from typing import NamedTuple

from traderecon.telemetry import Metrics
from traderecon.topics import Topics
from traderecon.transport import StreamApp
from traderecon.transport.strikes import Strikes


class Stage(NamedTuple):
    """``partitions`` is how many the journal has; ``strikes`` counts the records that this role failed on."""

    app: StreamApp
    topics: Topics
    partitions: int
    metrics: Metrics
    strikes: Strikes
