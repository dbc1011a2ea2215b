"""Connections to Kafka: fixes for aiokafka's, which can hang a worker or delay its stop.

A broker that dies closes its connections. Until aiokafka notices, it writes requests into a closed one. uvloop raises
RuntimeError for that, which aiokafka does not expect: its metadata task ends, and every wait for metadata lasts
forever. (https://github.com/aio-libs/aiokafka/issues/1038)

A client cancelled during bootstrap loses track of its first connection. It is closed when it is garbage-collected,
which is not an error.

TLS closes in both directions, and a close notification behind unread records waits for 30 s: longer than a worker may
take to stop, and a delay after every range a recovery reads.
"""

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

TLS = ("SSL", "SASL_SSL")


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """Raises KafkaConnectionError once it is broken; aborts instead of waiting for TLS when its client shuts down."""

    _writer: Any
    _loop: Any
    _on_close_cb: Any
    _security_protocol: str

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Return a future of the response; KafkaConnectionError if the connection is closed."""
        self._require_open()
        return super().send(request, expect_response=expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        self._require_open()
        return super()._send_sasl_token(payload, expect_response=expect_response)

    def _require_open(self) -> None:
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken")

    def __del__(self) -> None:
        """Close a connection that was never closed."""
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


def install() -> None:
    """Make every aiokafka client of this process use ``Connection``."""
    conn.AIOKafkaConnection = Connection
