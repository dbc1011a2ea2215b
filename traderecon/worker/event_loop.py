"""Running the apps of a worker on one event loop until a signal, then stopping them."""

from typing import Any

import faust


class AppRunner(faust.Worker):
    """``faust.Worker`` without the second that it waits after everything has stopped."""

    def __init__(self, *apps: Any, loglevel: str) -> None:
        super().__init__(*apps, loglevel=loglevel.upper(), redirect_stdouts=False, quiet=True)
        self.spinner = None

    async def _sentinel_task(self) -> None:
        """Every task is gathered by now."""
