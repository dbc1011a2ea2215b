"""Hang up: a client whose connections use TLS closes them at once, when all that it had to say is answered.

TLS says goodbye in both directions, and a goodbye behind records that nobody reads any more waits for 30 s: longer than
a worker may take to stop, and what a recovery would wait after each range it has read.
"""

from typing import Any, TypeVar

from aiokafka.conn import CloseReason

from traderecon.transport.security import Security

T = TypeVar("T")


def hangs_up(client: T, security: Security) -> T:
    """The same client of aiokafka's, changed so: it has left its group, and sent what it had to, before it closes."""
    if security.context is not None:
        whole: Any = client
        wire = whole.client if hasattr(whole, "client") else whole._client
        wire.close = _Hangup(wire)
    return client


class _Hangup:
    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self._close = wire.close

    async def __call__(self) -> None:
        for connection in list(self._wire._conns.values()):
            writer = connection._writer
            connection.close(reason=CloseReason.SHUTDOWN)
            if writer is not None:
                writer.transport.abort()
        await self._close()
