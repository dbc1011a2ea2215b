"""Proxy: what lies between the workers and the broker, and can be made slow, deaf or broken.

    worker <-> Proxy(address of the broker) <-> broker        cut("hole"), then heal

Bytes that are held are not lost: they arrive when the wire is whole again, as after a black hole that TCP outlives. The
feeder and whoever judges ask the broker directly.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from pathlib import Path

from broker.kafka_server import Kafka, reserved

CHUNK = 65_536
REQUESTS, ANSWERS = "requests", "answers"
HELD = {"hole": {REQUESTS, ANSWERS}, REQUESTS: {REQUESTS}, ANSWERS: {ANSWERS}}
"""Which way is closed, by what happens to the wire."""


class Proxy:
    """A listener that hands on what it gets, as ``cut`` lets it. ``seen`` counts what a cut did, by direction."""

    def __init__(self, target: str) -> None:
        self._port = reserved()
        self.address = f"127.0.0.1:{self._port.getsockname()[1]}"
        self.target = target
        self.seen: Counter[str] = Counter()
        self._delay_s = 0.0
        self._open = {REQUESTS: asyncio.Event(), ANSWERS: asyncio.Event()}
        self._wires: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        for way in self._open.values():
            way.set()
        host, port = self.address.rsplit(":", 1)
        self._server = await asyncio.start_server(self._take, host, int(port), reuse_address=True)

    async def stop(self) -> None:
        """Listen no more, and cut what is connected."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.heal()
        self._reset()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._port.close()

    def cut(self, how: str, delay_ms: int) -> None:
        """Do something to every wire: ``delay``, ``hole``, ``requests``, ``answers`` or ``reset``."""
        self.seen.clear()
        if how == "reset":
            self.seen[how] = self._reset()
        elif how == "delay":
            self._delay_s = delay_ms / 1000
        for way in HELD.get(how, ()):
            self._open[way].clear()

    def heal(self) -> None:
        """Hand on everything at once again."""
        self._delay_s = 0.0
        for way in self._open.values():
            way.set()

    def _reset(self) -> int:
        """Reset every connection of a worker; how many."""
        cut = 0
        for wire in list(self._wires):
            with contextlib.suppress(OSError):
                connection = wire.get_extra_info("socket")
                if connection is not None:  # no lingering: the other side hears RST, not an orderly end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                wire.transport.abort()
                cut += 1
        return cut

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.get_running_loop().create_task(self._joined(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._wires.add(writer)
        host, port = self.target.rsplit(":", 1)
        try:
            theirs, ours = await asyncio.open_connection(host, int(port))
        except OSError:
            self._wires.discard(writer)
            writer.transport.abort()
            return
        both = [
            asyncio.ensure_future(self._handed_on(REQUESTS, reader, ours)),
            asyncio.ensure_future(self._handed_on(ANSWERS, theirs, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in both:
                way.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self._wires.discard(writer)
            for wire in (writer, ours):
                wire.close()
                with contextlib.suppress(OSError):
                    await wire.wait_closed()

    async def _handed_on(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A bounded queue: what is late keeps its order, and goes on arriving meanwhile.
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(100)
        loop = asyncio.get_running_loop()

        async def write() -> None:
            while True:
                due_s, chunk = await late.get()
                if (wait_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                if not self._open[way].is_set():
                    self.seen[way] += len(chunk)
                    await self._open[way].wait()
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()

        writing = asyncio.ensure_future(write())
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(CHUNK):
                    if self._delay_s:
                        self.seen["delay"] += 1
                    await late.put((loop.time() + self._delay_s, chunk))
                await late.put((0.0, b""))
                await writing
        finally:
            writing.cancel()


class ProxiedKafka(Kafka):
    """A node with a second listener, which tells its clients to come by the proxy."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._second = reserved()
        self.proxy = Proxy(f"127.0.0.1:{self._second.getsockname()[1]}")
        more = {
            "listeners=": f",PROXIED://{self.proxy.target}",
            "advertised.listeners=": f",PROXIED://{self.proxy.address}",
            "listener.security.protocol.map=": ",PROXIED:PLAINTEXT",
        }
        lines = self._properties.read_text().splitlines()
        said = [line + next((text for name, text in more.items() if line.startswith(name)), "") for line in lines]
        self._properties.write_text("\n".join(said) + "\n")
