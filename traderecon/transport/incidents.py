"""Incidents: what is wrong outside of this worker and holds work up, each with a sentence for the person who mends it.

    report(kind, {subject: sentence})  ->  the incidents of that kind that are open now; others of it are over

An incident is logged when it opens, every minute while it lasts, and when it is over. The worker goes on with
everything it does not concern.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

REPEAT_S = 60.0

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """Every kind; the label ``kind`` of ``traderecon_incidents_open``."""

    OPEN_TRANSACTION = "open_transaction"
    """A transaction of a producer is open: nothing behind its first record can be read."""
    NO_LEADER = "no_leader"
    """A partition has no leader that answers: it cannot be read."""
    CLOCK_AHEAD = "clock_ahead"
    """A broker's clock, or this machine's, has stepped ahead of what has passed."""
    CLOCK_BEHIND = "clock_behind"
    """The log's time is behind what the journal has been told already."""


class _Open(NamedTuple):
    sentence: str
    logged_s: float


class Incidents:
    """The open incidents of one app."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._open: dict[tuple[Kind, str], _Open] = {}

    def report(self, kind: Kind, sentences: Mapping[str, str]) -> None:
        """Take in what is wrong now, by subject; an incident of this kind whose subject is missing is over."""
        now_s = monotonic()
        for subject, sentence in sentences.items():
            before = self._open.get((kind, subject))
            logged_s = before.logged_s if before is not None else -REPEAT_S
            if before is None or now_s - logged_s >= REPEAT_S:
                logger.warning("%s: incident %s: %s", self._app, kind, sentence)
                logged_s = now_s
            self._open[kind, subject] = _Open(sentence, logged_s)
        for known, subject in [*self._open]:
            if known is kind and subject not in sentences:
                del self._open[known, subject]
                logger.warning("%s: incident %s is over: %s", self._app, kind, subject)

    def open(self, kind: Kind) -> Mapping[str, str]:
        """The sentences of the open incidents of one kind, by subject."""
        return {subject: one.sentence for (known, subject), one in self._open.items() if known is kind}
