"""A client of the gateway, as a phone or a browser would be."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import jwt
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import SERVER_OPTIONS

SECRET = "a secret of the tests that is long enough for HS256"

Client = TestClient[Any, Any]
Json = dict[str, Any]


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Client]:
    """A client of the application, served with the options of production."""
    server = TestServer(app)
    await server.start_server(**SERVER_OPTIONS)
    async with TestClient(server) as client:
        yield client


def token(subject: str, **claims: Any) -> str:
    expires = datetime.now(UTC) + timedelta(minutes=5)
    return jwt.encode({"sub": subject, "exp": expires, **claims}, SECRET, "HS256")


def declaration(content: bytes, user_id: str, /, **changes: Any) -> Json:
    """The reference's request body for these bytes."""
    declared = {
        "user_id": user_id,
        "file_name": "holiday.jpg",
        "file_size": len(content),
        "mime_type": "image/jpeg",
        "sha256_hash": hashlib.sha256(content).hexdigest(),
        "linked_to_id": "post-1",
        "linked_to_type": "post",
        "md5Hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
    return declared | changes


class Uploader:
    """One user with a token."""

    def __init__(self, client: Client, user_id: str, **claims: Any) -> None:
        self.client = client
        self.user_id = user_id
        self._authorization = {"Authorization": f"Bearer {token(user_id, **claims)}"}

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, Json]:
        async with self.client.post(path, json=body, headers=self._authorization | headers) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str) -> tuple[int, Json]:
        async with self.client.get(path, headers=self._authorization) as response:
            return response.status, await response.json(content_type=None)

    async def request_upload(self, content: bytes, **changes: Any) -> Json:
        """The answer to a request that must be accepted."""
        status, answer = await self.post(
            "/media/request-upload", declaration(content, self.user_id, **changes)
        )
        assert status == 201, answer
        return answer

    async def upload(self, content: bytes, **changes: Any) -> UUID:
        """Uploads for real, without completing."""
        answer = await self.request_upload(content, **changes)
        assert await put(answer["upload"], content) == 200
        return UUID(answer["media_id"])

    async def complete(self, media_id: object, **headers: str) -> tuple[int, Json]:
        return await self.post("/media/upload-complete", {"media_id": str(media_id)}, **headers)


async def put(signed: Json, content: bytes, headers: Mapping[str, str | None] | None = None) -> int:
    """Sends the signed request, some headers changed or (None) left out; returns S3's status."""
    sent = {name: value for name, value in {**signed["headers"], **(headers or {})}.items() if value}
    skipped = ["Content-Type"] if "Content-Type" not in sent else []
    async with (
        aiohttp.ClientSession(skip_auto_headers=skipped) as session,
        session.request(signed["method"], signed["url"], data=content, headers=sent) as response,
    ):
        return response.status


def base64_sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def base64_md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
