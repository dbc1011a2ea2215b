"""Proxy: the network between the workers and the broker, which can be slowed, blocked or reset.

    worker <-> Proxy(address of the broker) <-> broker        cut("hole"), then heal

Blocked bytes are not lost: they arrive after ``heal``, as after a black hole that a TCP connection survives. The feeder
and the oracle connect to the broker directly.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from pathlib import Path

from broker.kafka_server import Kafka, reserved

CHUNK = 65_536
REQUESTS, ANSWERS = "requests", "answers"
HELD_DIRECTIONS = {"hole": {REQUESTS, ANSWERS}, REQUESTS: {REQUESTS}, ANSWERS: {ANSWERS}}
"""The blocked directions, by mode."""


class Proxy:
    """A listener that forwards bytes unless ``cut``. ``affected`` counts what a cut delayed, blocked or reset."""

    def __init__(self, target: str) -> None:
        self._port = reserved()
        self.address = f"127.0.0.1:{self._port.getsockname()[1]}"
        self.target = target
        self.affected: Counter[str] = Counter()
        self._delay_s = 0.0
        self._flowing = {REQUESTS: asyncio.Event(), ANSWERS: asyncio.Event()}
        self._connections: set[asyncio.StreamWriter] = set()
        self._sessions: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start listening."""
        for direction in self._flowing.values():
            direction.set()
        host, port = self.address.rsplit(":", 1)
        self._server = await asyncio.start_server(self._accept, host, int(port), reuse_address=True)

    async def stop(self) -> None:
        """Stop listening, and reset all connections."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.heal()
        self._reset()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        self._port.close()

    def cut(self, mode: str, delay_ms: int) -> None:
        """Disturb every connection: ``delay``, ``hole``, ``requests``, ``answers`` or ``reset``."""
        self.affected.clear()
        if mode == "reset":
            self.affected[mode] = self._reset()
        elif mode == "delay":
            self._delay_s = delay_ms / 1000
        for direction in HELD_DIRECTIONS.get(mode, ()):
            self._flowing[direction].clear()

    def heal(self) -> None:
        """Forward everything again, without delay."""
        self._delay_s = 0.0
        for direction in self._flowing.values():
            direction.set()

    def _reset(self) -> int:
        """Reset every connection of a worker; returns how many."""
        count = 0
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                sock = connection.get_extra_info("socket")
                if sock is not None:  # without lingering, the peer receives RST instead of FIN
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.transport.abort()
                count += 1
        return count

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        host, port = self.target.rsplit(":", 1)
        try:
            broker_reader, broker_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            self._connections.discard(writer)
            writer.transport.abort()
            return
        forwards = [
            asyncio.ensure_future(self._forward(REQUESTS, reader, broker_writer)),
            asyncio.ensure_future(self._forward(ANSWERS, broker_reader, writer)),
        ]
        try:
            await asyncio.wait(forwards, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in forwards:
                direction.cancel()
            await asyncio.gather(*forwards, return_exceptions=True)
            self._connections.discard(writer)
            for peer in (writer, broker_writer):
                peer.close()
                with contextlib.suppress(OSError):
                    await peer.wait_closed()

    async def _forward(self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A bounded queue: delayed bytes keep their order, and reading continues meanwhile.
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(100)
        loop = asyncio.get_running_loop()

        async def write() -> None:
            while True:
                due_s, chunk = await queue.get()
                if (delay_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(delay_s)
                if not self._flowing[direction].is_set():
                    self.affected[direction] += len(chunk)
                    await self._flowing[direction].wait()
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()

        write_task = asyncio.ensure_future(write())
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(CHUNK):
                    if self._delay_s:
                        self.affected["delay"] += 1
                    await queue.put((loop.time() + self._delay_s, chunk))
                await queue.put((0.0, b""))
                await write_task
        finally:
            write_task.cancel()


class ProxiedKafka(Kafka):
    """A node with a second listener that advertises the address of the proxy."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._proxied_port = reserved()
        self.proxy = Proxy(f"127.0.0.1:{self._proxied_port.getsockname()[1]}")
        suffixes = {
            "listeners=": f",PROXIED://{self.proxy.target}",
            "advertised.listeners=": f",PROXIED://{self.proxy.address}",
            "listener.security.protocol.map=": ",PROXIED:PLAINTEXT",
        }
        lines = self._properties.read_text().splitlines()
        extended = [
            line + next((text for name, text in suffixes.items() if line.startswith(name)), "") for line in lines
        ]
        self._properties.write_text("\n".join(extended) + "\n")
