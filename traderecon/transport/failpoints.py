"""Failpoints: named steps at which a crash is most dangerous, so that a test can crash the process exactly there.

    hit(Failpoint.CHANGELOG_ACKED, topic)      does nothing without a listener
    listen(listener)                           used by tests: the listener raises, or kills the process

Source: rows K1-K14 of the fault matrix. docs/simulation.md says what must hold after a crash at each failpoint.
"""

from collections.abc import Callable
from typing import Final

Listener = Callable[[str, str], None]
"""Called with a failpoint and its topic, or "" for none."""


class Failpoint:
    """The names. Plain strings: looking up an enum member would cost more than the call itself."""

    FETCHED: Final = "fetched"
    """K1: read from the log, not yet delivered to an agent."""
    CHANGELOG_NEXT: Final = "changelog-next"
    """K2: a batch's results are acknowledged, none of its rows are in the changelog."""
    SENT: Final = "sent"
    """K3, K5: rows are sent to the log and not acknowledged."""
    CHANGELOG_ACKED: Final = "changelog-acked"
    """K4: a batch is in the changelog, not in the local store."""
    STORED: Final = "stored"
    """K6: a batch is in the local store, not acknowledged."""
    DONE: Final = "done"
    """K7: a batch is acknowledged, not committed."""
    COMMITTING: Final = "committing"
    """K8: an offset is about to be committed."""
    COMMITTED: Final = "committed"
    """K8: an offset is committed, not yet recorded by this process."""
    SINK_BEGIN: Final = "sink-begin"
    """K9: the sink has a batch, its transaction has not begun."""
    SINK_BEGUN: Final = "sink-begun"
    """K9: the transaction has begun, nothing is written."""
    SINK_WRITTEN: Final = "sink-written"
    """K9: everything is written, nothing is committed."""
    SINK_COMMITTED: Final = "sink-committed"
    """K9: the transaction is committed, the batch not acknowledged."""
    RECOVERING: Final = "recovering"
    """K10: part of a changelog is read, not in the local store."""
    RECOVERED: Final = "recovered"
    """K10: tables are up to date, no stream has started."""
    OPENING: Final = "opening"
    """K11: local stores are about to be opened."""
    OPENED: Final = "opened"
    """K11: local stores are open, nothing is read."""
    REVOKING: Final = "revoking"
    """K12: partitions are about to be released."""
    REVOKED: Final = "revoked"
    """K12: partitions are released, the group does not know yet."""
    STOPPING: Final = "stopping"
    """K13: a stage is about to stop gracefully."""
    STOPPED: Final = "stopped"
    """K13: a stage has stopped, the process has not ended."""
    FAILURE_COUNTED: Final = "failure-counted"
    """K14: a failed attempt at a record is counted, the process has not ended."""


FAILPOINTS: Final = tuple(value for name, value in vars(Failpoint).items() if name.isupper())
"""Every failpoint, in the order of the matrix."""

_listener: Listener | None = None


def hit(point: str, topic: str) -> None:
    """Report a failpoint to the listener, if there is one."""
    if _listener is not None:
        _listener(point, topic)


def listen(listener: Listener | None) -> None:
    """Report every failpoint to ``listener`` from now on; None removes the listener."""
    global _listener  # noqa: PLW0603  # one listener per process; a parameter would go through every stage
    _listener = listener
