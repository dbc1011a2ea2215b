"""Incidents: problems outside this worker that delay work, each with a text that says what to do.

    report(kind, {subject: text})  ->  exactly these incidents of that kind are open now

An incident is logged when it opens, every minute while it is open, and when it is over. The worker continues with
everything else.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

REPEAT_S = 60.0

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """Kinds of incidents; the label ``kind`` of ``traderecon_incidents_open``."""

    OPEN_TRANSACTION = "open_transaction"
    """A producer's transaction is open: nothing from its first record on can be read."""
    NO_LEADER = "no_leader"
    """A partition has no leader that answers: it cannot be read."""
    CLOCK_AHEAD = "clock_ahead"
    """The clock of a broker or of this machine has jumped ahead of the elapsed time."""
    CLOCK_BEHIND = "clock_behind"
    """The log's time is behind the time already recorded in the journal."""
    SOURCE_SILENT = "source_silent"
    """A source has stopped while its counterpart went on: what waits for it is held."""
    CLOCK_SUSPECT = "clock_suspect"
    """The times of a broker drift one way: its clock, or ours, is wrong."""


class _Incident(NamedTuple):
    text: str
    logged_s: float


class Incidents:
    """The open incidents of one app."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._open: dict[tuple[Kind, str], _Incident] = {}

    def report(self, kind: Kind, texts: Mapping[str, str]) -> None:
        """Set the open incidents of one kind, by subject; those not in ``texts`` are over."""
        now_s = monotonic()
        for subject, text in texts.items():
            before = self._open.get((kind, subject))
            logged_s = before.logged_s if before is not None else -REPEAT_S
            if before is None or now_s - logged_s >= REPEAT_S:
                logger.warning("%s: incident %s: %s", self._app, kind, text)
                logged_s = now_s
            self._open[kind, subject] = _Incident(text, logged_s)
        for open_kind, subject in [*self._open]:
            if open_kind is kind and subject not in texts:
                del self._open[open_kind, subject]
                logger.warning("%s: incident %s is over: %s", self._app, kind, subject)

    def open(self, kind: Kind) -> Mapping[str, str]:
        """The texts of the open incidents of one kind, by subject."""
        return {subject: incident.text for (open_kind, subject), incident in self._open.items() if open_kind is kind}
