"""What lies between the workers and the broker: bytes late, held, cut, and all of them there afterwards."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest

from torture.proxy import Proxy

BOUND_S = 60
Speak = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def spoken(speak: Speak) -> None:
    """Talk through a proxy to somebody who answers every line with itself."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def talk() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        proxy = Proxy(f"{host}:{port}")
        await proxy.start()
        reader, writer = await asyncio.open_connection(*proxy.address.split(":"))
        try:
            async with asyncio.timeout(BOUND_S):
                writer.write(b"hello\n")
                assert await reader.readline() == b"hello\n"
                await speak(proxy, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            await proxy.stop()
            server.close()
            await server.wait_closed()

    asyncio.run(talk())


@pytest.mark.parametrize("how", ["hole", "requests", "answers"])
def test_what_is_held_arrives_when_the_wire_is_whole_again(how: str) -> None:
    async def speak(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut(how, 0)
        writer.write(b"anybody?\n")
        answer = asyncio.ensure_future(reader.readline())
        while not proxy.seen:
            await asyncio.sleep(0.01)
        assert not answer.done()
        proxy.heal()
        assert await answer == b"anybody?\n"

    spoken(speak)


def test_delayed_bytes_are_late_and_in_order() -> None:
    async def speak(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut("delay", 200)
        began = time.monotonic()
        writer.write(b"one\n")
        writer.write(b"two\n")
        assert [await reader.readline(), await reader.readline()] == [b"one\n", b"two\n"]
        assert time.monotonic() - began >= 0.4
        assert proxy.seen["delay"] >= 2

    spoken(speak)


def test_a_reset_is_heard_as_one() -> None:
    async def speak(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut("reset", 0)
        assert proxy.seen["reset"] == 1
        with pytest.raises(ConnectionResetError):
            await reader.readline()

    spoken(speak)
