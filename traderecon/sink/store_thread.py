"""The one thread in which a sink asks its store, and how it waits for an answer.

    ask(work) -> what the store answers, however long it takes; a store that cannot answer ends the process

While the database is slow or locked, a hold on the app says so, and the topics keep what comes.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError
from traderecon.sink.store import Store
from traderecon.transport import StreamApp
from traderecon.transport.fail_stop import fail_stop

SLOW_S = 5.0
"""A transaction takes milliseconds: after this long the sink says that it waits."""
HOLD = "database"

Answer = TypeVar("Answer")


class StoreThread:
    """One thread: what a cancelled agent left in it ends before anything else is asked of the store."""

    def __init__(self, app: StreamApp, store: Store) -> None:
        self._app, self._store = app, store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")

    async def ask(self, work: Callable[[], Answer]) -> Answer:
        """What the store answers. A StoreError that passes is waited for; any other ends the process with its code."""
        began_s = monotonic()
        while True:
            asked = asyncio.get_running_loop().run_in_executor(self._thread, work)
            while not (await asyncio.wait({asked}, timeout=SLOW_S))[0]:
                waited = f"{self._store.path} has not answered for {monotonic() - began_s:.0f} s: find the process "
                self._app.holds.put(HOLD, f"{waited}that locks it. Nothing is lost: the topics keep what comes.")
            try:
                answer = asked.result()
            except StoreError as error:
                if not error.passes:
                    fail_stop(error.sentence, error if error.code == Exit.SOFTWARE else None, code=error.code)
                self._app.holds.put(HOLD, error.sentence)
            else:
                self._app.holds.lift(HOLD)
                return answer

    async def close(self) -> None:
        """Close the store, and end the thread."""
        await self.ask(self._store.close)
        self._thread.shutdown()
