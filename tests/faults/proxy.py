"""A TCP proxy that a test makes slow, unreachable, or deaf to replies."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Self

CHUNK = 64 * 1024
DELAY = 0.25
CONNECT_DEADLINE = 5.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""


class Mode(StrEnum):
    """What the proxy does to what passes."""

    PASS = "pass"
    DELAY = "delay"  # every chunk waits DELAY seconds, in both directions
    RESET = "reset"  # connections are reset, new ones at once
    LOSE_REPLIES = "lose_replies"  # requests arrive; the first byte of an answer ends the connection


class Exchange:
    """What passes on one connection: each gives what is sent on, and whether the connection ends with it."""

    async def request(self, chunk: bytes) -> tuple[bytes, bool]:
        """A client's bytes."""
        return chunk, False

    async def reply(self, chunk: bytes) -> tuple[bytes, bool]:
        """The server's bytes."""
        return chunk, False


class Proxy:
    """Stands in front of one server of the stack; on `listener`, where its port must be known before."""

    def __init__(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        self._host = host
        self._upstream = port
        self._listener = listener
        self._mode = Mode.PASS
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.delays = 0
        self.lost_replies = 0
        self.resets = 0

    @property
    def strikes(self) -> int:
        """How often anything was done to what passed."""
        return self.delays + self.lost_replies + self.resets

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Listens."""
        listener = self._listener.dup() if self._listener else socket.create_server((self._host, 0))
        self.port = listener.getsockname()[1]
        async with asyncio.timeout(CONNECT_DEADLINE):
            server = await asyncio.start_server(self._accept, sock=listener)
        try:
            yield self
        finally:
            server.close()
            self._abort_all()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def set(self, mode: Mode) -> None:
        """From now on, for connections that are open as well."""
        self._mode = mode
        if mode is Mode.RESET:
            self._abort_all()

    def _exchange(self) -> Exchange:
        return Exchange()

    def _abort_all(self) -> None:
        self.resets += len(self._writers)
        for writer in self._writers:
            _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.RESET:
            self.resets += 1
            _reset(writer)
            return
        self._writers.add(writer)
        try:
            async with asyncio.timeout(CONNECT_DEADLINE):
                server_reader, server_writer = await asyncio.open_connection(self._host, self._upstream)
        except (OSError, TimeoutError):
            _reset(writer)
            self._writers.discard(writer)
            return
        self._writers.add(server_writer)
        exchange = self._exchange()
        requests = asyncio.create_task(self._carry(reader, server_writer, exchange.request))
        replies = asyncio.create_task(self._carry(server_reader, writer, exchange.reply, may_be_lost=True))
        try:
            await asyncio.wait({requests, replies}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (requests, replies):
                task.cancel()
            for each in (writer, server_writer):
                self._writers.discard(each)
                each.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        change: Callable[[bytes], Awaitable[tuple[bytes, bool]]],
        may_be_lost: bool = False,
    ) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                if self._mode is Mode.DELAY:
                    self.delays += 1
                    await asyncio.sleep(DELAY)
                if may_be_lost and self._mode is Mode.LOSE_REPLIES:
                    self.lost_replies += 1
                    _reset(writer)
                    return
                changed, ends = await change(chunk)
                writer.write(changed)
                await writer.drain()
                if ends:
                    return


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
