"""A proxy in front of an HTTP server that answers badly in its place."""

import asyncio
from enum import StrEnum
from http import HTTPStatus

from tests.faults.proxy import Exchange, Proxy

LATE = 2.0
END_OF_HEADERS = b"\r\n\r\n"


class Answer(StrEnum):
    """What clients get; the server has done what was asked in any case."""

    PASS = "pass"
    ERROR = "500"
    SLOW_DOWN = "503"
    LATE = "late"  # its first byte comes after LATE seconds
    TRUNCATED = "truncated"  # the connection ends before its body does


CODES = {Answer.ERROR: "InternalError", Answer.SLOW_DOWN: "SlowDown"}
"""Of S3."""


class HttpProxy(Proxy):
    """A Proxy that knows where an answer begins, since clients wait for it before they ask again."""

    answer = Answer.PASS
    spoiled = 0

    @property
    def strikes(self) -> int:
        """How often anything was done to what passed."""
        return super().strikes + self.spoiled

    def _exchange(self) -> Exchange:
        return _Exchange(self)


class _Exchange(Exchange):
    def __init__(self, proxy: HttpProxy) -> None:
        self._proxy = proxy
        self._awaited = False

    async def request(self, chunk: bytes) -> tuple[bytes, bool]:
        self._awaited = True
        return chunk, False

    async def reply(self, chunk: bytes) -> tuple[bytes, bool]:
        begins, self._awaited = self._awaited, False
        match self._proxy.answer:
            case Answer.TRUNCATED:
                return self._truncated(chunk, begins)
            case Answer.LATE if begins:
                self._proxy.spoiled += 1
                await asyncio.sleep(LATE)
            case Answer.ERROR | Answer.SLOW_DOWN as answer if begins:
                self._proxy.spoiled += 1
                return _error(answer), True
        return chunk, False

    def _truncated(self, chunk: bytes, begins: bool) -> tuple[bytes, bool]:
        body = chunk.partition(END_OF_HEADERS)[2] if begins else chunk
        if not body:
            return chunk, False
        self._proxy.spoiled += 1
        return chunk[: len(chunk) - len(body) // 2 - 1], True


def _error(answer: Answer) -> bytes:
    body = f"<Error><Code>{CODES[answer]}</Code></Error>"
    headers = f"Content-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"HTTP/1.1 {answer} {HTTPStatus(int(answer)).phrase}\r\n{headers}\r\n\r\n{body}".encode()
