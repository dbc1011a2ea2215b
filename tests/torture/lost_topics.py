"""Lost topics: the changelog or an input is deleted and recreated, and the operator follows docs/operations.md.

    Fault -> LostTopics: changelog, recreate -> what was observed

These faults run alone: they end every worker, and restart the workers when the topic has been repaired.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping, Sequence

from broker.kafka_wire import BrokerError

from torture.administrator import Administrator
from torture.feeder import Feeder
from torture.findings import Entry
from torture.group import UNREACHABLE, Watch
from torture.pipeline_evidence import applied_in
from torture.plan import Fault
from torture.waiting import POLL_S, Missed, NotObserved, wait_until
from torture.workers import Worker

REFUSED = 78
CONSUMING_WITHIN_S = 120
REFUSED_WITHIN_S = 120
REBUILT_WITHIN_S = 180


class LostTopics:
    """Deletes a topic, and does what an operator does then."""

    def __init__(
        self, watch: Watch, workers: Mapping[str, Worker], administrator: Administrator, feeder: Feeder
    ) -> None:
        self._watch, self._workers, self._administrator, self._feeder = watch, workers, administrator, feeder
        self._kafka, self._topics = administrator.kafka, administrator.topics

    async def changelog(self, fault: Fault) -> str:
        """Lose the tables: the changelog and the local stores, or the stores alone. Raises NotObserved or Missed.

        ``target``: ``stores`` (alone), or how the workers end: in order, killed, or while the changelog is gone.
        """
        topic, mode, workers = self._topics["changelog"], fault.target, self._expected_workers()
        old_id = self._administrator.topic_id(topic)
        if not old_id:
            raise Missed(f"no worker has made {topic} yet")
        signal_number = signal.SIGTERM if mode in {"stores", "ended"} else signal.SIGKILL
        with self._watch.allow_exits(REFUSED, UNREACHABLE):
            try:
                if mode == "running":
                    await asyncio.to_thread(self._kafka.delete_topic, topic)
                    await asyncio.sleep(fault.hold_s)
                codes = await asyncio.gather(*(worker.end(signal_number) for worker in workers))
                if mode in {"ended", "killed"}:
                    await asyncio.to_thread(self._kafka.delete_topic, topic)
                stores = await asyncio.to_thread(self._administrator.remove_stores)
            finally:
                await asyncio.to_thread(self._administrator.create_topics)
                for worker in workers:
                    worker.go()
        new_id = self._administrator.topic_id(topic)
        if not stores or (new_id == old_id) != (mode == "stores"):
            raise NotObserved(f"{stores} stores removed, and {topic} has the id {new_id} after {old_id}")
        started_s = time.monotonic()
        await self._wait_rebuilt()
        recreated = "" if mode == "stores" else f", changelog {old_id} made anew as {new_id}"
        exit_codes = " ".join(map(str, codes))
        took_s = time.monotonic() - started_s
        return f"exits {exit_codes}, {stores} stores removed{recreated}, tables rebuilt after {took_s:.1f} s"

    async def recreate(self, fault: Fault) -> str:
        """Recreate an input under running workers, and have its producers send everything again.

        They send before the workers notice (``limit`` 1), or after every worker has ended. Raises NotObserved.
        """
        role, workers = fault.target, self._expected_workers()
        topic = self._topics[role]
        # A worker that has not read the topic yet would accept the new one.
        await wait_until(
            lambda: all(worker.consuming for worker in workers), "every worker is at work", CONSUMING_WITHIN_S
        )
        async with self._feeder.hold(role):
            old_id, old_entries = self._administrator.topic_id(topic), await asyncio.to_thread(self._entries, topic)
            started_s = time.monotonic()
            with self._watch.allow_exits(REFUSED):
                try:
                    await asyncio.to_thread(self._kafka.delete_topic, topic)
                    await asyncio.to_thread(self._administrator.make_input, role)
                    if fault.limit:
                        await self._feeder.resend(role, old_entries)
                    await wait_until(
                        lambda: self._all_refused(workers, started_s), "every worker ended with 78", REFUSED_WITHIN_S
                    )
                    await asyncio.sleep(fault.hold_s)
                finally:  # repair the topic even if the fault was not observed
                    await asyncio.gather(*(worker.end(signal.SIGTERM) for worker in workers))
                    if not fault.limit:
                        await self._feeder.resend(role, old_entries)
                    await asyncio.to_thread(self._administrator.read_again, role)
                    for worker in workers:
                        worker.go()
        new_id = self._administrator.topic_id(topic)
        if new_id == old_id:
            raise NotObserved(f"{topic} still has the id {old_id}")
        names = " ".join(worker.name for worker in workers)
        return f"exit 78 of {names}, {len(old_entries)} records sent again to {new_id}"

    def _expected_workers(self) -> Sequence[Worker]:
        return [worker for worker in self._workers.values() if worker.wanted]

    def _all_refused(self, workers: Sequence[Worker], since_s: float) -> bool:
        return all(any(exit_.code == REFUSED and exit_.at_s >= since_s for exit_ in worker.exits) for worker in workers)

    async def _wait_rebuilt(self) -> None:
        """Wait until the changelog has what the group has committed. Raises NotObserved."""
        deadline_s = time.monotonic() + REBUILT_WITHIN_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError, BrokerError):  # the coordinator may still be loading
                if await asyncio.to_thread(self._is_rebuilt):
                    return
            await asyncio.sleep(POLL_S)
        raise NotObserved(f"not within {REBUILT_WITHIN_S} s: the tables have what their group has committed")

    def _is_rebuilt(self) -> bool:
        journal, partitions = self._administrator.journal
        committed = {number: self._kafka.committed(self._watch.group, journal, number) for number in range(partitions)}
        applied = applied_in(self._entries(self._topics["changelog"]), journal)
        return all(applied.get(number, -1) + 1 >= (offset or 0) for number, offset in committed.items())

    def _entries(self, topic: str) -> list[Entry]:
        return [Entry(*record) for record in self._kafka.records(topic)]
