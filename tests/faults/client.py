"""Clients of the gateway that never give up: what is not answered they do again, under the same key."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import aiohttp
import jwt
import stamina
from yarl import URL

from tests.faults.checker import Accepted, Asked
from tests.faults.uploads import Upload

SECRET = "a secret of the fault lane that is long enough for HS256"
USER = "user"
REQUEST_DEADLINE = 10.0
PATIENCE = 600.0
"""Seconds from a client's first request to its acceptance: faults may strike all the while."""
UNDER_WAY = 24
STORED = {HTTPStatus.OK, HTTPStatus.PRECONDITION_FAILED}
"""S3's answers where the object is there; the second where it was there before."""
ASK_ANEW = {HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT}
"""S3's answers to a URL that has expired, and to two uploads at once."""

Json = dict[str, Any]


class UnansweredError(Exception):
    """Somebody answered who cannot do it now."""


class Clients:
    """Clients under way, each upload's its own; at most UNDER_WAY, then whoever brings another waits."""

    def __init__(
        self, tasks: asyncio.TaskGroup, client: "Client", accepted: Callable[[Accepted], None]
    ) -> None:
        self._tasks = tasks
        self._client = client
        self._accepted = accepted
        self._free = asyncio.Semaphore(UNDER_WAY)

    async def send(self, upload: Upload) -> None:
        """Starts a client with this upload."""
        await self._free.acquire()
        self._tasks.create_task(self._until_accepted(upload))

    async def _until_accepted(self, upload: Upload) -> None:
        try:
            self._accepted(await self._client.upload(upload))
        finally:
            self._free.release()


class Client:
    """Uploads by the gateway at `address`; `answered` hears every answer to a request for an upload."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: Callable[[], str],
        answered: Callable[[Asked], None],
    ) -> None:
        self._session = session
        self._address = address
        self._answered = answered

    async def upload(self, upload: Upload) -> Accepted:
        """Asks for a URL, uploads, says that it has: returns once that was accepted.

        A hasty client sends every request `upload.times` at once, then takes its key for another file.
        """
        media_id: str = await self._patiently(self._done, upload)
        if upload.times > 1:
            await self._patiently(self._ask, replace(upload, file_name=f"other-{upload.file_name}"))
        return replace(upload.accepted, media_id=media_id)

    async def _patiently(self, step: Callable[[Upload], Awaitable[Any]], upload: Upload) -> Any:
        async for attempt in stamina.retry_context(
            on=(aiohttp.ClientError, TimeoutError, UnansweredError),
            attempts=None,
            timeout=PATIENCE,
            wait_max=1.0,
        ):
            with attempt:
                return await step(upload)
        raise AssertionError("retrying ended without an answer")

    async def _done(self, upload: Upload) -> str:
        answers = await self._at_once(upload, lambda: self._ask(upload))
        signed = answers[0]["upload"]
        if signed is not None:
            await self._at_once(upload, lambda: self._put(signed, upload.body))
        await self._at_once(upload, lambda: self._complete(answers[0]["media_id"]))
        return str(answers[0]["media_id"])

    @staticmethod
    async def _at_once(upload: Upload, request: Callable[[], Awaitable[Any]]) -> list[Any]:
        """The answers to so many of the request; a failure only once all were answered."""
        answers = await asyncio.gather(*(request() for _ in range(upload.times)), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def _ask(self, upload: Upload) -> Json:
        key, body = str(upload.media_id), _declaration(upload)
        status, answer = await self._post("/media/request-upload", body, {"Idempotency-Key": key})
        made = status == HTTPStatus.CREATED
        assert made or status == HTTPStatus.UNPROCESSABLE_ENTITY, answer
        self._answered(Asked(key, json.dumps(body), answer["media_id"] if made else None))
        return answer

    async def _put(self, signed: Json, body: bytes) -> None:
        url = URL(signed["url"], encoded=True)
        async with self._session.put(url, data=body, headers=signed["headers"]) as response:
            if response.status in ASK_ANEW or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise UnansweredError(f"S3 answers {response.status}")
            assert response.status in STORED, await response.text()

    async def _complete(self, media_id: str) -> None:
        status, answer = await self._post("/media/upload-complete", {"media_id": media_id})
        assert status == HTTPStatus.ACCEPTED, answer

    async def _post(self, path: str, body: Json, headers: dict[str, str] | None = None) -> tuple[int, Json]:
        sent = {"Authorization": f"Bearer {_token()}", **(headers or {})}
        async with self._session.post(self._address() + path, json=body, headers=sent) as response:
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise UnansweredError(f"the gateway answers {response.status}")
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def clients(
    address: Callable[[], str], accepted: Callable[[Accepted], None], answered: Callable[[Asked], None]
) -> AsyncIterator[Clients]:
    """At the end, once every one was accepted."""
    deadline = aiohttp.ClientTimeout(total=REQUEST_DEADLINE)
    async with aiohttp.ClientSession(timeout=deadline) as session, asyncio.TaskGroup() as tasks:
        yield Clients(tasks, Client(session, address, answered), accepted)


def _declaration(upload: Upload) -> Json:
    return {
        "user_id": USER,
        "file_name": upload.file_name,
        "file_size": len(upload.body),
        "mime_type": upload.mime_type,
        "sha256_hash": upload.sha256,
        "md5Hash": hashlib.md5(upload.body, usedforsecurity=False).hexdigest(),
        "linked_to_type": upload.linked_to_type,
        "linked_to_id": "1",
    }


def _token() -> str:
    return jwt.encode({"sub": USER, "exp": datetime.now(UTC) + timedelta(days=1)}, SECRET, "HS256")
