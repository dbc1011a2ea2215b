"""Connections to Kafka: aiokafka's, where they would keep a worker from noticing an end or from coming to one.

A broker that dies closes its connections; until aiokafka has noticed, a request is written into one that is closed.
uvloop calls that a RuntimeError, which aiokafka does not expect: the task that keeps its metadata ends, and whoever
waits for metadata waits for good. (https://github.com/aio-libs/aiokafka/issues/1038)

A client that is cancelled while it asks its first broker what there is has told nobody of that connection: it is closed
when it is forgotten, at once, and that is no error.

TLS says goodbye in both directions, and a goodbye behind records that nobody reads any more waits for 30 s: longer than
a worker may take to stop, and what a recovery would wait after each range it has read.
"""

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

TLS = ("SSL", "SASL_SSL")


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that breaks as one, and that hangs up when its client, who has heard every answer, closes it."""

    _writer: Any
    _loop: Any
    _on_close_cb: Any
    _security_protocol: str

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """What will be the answer; KafkaConnectionError when there is no connection any more."""
        self._broken_off()
        return super().send(request, expect_response=expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        self._broken_off()
        return super()._send_sasl_token(payload, expect_response=expect_response)

    def _broken_off(self) -> None:
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken")

    def __del__(self) -> None:
        """Close what nobody closed."""
        if self.connected() and not self._loop.is_closed():
            self._on_close_cb = None
            self.close()

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        """A future that is done when the socket is closed."""
        writer = self._writer
        closed = super().close(reason=reason, exc=exc)
        if reason is CloseReason.SHUTDOWN and self._security_protocol in TLS and writer is not None:
            writer.transport.abort()
        return closed


def take_over() -> None:
    """Have every client of this process connect so."""
    conn.AIOKafkaConnection = Connection
