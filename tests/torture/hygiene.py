"""Hygiene: the memory and open files of the workers, sampled while they run.

workers -> Hygiene.keep_polling -> most_rss_mb, most_files; complaints against the bounds
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline_case import resident_mib

from torture.findings import NOWHERE, Defect, Finding
from torture.workers import Worker

POLL_EVERY_S = 2
MOST_RSS_MB = 1_000
MOST_FILES = 600


class Hygiene:
    """The most that any worker had at any sample."""

    def __init__(self) -> None:
        self.most_rss_mb = 0
        self.most_files = 0

    async def keep_polling(self, workers: Iterable[Worker]) -> None:
        """Sample until cancelled."""
        while True:
            for worker in workers:
                with contextlib.suppress(OSError):  # it may exit meanwhile
                    self._poll(worker.pids)
            await asyncio.sleep(POLL_EVERY_S)

    def findings(self) -> list[Finding]:
        """I12: a bound that was exceeded."""
        complaints = []
        if self.most_rss_mb > MOST_RSS_MB:
            complaints.append(f"a worker had {self.most_rss_mb} MB, {MOST_RSS_MB} are allowed")
        if self.most_files > MOST_FILES:
            complaints.append(f"a worker had {self.most_files} files open, {MOST_FILES} are allowed")
        return [Finding(Defect.HYGIENE, NOWHERE, NOWHERE, text, "I12") for text in complaints]

    def _poll(self, pids: Collection[int]) -> None:
        resident = sum(map(resident_mib, pids))
        files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        self.most_rss_mb, self.most_files = max(self.most_rss_mb, int(resident)), max(self.most_files, files)
