"""The producer shared by both drivers: a flush returns only when everything sent is acknowledged.

Faust only warns about a record the broker rejected and still commits (F3), and gives up a flush after 0.1 s without
progress (F4). Here a rejected record ends the process, and a flush waits. Source: docs/transport.md, F3 and F4.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from faust.transport.producer import Producer, ProducerBuffer
from faust.types.tuples import FutureMessage, RecordMetadata

from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.microbatch import Outgoing


class ClockReading(NamedTuple):
    """The time on a clock, and this machine's boot-time clock before the request and after the answer; ms."""

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
    """Appends batches and waits for them; tracks records sent one by one through Faust."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = _Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app
        self._unsettled: set[asyncio.Future[Any]] = set()

    @property
    def log_times(self) -> Mapping[str, ClockReading]:
        """The latest reading of each clock of the log, by the clock's name."""
        raise NotImplementedError

    @property
    def log_ahead_ms(self) -> int:
        """How far the log's time was deliberately put ahead of its clock."""
        return 0

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows in order and wait until they are durable; return their spans of offsets."""
        raise NotImplementedError

    def send_soon(self, fut: FutureMessage) -> None:
        """Queue a message; a commit waits for it, and a rejection ends the process."""
        self._watch(fut)
        super().send_soon(fut)

    async def send(self, *args: Any, **kwargs: Any) -> Awaitable[RecordMetadata]:
        """Send a message through the driver; await the result for its acknowledgement."""
        acknowledgement = await super().send(*args, **kwargs)
        self._watch(cast("asyncio.Future[Any]", acknowledgement))
        return acknowledgement

    async def flush(self) -> None:
        """Wait, however long it takes, until everything sent before this call is acknowledged."""
        if self._unsettled:
            await asyncio.wait(set(self._unsettled))

    def _watch(self, sent: asyncio.Future[Any]) -> None:
        self._unsettled.add(sent)
        sent.add_done_callback(self._settled)

    def _settled(self, sent: asyncio.Future[Any]) -> None:
        self._unsettled.discard(sent)
        if not sent.cancelled() and (error := sent.exception()) is not None:
            fail_stop(f"a record was rejected by its topic: {error!r}", error)
