"""The proxy on a real socket: what a server hears and what its client gets, in each mode."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.faults.proxy import Mode, Proxy

HOST = "127.0.0.1"
DEADLINE = 10.0


class Server:
    """Answers every line with the same line, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line)
                await writer.drain()
        writer.close()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with asyncio.timeout(DEADLINE):
        listening = await asyncio.start_server(server.serve, HOST, 0)
    async with listening, Proxy(HOST, listening.sockets[0].getsockname()[1]).running() as proxy:
        yield proxy


async def ask(proxy: Proxy, line: bytes) -> bytes:
    """What comes back; nothing where the connection is reset."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        try:
            writer.write(line)
            return await reader.readline()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.mark.parametrize("mode", [Mode.PASS, Mode.DELAY])
async def test_carries_requests_and_replies(proxy: Proxy, server: Server, mode: Mode) -> None:
    proxy.set(mode)
    assert await ask(proxy, b"hello\n") == b"hello\n"
    assert server.heard == [b"hello\n"]


async def test_loses_a_reply_whose_request_arrived(proxy: Proxy, server: Server) -> None:
    proxy.set(Mode.LOSE_REPLIES)
    assert await ask(proxy, b"hello\n") == b""
    assert (server.heard, proxy.lost_replies) == ([b"hello\n"], 1)


async def test_resets_what_is_open_and_what_is_new(proxy: Proxy, server: Server) -> None:
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        proxy.set(Mode.RESET)
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        writer.close()
    assert await ask(proxy, b"again\n") == b""
    assert server.heard == [b"hello\n"]
    proxy.set(Mode.PASS)
    assert await ask(proxy, b"well\n") == b"well\n"
