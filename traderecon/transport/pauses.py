"""Pauses: named reasons for which an app currently reads no records.

    pauses.pause("disk", "12 MiB free ...")  ->  no fetch, not ready, the watchdog waits  ->  pauses.resume("disk")

Work in progress is finished. A pause is for trouble that ends by outside action: a full disk, a database that does not
answer. It is logged when it begins, every minute, and when it is over.
"""

import logging
from collections.abc import Mapping
from time import monotonic

REPEAT_S = 60.0

logger = logging.getLogger(__name__)


class Pauses:
    """The pauses of one app, by name."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._reasons: dict[str, str] = {}
        self._logged_s: dict[str, float] = {}
        self._ever: set[str] = set()

    def __bool__(self) -> bool:
        """Whether the app is paused."""
        return bool(self._reasons)

    @property
    def ever(self) -> frozenset[str]:
        """The names of all pauses so far, ended ones included."""
        return frozenset(self._ever)

    @property
    def reasons(self) -> Mapping[str, str]:
        """The reason of each current pause, by name."""
        return dict(self._reasons)

    def pause(self, name: str, reason: str) -> None:
        """Begin a pause or confirm it. Call it again while the trouble lasts, so that it is logged every minute."""
        self._reasons[name] = reason
        self._ever.add(name)
        now_s = monotonic()
        if now_s - self._logged_s.get(name, -REPEAT_S) >= REPEAT_S:
            self._logged_s[name] = now_s
            logger.warning("%s is paused: %s", self._app, reason)

    def resume(self, name: str) -> None:
        """End a pause; does nothing if there is none of that name."""
        if self._reasons.pop(name, None) is not None:
            del self._logged_s[name]
            logger.warning("%s: pause is over (%s)", self._app, name)
