"""One S3 object as a seekable file, read by ranges and bound to the accepted bytes."""

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import stamina
import urllib3

from mediagate.errors import MediagateError, ObjectChangedError, StopError, TransientError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 2**20
CACHED_BLOCKS = 8
TIMEOUT = urllib3.Timeout(connect=5.0, read=20.0)
ATTEMPTS = 3
CHANGED_STATUSES = frozenset({404, 410, 412})
RANGE_NOT_SATISFIABLE = 416

Found = TypeVar("Found")


class SizeMismatchError(ObjectChangedError):
    """The object does not have as many bytes as were accepted."""


class RemoteFile(io.RawIOBase):
    """A binary reader over ranged GETs with `If-Match`; it needs no thread and no event loop.

    Reads raise ObjectChangedError (SizeMismatchError where only the length is known to differ) or
    TransientError. The first error is kept in `failure`, since decoders swallow what a read raises.
    No message holds the URL: its query is a credential.
    """

    def __init__(self, url: str, etag: str, size: int) -> None:
        self.failure: MediagateError | None = None
        self._url = url
        self._etag = etag
        self._size = size
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._http = urllib3.PoolManager(num_pools=1, maxsize=1, timeout=TIMEOUT, retries=False)
        if urlsplit(url).scheme not in {"http", "https"}:
            raise StopError("only http and https URLs are read")

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Offset of the next byte to read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to an offset; past the end reads nothing."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative offset {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fills the buffer unless the end comes first: decoders take a short read for the end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._position < self._size:
            number, start = divmod(self._position, BLOCK)
            piece = self._block(number)[start : start + len(view) - filled]
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled

    def confirm(self) -> None:
        """Raises unless the object still is the accepted one; reads one byte."""
        self._fetch(0, 1)

    def close(self) -> None:
        """Ends the connection."""
        self._http.clear()
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        if self.failure is not None:
            raise self.failure
        try:
            block = self._fetch(number * BLOCK, min((number + 1) * BLOCK, self._size))
        except MediagateError as error:
            self.failure = error
            raise
        self._blocks[number] = block
        if len(self._blocks) > CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def _fetch(self, start: int, end: int) -> bytes:
        return _patiently(lambda: self._get(start, end))

    def _get(self, start: int, end: int) -> bytes:
        headers = {
            "Range": f"bytes={start}-{end - 1}",
            "If-Match": self._etag,
            "Accept-Encoding": "identity",
        }
        try:
            response = self._http.request(
                "GET", self._url, headers=headers, redirect=False, preload_content=False
            )
            try:
                self._check(response, start, end)
                return _exactly(response, end - start)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"object store: {type(error).__name__}") from None

    def _check(self, response: urllib3.BaseHTTPResponse, start: int, end: int) -> None:
        if response.status in CHANGED_STATUSES:
            raise ObjectChangedError(f"object store: {response.status}")
        if response.status == RANGE_NOT_SATISFIABLE:
            raise SizeMismatchError(f"the object is shorter than {self._size} bytes")
        if response.status != 206:
            raise TransientError(f"object store: {response.status} for a range")
        if response.headers.get("ETag", self._etag) != self._etag:
            raise ObjectChangedError("the object's ETag is another")
        content_range = response.headers.get("Content-Range", "")
        span, _, total = content_range.removeprefix("bytes ").partition("/")
        if total != str(self._size):
            raise SizeMismatchError(f"the object has {total or 'no known'} bytes, not {self._size}")
        if span != f"{start}-{end - 1}":
            raise TransientError(f"object store: range {span} for {start}-{end - 1}")


def _patiently(read: Callable[[], Found]) -> Found:
    # Not stamina's decorator, which logs arguments: a URL is one of them.
    for attempt in stamina.retry_context(
        on=TransientError, attempts=ATTEMPTS, wait_initial=0.1, wait_max=1.0, timeout=None
    ):
        with attempt:
            return read()
    raise StopError("retrying ended without an answer")


@dataclass(frozen=True, slots=True)
class Head:
    """An object's first bytes, and what a RemoteFile of it needs; an ETag keeps its quotes."""

    content: bytes
    etag: str
    size: int


def read_head(url: str, length: int) -> Head:
    """At most `length` first bytes of whatever object is there now.

    Raises ObjectChangedError where none is, else TransientError; no message holds the URL.
    """
    return _patiently(lambda: _get_head(url, length))


def _get_head(url: str, length: int) -> Head:
    headers = {"Range": f"bytes=0-{length - 1}", "Accept-Encoding": "identity"}
    with urllib3.PoolManager(num_pools=1, maxsize=1, timeout=TIMEOUT, retries=False) as http:
        try:
            response = http.request("GET", url, headers=headers, redirect=False, preload_content=False)
            try:
                return _head(response, length)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"object store: {type(error).__name__}") from None


def _head(response: urllib3.BaseHTTPResponse, length: int) -> Head:
    etag = response.headers.get("ETag", "")
    if response.status in CHANGED_STATUSES:
        raise ObjectChangedError(f"object store: {response.status}")
    if response.status == RANGE_NOT_SATISFIABLE:
        return Head(b"", etag, 0)
    if response.status != 206:
        raise TransientError(f"object store: {response.status} for a range")
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if not etag or not total.isdecimal():
        raise TransientError("object store: an answer without ETag or size")
    return Head(_exactly(response, min(length, int(total))), etag, int(total))


def _exactly(response: urllib3.BaseHTTPResponse, length: int) -> bytes:
    body = response.read(length)
    if len(body) != length:
        raise TransientError(f"object store: {len(body)} bytes of {length}")
    return body
