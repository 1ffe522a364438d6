"""A lean client on a core of its own: every connection asks again as soon as it has its answer.

`python -m benchmarks.gateway.load PORT TOKENS SECONDS` writes its Load as JSON to standard output. TOKENS is
a file, a user and its token a line. It measures after a warm-up of the same length: compilers need one.
"""

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

CONNECTIONS = 32
PATH = "/media/request-upload"
DIGITS = 9
LAST_ANSWERS = 10.0
"""Seconds in which what is under way at the end must be answered."""
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
DECLARATION = {
    "file_size": 1_048_576,
    "mime_type": "image/jpeg",
    "sha256_hash": "ab" * 32,
    "linked_to_id": "post-1",
    "linked_to_type": "post",
    "md5Hash": "cd" * 16,
}


@dataclass
class Load:
    """What came of it: `answered` is of the whole run, the rest of what followed the warm-up; times are s."""

    start: float = 0.0
    end: float = 0.0
    answered: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)


def requests(tokens: Sequence[tuple[str, str]]) -> Iterator[bytes]:
    """Requests for ever, of one user after the other; no two file names are the same."""
    templates = itertools.cycle([_template(user, token) for user, token in tokens])
    for number, (before, after) in enumerate(templates):
        yield b"%b%0*d%b" % (before, DIGITS, number, after)


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, asked: Iterator[bytes], load: Load, ended: "asyncio.Future[None]") -> None:
        self._asked = asked
        self._load = load
        self._ended = ended
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the first time."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Counts the answer once it is whole, and asks again."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(self._buffer, 0, head + 2) if head >= 0 else None
        if length is None or len(self._buffer) < head + 4 + int(length[1]):
            return
        now = time.time()
        if self._buffer[9:12] == b"%d" % HTTPStatus.CREATED:
            self._load.answered += 1
        else:
            self._load.refused += 1
        if self._load.start <= now < self._load.end:
            self._load.latencies.append(now - self._sent_at)
        self._buffer = b""
        if now < self._load.end:
            self._ask()
        elif not self._ended.done():
            self._ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the run where the server closes what it should keep open."""
        if not self._ended.done():
            self._ended.set_exception(ConnectionError("the server closed a connection"))

    def _ask(self) -> None:
        if self._transport is not None:
            self._sent_at = time.time()
            self._transport.write(next(self._asked))


async def run(port: int, tokens: Sequence[tuple[str, str]], seconds: float) -> Load:
    """Asks for so long; raises TimeoutError where an answer is missing at the end."""
    loop, asked = asyncio.get_running_loop(), requests(tokens)
    start = time.time() + seconds
    load = Load(start, start + seconds)
    ended = [loop.create_future() for _ in range(CONNECTIONS)]
    connections = [
        await loop.create_connection(lambda future=each: Connection(asked, load, future), "127.0.0.1", port)  # type: ignore[misc]
        for each in ended
    ]
    async with asyncio.timeout(2 * seconds + LAST_ANSWERS):
        await asyncio.gather(*ended)
    for transport, _ in connections:
        transport.close()
    return load


def _template(user: str, token: str) -> tuple[bytes, bytes]:
    mark = "0" * DIGITS
    body: dict[str, Any] = {"user_id": user, "file_name": f"picture-{mark}.jpg", **DECLARATION}
    content = json.dumps(body)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    before, _, after = content.partition(mark)
    return (head + before).encode(), after.encode()


def main() -> None:
    """Runs as its arguments say."""
    port, tokens, seconds = sys.argv[1:]
    users = [cast(tuple[str, str], tuple(line.split())) for line in Path(tokens).read_text().splitlines()]
    load = asyncio.run(run(int(port), users, float(seconds)))
    sys.stdout.write(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
