"""The HTTP proxy between a real client and a real server: what the client gets, and what the server did."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from tests.faults.http_proxy import Answer, HttpProxy

HOST = "127.0.0.1"
BODY = b"a body of some length"


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), Handler)
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer(BODY)

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        self.server.asked.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY if self.command == "HEAD" else body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[HttpProxy]:
    async with HttpProxy(HOST, server.server_port).running() as proxy:
        yield proxy


@pytest.fixture
def client() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=10.0) as client:
        yield client


async def ask(
    client: urllib3.PoolManager, proxy: HttpProxy, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    url = f"http://{HOST}:{proxy.port}/"
    answer = await asyncio.to_thread(client.request, method, url, body=body)
    return answer.status, answer.data


@pytest.mark.parametrize("answer", [Answer.PASS, Answer.LATE])
async def test_passes_what_is_asked_on_one_connection(
    client: urllib3.PoolManager, proxy: HttpProxy, answer: Answer
) -> None:
    proxy.answer = answer
    for method, body, expected in (("GET", None, BODY), ("PUT", bytes(200_000), b""), ("HEAD", None, b"")):
        assert await ask(client, proxy, method, body) == (200, expected)
    assert proxy.strikes == (3 if answer is Answer.LATE else 0)


@pytest.mark.parametrize(
    ("answer", "code"), [(Answer.ERROR, b"InternalError"), (Answer.SLOW_DOWN, b"SlowDown")]
)
async def test_answers_with_an_error_what_the_server_has_done(
    client: urllib3.PoolManager, proxy: HttpProxy, server: Server, answer: Answer, code: bytes
) -> None:
    assert await ask(client, proxy) == (200, BODY)
    proxy.answer = answer
    status, body = await ask(client, proxy, "PUT", b"x")
    assert (status, code in body, server.asked) == (int(answer), True, ["GET", "PUT"])
    proxy.answer = Answer.PASS
    assert await ask(client, proxy) == (200, BODY)


async def test_ends_a_body_too_soon_and_leaves_an_answer_without_one(
    client: urllib3.PoolManager, proxy: HttpProxy
) -> None:
    proxy.answer = Answer.TRUNCATED
    assert await ask(client, proxy, "PUT", b"x") == (200, b"")
    assert await ask(client, proxy, "HEAD") == (200, b"")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        await ask(client, proxy)
    assert proxy.strikes == 1
