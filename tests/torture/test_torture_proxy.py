"""The proxy between workers and broker: bytes are delayed, blocked or reset, and arrive completely afterwards."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest

from torture.proxy import Proxy

BOUND_S = 60
Exchange = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def converse(exchange: Exchange) -> None:
    """Run an exchange through a proxy with a server that echoes every line."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        proxy = Proxy(f"{host}:{port}")
        await proxy.start()
        reader, writer = await asyncio.open_connection(*proxy.address.split(":"))
        try:
            async with asyncio.timeout(BOUND_S):
                writer.write(b"hello\n")
                assert await reader.readline() == b"hello\n"
                await exchange(proxy, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            await proxy.stop()
            server.close()
            await server.wait_closed()

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["hole", "requests", "answers"])
def test_blocked_bytes_arrive_after_the_connection_is_healed(mode: str) -> None:
    async def exchange(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut(mode, 0)
        writer.write(b"anybody?\n")
        answer = asyncio.ensure_future(reader.readline())
        while not proxy.affected:
            await asyncio.sleep(0.01)
        assert not answer.done()
        proxy.heal()
        assert await answer == b"anybody?\n"

    converse(exchange)


def test_delayed_bytes_arrive_late_and_in_order() -> None:
    async def exchange(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut("delay", 200)
        started_s = time.monotonic()
        writer.write(b"one\n")
        writer.write(b"two\n")
        assert [await reader.readline(), await reader.readline()] == [b"one\n", b"two\n"]
        assert time.monotonic() - started_s >= 0.4
        assert proxy.affected["delay"] >= 2

    converse(exchange)


def test_a_reset_raises_a_connection_reset_error() -> None:
    async def exchange(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut("reset", 0)
        assert proxy.affected["reset"] == 1
        with pytest.raises(ConnectionResetError):
            await reader.readline()

    converse(exchange)
