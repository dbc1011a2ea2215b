"""The HTTP server below the pages: half-open and silent connections, and malformed requests."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from broker.waiting import until
from web.desk import MORNING, Desk, filled, multiplied, served

from traderecon.web.server import PER_ADDRESS

ANSWER_S = 60


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with served(folder, filled(folder, {"PRICE-1": MORNING["PRICE-1"]}), "impatient") as running:
        yield running


def connected(desk: Desk, held: ExitStack, sent: bytes = b"") -> socket.socket:
    client = held.enter_context(socket.create_connection(("127.0.0.1", desk.port), timeout=30))
    client.sendall(sent)
    return client


def answer(desk: Desk, sent: bytes) -> bytes:
    """The response to these bytes, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", desk.port), timeout=30) as client:
        client.sendall(sent)
        received = b""
        try:
            while chunk := client.recv(65_536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


def closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.matrix("P5")
def test_half_open_connections_give_way_to_who_asks(desk: Desk) -> None:
    with ExitStack() as held:
        many = [connected(desk, held, b"GET / HTTP/1.1\r\nHost: local") for _ in range(3 * PER_ADDRESS)]
        assert desk.ask("/breaks")[0].status == 200
        until(lambda: sum(map(closed, many)) >= 2 * PER_ADDRESS, "the surplus connections are closed")
        assert desk.ask("/")[0].status == 200


@pytest.mark.matrix("P5")
def test_a_request_that_does_not_come_whole_is_closed(desk: Desk) -> None:
    with ExitStack() as held:
        slow = connected(desk, held, b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        ended = False
        for number in range(600):
            try:
                slow.sendall(f"X-{number}: 1\r\n".encode())
            except ConnectionError:
                ended = True
                break
            if closed(slow):
                ended = True
                break
            time.sleep(0.1)
        assert ended


@pytest.mark.matrix("P5")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"what is this\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 500 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nNo colon here\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (b"POST /breaks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9999999\r\n\r\nx", 405),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: the-impossible\r\nConnection: close\r\n\r\n", 417),
    ],
    ids=repr,
)
def test_whatever_is_sent_the_answer_is_ours(desk: Desk, sent: bytes, status: int) -> None:
    received = answer(desk, sent).partition(b"\r\n\r\n")
    head = received[0].decode().lower()
    assert head.startswith(f"http/1.1 {status} ") or head.startswith(f"http/1.0 {status} ")
    assert "server: traderecon\r\n" in head + "\r\n"
    assert "content-security-policy: default-src 'none'" in head
    assert "x-content-type-options: nosniff" in head
    assert "cache-control: no-store" in head
    for word in (b"aiohttp", b"Python", b"Traceback"):
        assert word.lower() not in (received[0] + received[2]).lower()
    assert desk.ask("/healthz/live")[0].status == 200


@pytest.mark.matrix("P5")
def test_a_body_that_never_ends_holds_nothing(desk: Desk) -> None:
    with ExitStack() as held:
        client = connected(desk, held, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")
        assert client.recv(13) == b"HTTP/1.1 405 "
        client.setblocking(True)
        client.settimeout(ANSWER_S)
        while client.recv(65_536):
            pass


@pytest.mark.matrix("P6")
def test_a_server_that_stops_does_not_wait_for_a_stalled_download(tmp_path: Path) -> None:
    """``served`` stops it, and it must exit with 0."""
    url = filled(tmp_path, {"PRICE-1": MORNING["PRICE-1"]})
    multiplied(tmp_path, 20_000)
    with ExitStack() as held, served(tmp_path, url) as desk:
        client = held.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", desk.port))
        client.sendall(b"GET /download/csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(13) == b"HTTP/1.1 200 "
