"""The producer all our logs share: what is sent is watched, and a flush means that it has arrived.

Faust warns about a record the broker refused and commits all the same (F3), and gives up a flush after
0.1 s without progress (F4). Here a refused record ends the process, and a flush waits.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from faust.transport.producer import Producer, ProducerBuffer
from faust.types.tuples import FutureMessage, RecordMetadata

from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.microbatch import Outgoing


class ClockReading(NamedTuple):
    """A time that a clock gave, and this machine's boot-time clock before it was asked and when it had answered; ms."""

    at_ms: int
    asked_boot_ms: int
    boot_ms: int


class _Buffer(ProducerBuffer):
    async def _send_pending(self, fut: FutureMessage) -> None:
        try:
            await super()._send_pending(fut)
        except Exception as error:
            fut.set_exception(error)


class BatchProducer(Producer):
    """Appends batches and waits for them; watches what is sent one by one in Faust's way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = _Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app
        self._unsettled: set[asyncio.Future[Any]] = set()

    @property
    def log_times(self) -> Mapping[str, ClockReading]:
        """The newest time that each clock of the log gave, by the clock's name."""
        raise NotImplementedError

    @property
    def log_ahead_ms(self) -> int:
        """What the log's time has been put ahead of its clock, by decision."""
        return 0

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows in order and wait until they are durable; gives the spans of offsets they got."""
        raise NotImplementedError

    def send_soon(self, fut: FutureMessage) -> None:
        """Queue a message; a commit waits for it, and its refusal ends the process."""
        self._watch(fut)
        super().send_soon(fut)

    async def send(self, *args: Any, **kwargs: Any) -> Awaitable[RecordMetadata]:
        """Hand a message to the driver; what comes back is to be awaited for its acknowledgement."""
        acknowledged = await super().send(*args, **kwargs)
        self._watch(cast("asyncio.Future[Any]", acknowledged))
        return acknowledged

    async def flush(self) -> None:
        """Wait until everything sent before this call has been acknowledged, however long it takes."""
        if self._unsettled:
            await asyncio.wait(set(self._unsettled))

    def _watch(self, sent: asyncio.Future[Any]) -> None:
        self._unsettled.add(sent)
        sent.add_done_callback(self._settled)

    def _settled(self, sent: asyncio.Future[Any]) -> None:
        self._unsettled.discard(sent)
        if not sent.cancelled() and (error := sent.exception()) is not None:
            fail_stop(f"a record was not taken by its topic: {error!r}", error)
