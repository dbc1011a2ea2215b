"""The single thread that runs every call to the sink's store.

    run(work) -> the result of the call, however long it takes; a permanent StoreError ends the process

While the database is slow or locked, the app is paused with that reason; records stay on the topics.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError
from traderecon.sink.store import Store
from traderecon.transport.app import StreamApp
from traderecon.transport.fail_stop import fail_stop

SLOW_S = 5.0
"""A transaction takes milliseconds: after this long the sink reports that it is waiting."""
PAUSE = "database"

Result = TypeVar("Result")


class StoreThread:
    """One thread, so that a call left behind by a cancelled agent ends before the next one starts."""

    def __init__(self, app: StreamApp, store: Store) -> None:
        self._app, self._store = app, store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``. A transient StoreError is retried; any other ends the process with its exit code."""
        started_s = monotonic()
        while True:
            call = asyncio.get_running_loop().run_in_executor(self._thread, work)
            while not (await asyncio.wait({call}, timeout=SLOW_S))[0]:
                self._app.pauses.pause(
                    PAUSE,
                    f"{self._store.path} has not answered for {monotonic() - started_s:.0f} s: find the process "
                    "that locks it. Nothing is lost: new records stay on the topics.",
                )
            try:
                result = call.result()
            except StoreError as error:
                if not error.transient:
                    fail_stop(error.message, error if error.code == Exit.SOFTWARE else None, code=error.code)
                self._app.pauses.pause(PAUSE, error.message)
            else:
                self._app.pauses.resume(PAUSE)
                return result

    async def close(self) -> None:
        """Close the store, then the thread."""
        await self.run(self._store.close)
        self._thread.shutdown()
