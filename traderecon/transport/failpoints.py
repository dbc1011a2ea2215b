"""Points: the places where the end of a process would hurt most, by name, so that a test can end it just there.

    hit(Failpoint.CHANGELOG_ACKED, topic)      nothing, unless somebody listens
    listen(listener)                          a test does: its listener raises, or kills the process

Source: the rows K1-K14 of the fault matrix; docs/simulation.md says what each point must survive.
"""

from collections.abc import Callable
from typing import Final

Listener = Callable[[str, str], None]
"""Gets a point and the topic it was passed for; "" where there is none."""


class Failpoint:
    """The names. Plain text, not an enumeration: a member of one takes longer to look up than to pass."""

    FETCHED: Final = "fetched"
    """K1: read from the log, not yet with its agent."""
    CHANGELOG_NEXT: Final = "changelog-next"
    """K2: a batch's results are acknowledged, nothing of it is in the changelog."""
    SENT: Final = "sent"
    """K3, K5: rows are with the log's writer, nobody has acknowledged them."""
    CHANGELOG_ACKED: Final = "changelog-acked"
    """K4: a batch is in the changelog, and not in the local store."""
    STORED: Final = "stored"
    """K6: a batch is in the local store, and not acknowledged."""
    DONE: Final = "done"
    """K7: a batch is acknowledged, and not committed."""
    COMMITTING: Final = "committing"
    """K8: an offset is about to be committed."""
    COMMITTED: Final = "committed"
    """K8: an offset is committed, and this process has not noted it."""
    SINK_BEGIN: Final = "sink-begin"
    """K9: a batch is with the sink, its transaction not begun."""
    SINK_BEGUN: Final = "sink-begun"
    """K9: in the transaction, nothing is written."""
    SINK_WRITTEN: Final = "sink-written"
    """K9: everything is written, nothing is committed."""
    SINK_COMMITTED: Final = "sink-committed"
    """K9: committed, and the batch not acknowledged."""
    RECOVERING: Final = "recovering"
    """K10: a step of a changelog is read, and not in the local store."""
    RECOVERED: Final = "recovered"
    """K10: the tables are up to date, no stream has begun."""
    OPENING: Final = "opening"
    """K11: local stores are about to be opened."""
    OPENED: Final = "opened"
    """K11: they are open, nothing is read."""
    REVOKING: Final = "revoking"
    """K12: partitions are about to be given up."""
    REVOKED: Final = "revoked"
    """K12: they are given up, the group does not know."""
    STOPPING: Final = "stopping"
    """K13: a stage is about to stop in order."""
    STOPPED: Final = "stopped"
    """K13: it has stopped, the process has not ended."""
    STRUCK: Final = "struck"
    """K14: a failure on a record is counted, the process has not ended."""


FAILPOINTS: Final = tuple(value for name, value in vars(Failpoint).items() if name.isupper())
"""Every point, in the order of the matrix."""

_listener: Listener | None = None


def hit(point: str, topic: str) -> None:
    """Tell who listens that a point was passed."""
    if _listener is not None:
        _listener(point, topic)


def listen(listener: Listener | None) -> None:
    """Have every point told from now on; None: none any more."""
    global _listener  # noqa: PLW0603  # one process, one listener: a parameter would go through every stage
    _listener = listener
