"""Quick calls understand what they expect; everything else is left to boto3."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mediagate.quick_calls import QuickCalls

COPIED = b"<CopyObjectResult><ETag>&quot;1&quot;</ETag></CopyObjectResult>"


class Server(ThreadingHTTPServer):
    """Answers every request alike."""

    status = 200
    body = b""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        self.send_response(self.server.status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_HEAD = do_PUT = do_DELETE = answer  # noqa: N815 - the server's own names

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def calls_to(address: str) -> QuickCalls:
    def presign(_: str, bucket: str, key: str, __: timedelta, ___: Mapping[str, str]) -> str:
        return f"{address}/{bucket}/{key}"

    return QuickCalls(presign, address, connections=1)


@pytest.mark.parametrize(("status", "understood"), [(200, True), (404, True), (403, False), (503, False)])
def test_head(server: Server, status: int, understood: bool) -> None:
    server.status = status
    answer = calls_to(server.address).head("b", "k")
    assert (answer is not None) == understood
    if answer is not None:
        assert (answer[0], answer[1]["etag"]) == (status, '"1"')


@pytest.mark.parametrize(
    ("status", "body", "copied"),
    [
        (200, COPIED, True),
        (200, b"<Error><Code>InternalError</Code></Error>", False),
        (200, b"", False),
        (412, b"", False),
        (503, COPIED, False),
    ],
)
def test_copy(server: Server, status: int, body: bytes, copied: bool) -> None:
    server.status, server.body = status, body
    assert calls_to(server.address).copy("b", "k", {"x-amz-copy-source": "a/k"}) is copied


@pytest.mark.parametrize(("status", "deleted"), [(204, True), (403, False), (503, False)])
def test_delete(server: Server, status: int, deleted: bool) -> None:
    server.status = status
    assert calls_to(server.address).delete("b", "k") is deleted


def test_where_nobody_answers_nothing_was_done(server: Server) -> None:
    address = server.address
    server.server_close()
    calls = calls_to(address)
    assert calls.head("b", "k") is None
    assert not calls.copy("b", "k", {})
    assert not calls.delete("b", "k")
