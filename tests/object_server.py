"""A local HTTP server that answers GETs, ranged and conditional ones too, as S3 does, and can misbehave."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

from mediagate.media import media_type_of
from mediagate.scanners import ScanItem


class ObjectServer:
    """Objects by name; `requests` are the Range headers that came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.statuses: list[int] = []
        """Answered once each before anything else."""
        self.fail_after: int | None = None
        """Requests that are answered before every other one gets a 503."""
        self.cut = False
        """Ends each body half-way."""
        self.ignores_if_match = False

    def put(self, name: str, content: bytes) -> str:
        """Stores an object; its ETag."""
        self.objects[name] = content
        return etag(content)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}?X-Amz-Signature=secret"

    def item(self, name: str, content: bytes, mime_type: str) -> ScanItem:
        """The stored content as something to scan."""
        return ScanItem(
            job_id=name,
            media_type=media_type_of(mime_type),
            mime_type=mime_type,
            url=self.url(name),
            etag=self.put(name, content),
            size=len(content),
            public_url=self.url(name),
        )


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    class Handler(_Handler):
        pass

    with _Server(("127.0.0.1", 0), Handler) as http:
        Handler.served = ObjectServer(f"http://127.0.0.1:{http.server_port}")
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Handler.served
        finally:
            http.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client may hang up at any time; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: ClassVar[ObjectServer]

    def do_GET(self) -> None:
        served = self.served
        served.requests.append(self.headers.get("Range", ""))
        content = served.objects.get(self.path.lstrip("/").partition("?")[0])
        if served.statuses:
            self._refuse(served.statuses.pop(0))
        elif served.fail_after is not None and len(served.requests) > served.fail_after:
            self._refuse(503)
        elif content is None:
            self._refuse(404)
        elif not served.ignores_if_match and self.headers.get("If-Match") not in {None, etag(content)}:
            self._refuse(412)
        elif "Range" not in self.headers:
            self._send_whole(content)
        else:
            self._send_range(content)

    def _send_whole(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", etag(content))
        self.end_headers()
        self.wfile.write(content)

    def _send_range(self, content: bytes) -> None:
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1, len(content))
        if start >= len(content):
            self._refuse(416)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("ETag", etag(content))
        self.end_headers()
        body = content[start:end]
        self.wfile.write(body[: len(body) // 2] if self.served.cut else body)
        self.close_connection = self.served.cut

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
