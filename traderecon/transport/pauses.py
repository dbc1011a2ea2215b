"""Holds: why an app takes in nothing more for now, each with a sentence. Without any it flows.

    holds.put("disk", "12 MiB free ...")  ->  no fetch, not ready, the watchdog waits  ->  holds.lift("disk")

What is under way is finished. A hold is for trouble that passes when somebody else acts: room on a disk, a database
that answers again. It is said when it comes, every minute, and when it is over.
"""

import logging
from collections.abc import Mapping
from time import monotonic

TELL_S = 60.0

logger = logging.getLogger(__name__)


class Pauses:
    """The holds of one app, by name."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._said: dict[str, str] = {}
        self._told_s: dict[str, float] = {}
        self._ever: set[str] = set()

    def __bool__(self) -> bool:
        """Whether anything holds it."""
        return bool(self._said)

    @property
    def ever(self) -> frozenset[str]:
        """Every name that has held it so far."""
        return frozenset(self._ever)

    @property
    def said(self) -> Mapping[str, str]:
        """The sentence of each hold."""
        return dict(self._said)

    def put(self, name: str, sentence: str) -> None:
        """Hold the app, or go on holding it: to be called again while it lasts, which has it said every minute."""
        self._said[name] = sentence
        self._ever.add(name)
        now_s = monotonic()
        if now_s - self._told_s.get(name, -TELL_S) >= TELL_S:
            self._told_s[name] = now_s
            logger.warning("%s takes in nothing more: %s", self._app, sentence)

    def lift(self, name: str) -> None:
        """Let it go on, as far as this one is concerned. Where it did not hold, nothing happens."""
        if self._said.pop(name, None) is not None:
            del self._told_s[name]
            logger.warning("%s goes on: what held it is over (%s)", self._app, name)
