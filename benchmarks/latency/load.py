"""Uploads that are there, and their completions at a steady rate, whatever the answers take (open loop)."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt
from yarl import URL

SECRET = "a secret of the benchmark that is long enough for HS256"  # noqa: S105
USER = "user-0001"
BYTES = 2048
AT_ONCE = 8
DEADLINE = aiohttp.ClientTimeout(total=60)
START_DEADLINE = 60.0
ASKED_EVERY = 0.1


class Client:
    """One user's client of a server on this machine."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address
        token = jwt.encode({"sub": USER, "exp": datetime.now(UTC) + timedelta(hours=6)}, SECRET, "HS256")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def upload(self, count: int) -> list[str]:
        """Puts so many different objects; their media ids."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> str:
            async with slots:
                return await self._upload(number)

        return list(await asyncio.gather(*map(one, range(count))))

    async def complete(self, media_ids: list[str], rate: float) -> None:
        """Says of each that it is there, `rate` a second."""
        first, asked = time.monotonic(), []
        for number, media_id in enumerate(media_ids):
            await asyncio.sleep(max(0.0, first + number / rate - time.monotonic()))
            asked.append(asyncio.create_task(self._post("upload-complete", {"media_id": media_id}, 202)))
        await asyncio.gather(*asked)

    async def _upload(self, number: int) -> str:
        content = number.to_bytes(8, "big") * (BYTES // 8)
        answer = await self._post(
            "request-upload",
            {
                "user_id": USER,
                "file_name": f"picture-{number}.jpg",
                "file_size": len(content),
                "mime_type": "image/jpeg",
                "sha256_hash": hashlib.sha256(content).hexdigest(),
                "md5Hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "linked_to_type": "story",
                "linked_to_id": "1",
            },
            201,
        )
        signed = answer["upload"]
        url = URL(signed["url"], encoded=True)
        async with self._session.put(url, data=content, headers=signed["headers"]) as stored:
            if stored.status != 200:
                raise RuntimeError(f"S3 refuses the upload: {await stored.text()}")
        return str(answer["media_id"])

    async def _post(self, route: str, body: Mapping[str, Any], expected: int) -> Any:
        url = f"{self._address}/media/{route}"
        async with self._session.post(url, json=body, headers=self._headers) as answer:
            if answer.status != expected:
                raise RuntimeError(f"{route} answers {answer.status}: {await answer.text()}")
            return await answer.json()


@asynccontextmanager
async def client_of(ports: Mapping[str, int]) -> AsyncIterator[Client]:
    """A client of the first of a design's processes, once all are ready."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=DEADLINE, connector=connector) as session:
        addresses = [f"http://127.0.0.1:{port}" for port in ports.values()]
        async with asyncio.timeout(START_DEADLINE):
            for address in addresses:
                while not await _is_ready(session, address):  # noqa: ASYNC110
                    await asyncio.sleep(ASKED_EVERY)
        yield Client(session, addresses[0])


async def _is_ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
