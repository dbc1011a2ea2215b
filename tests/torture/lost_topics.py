"""Lost topics: the changelog, or an input, is deleted and made anew, and people do what docs/operations.md tells them.

    Fault -> LostTopics: changelog, recreate -> what was observed

Nothing else goes wrong meanwhile: these faults end every worker, and start them again when all is done.
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
from torture.seen import POLL_S, Missed, NotSeen, seen
from torture.workers import Worker

REFUSED = 78
AT_WORK_WITHIN_S = 120
REFUSED_WITHIN_S = 120
REBUILT_WITHIN_S = 180


class LostTopics:
    """What happens to a topic, to the workers, and what people do then."""

    def __init__(self, watch: Watch, crew: Mapping[str, Worker], administrator: Administrator, feeder: Feeder) -> None:
        self._watch, self._crew, self._administrator, self._feeder = watch, crew, administrator, feeder
        self._kafka, self._topics = administrator.kafka, administrator.topics

    async def changelog(self, fault: Fault) -> str:
        """Lose the tables: their changelog and their stores, or the stores alone. Raises NotSeen or Missed.

        ``target``: ``stores`` (alone), or how the workers end: in order, killed, or while the changelog is gone.
        """
        topic, how, crew = self._topics["changelog"], fault.target, self._wanted()
        before = self._administrator.topic_id(topic)
        if not before:
            raise Missed(f"no worker has made {topic} yet")
        number = signal.SIGTERM if how in {"stores", "ended"} else signal.SIGKILL
        with self._watch.excused(REFUSED, UNREACHABLE):
            try:
                if how == "running":
                    await asyncio.to_thread(self._kafka.delete_topic, topic)
                    await asyncio.sleep(fault.hold_s)
                codes = await asyncio.gather(*(worker.end(number) for worker in crew))
                if how in {"ended", "killed"}:
                    await asyncio.to_thread(self._kafka.delete_topic, topic)
                stores = await asyncio.to_thread(self._administrator.remove_stores)
            finally:
                await asyncio.to_thread(self._administrator.create_topics)
                for worker in crew:
                    worker.go()
        after = self._administrator.topic_id(topic)
        if not stores or (after == before) != (how == "stores"):
            raise NotSeen(f"{stores} stores removed, and {topic} has the id {after} after {before}")
        began = time.monotonic()
        await self._rebuilt()
        made = "" if how == "stores" else f", changelog {before} made anew as {after}"
        ended = " ".join(map(str, codes))
        return f"exits {ended}, {stores} stores removed{made}, tables whole after {time.monotonic() - began:.1f} s"

    async def recreate(self, fault: Fault) -> str:
        """Make an input anew under running workers, and have its producers send everything again.

        They do so before anybody has looked (``limit`` 1), or when every worker has ended. Raises NotSeen.
        """
        role, crew = fault.target, self._wanted()
        topic = self._topics[role]
        # One that has not read the topic yet takes the new one for what it is.
        await seen(lambda: all(worker.consuming for worker in crew), "every worker is at work", AT_WORK_WITHIN_S)
        async with self._feeder.held(role):
            before, old = self._administrator.topic_id(topic), await asyncio.to_thread(self._entries, topic)
            began = time.monotonic()
            with self._watch.excused(REFUSED):
                try:
                    await asyncio.to_thread(self._kafka.delete_topic, topic)
                    await asyncio.to_thread(self._administrator.make_input, role)
                    if fault.limit:
                        await self._feeder.send_again(role, old)
                    await seen(lambda: self._all_refused(crew, began), "every worker ended with 78", REFUSED_WITHIN_S)
                    await asyncio.sleep(fault.hold_s)
                finally:  # whatever was seen, the day goes on
                    await asyncio.gather(*(worker.end(signal.SIGTERM) for worker in crew))
                    if not fault.limit:
                        await self._feeder.send_again(role, old)
                    await asyncio.to_thread(self._administrator.read_again, role)
                    for worker in crew:
                        worker.go()
        after = self._administrator.topic_id(topic)
        if after == before:
            raise NotSeen(f"{topic} still has the id {before}")
        return f"exit 78 of {' '.join(worker.name for worker in crew)}, {len(old)} records sent again to {after}"

    def _wanted(self) -> Sequence[Worker]:
        return [worker for worker in self._crew.values() if worker.wanted]

    def _all_refused(self, crew: Sequence[Worker], since_s: float) -> bool:
        return all(any(end.code == REFUSED and end.at_s >= since_s for end in worker.exits) for worker in crew)

    async def _rebuilt(self) -> None:
        """Wait until the changelog has what the group has committed. Raises NotSeen."""
        until_s = time.monotonic() + REBUILT_WITHIN_S
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, BrokerError):  # a coordinator that still loads
                if await asyncio.to_thread(self._is_whole):
                    return
            await asyncio.sleep(POLL_S)
        raise NotSeen(f"not within {REBUILT_WITHIN_S} s: the tables have what their group has committed")

    def _is_whole(self) -> bool:
        journal, partitions = self._administrator.journal
        committed = {number: self._kafka.committed(self._watch.group, journal, number) for number in range(partitions)}
        applied = applied_in(self._entries(self._topics["changelog"]), journal)
        return all(applied.get(number, -1) + 1 >= (offset or 0) for number, offset in committed.items())

    def _entries(self, topic: str) -> list[Entry]:
        return [Entry(*record) for record in self._kafka.records(topic)]
