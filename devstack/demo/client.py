"""An uploader: what a product's client does, over HTTP alone."""

import hashlib
from dataclasses import dataclass
from typing import Any

import aiohttp

from devstack.demo.cases import Case, Flow

TIMEOUT = aiohttp.ClientTimeout(total=60)


class DemoError(Exception):
    """Something answered otherwise than it should have."""


@dataclass
class Upload:
    """A case under way."""

    case: Case
    media_id: str
    completed: bool


class Uploader:
    """Uploads cases through the gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def upload(self, case: Case) -> Upload:
        """Requests an upload, puts the bytes, completes it: as far as the case goes."""
        requested = await self._post("/media/request-upload", _request(case), expect=201)
        upload = Upload(case, requested["media_id"], completed=False)
        if case.flow is Flow.NEVER_UPLOADED:
            await self._post("/media/upload-complete", {"media_id": upload.media_id}, expect=409)
            return upload
        await self._put(case, requested["upload"])
        if case.flow is Flow.WHOLE:
            await self._post("/media/upload-complete", {"media_id": upload.media_id}, expect=202)
            upload.completed = True
        return upload

    async def state(self, upload: Upload) -> dict[str, Any]:
        """What the gateway says of the upload now."""
        async with self._session.get(
            f"{self._url}/media/{upload.media_id}", headers=self._headers, timeout=TIMEOUT
        ) as response:
            answer: dict[str, Any] = await response.json()
            _expect(response, 200, str(answer))
        return answer

    async def _post(self, path: str, body: dict[str, Any], expect: int) -> dict[str, Any]:
        async with self._session.post(
            self._url + path, json=body, headers=self._headers, timeout=TIMEOUT
        ) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            _expect(response, expect, str(answer))
        return answer

    async def _put(self, case: Case, signed: dict[str, Any]) -> None:
        content = case.file.content
        if case.flow is Flow.OTHER_BODY:
            content = content[:-1] + bytes([content[-1] ^ 1])
        async with self._session.request(
            signed["method"], signed["url"], data=content, headers=signed["headers"], timeout=TIMEOUT
        ) as response:
            if case.flow is Flow.OTHER_BODY:
                if response.status < 400:
                    raise DemoError("S3 took a body that does not match its signed checksum")
            else:
                _expect(response, 200, await response.text())


def _request(case: Case) -> dict[str, Any]:
    content = case.file.content
    return {
        "user_id": "demo-user",
        "file_name": case.file.name,
        "file_size": len(content),
        "mime_type": case.mime_type,
        "sha256_hash": hashlib.sha256(content).hexdigest(),
        "md5Hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "linked_to_id": "demo",
        "linked_to_type": case.linked_to_type,
    }


def _expect(response: aiohttp.ClientResponse, status: int, text: str) -> None:
    if response.status != status:
        raise DemoError(f"{response.method} {response.url.path}: {response.status}, not {status}: {text}")
