"""HEAD, copy and delete as signed URLs on the event loop, without the thread and the work of a boto3 call.

Only the expected answers are understood here. For every other one the caller asks boto3, which knows of
retries, redirects and errors: each of these calls may be repeated.
"""

import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from botocore.httpsession import get_cert_path
from botocore.session import Session
from botocore.utils import get_environ_proxies
from yarl import URL

TIMEOUT = ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)
EXPIRES = timedelta(minutes=5)
OWN_HEADERS = {"Accept-Encoding": "identity"}

Presign = Callable[[str, str, str, timedelta, Mapping[str, str]], str]


class Answer(NamedTuple):
    """What S3 answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class QuickCalls:
    """Calls on one endpoint, all from one event loop."""

    def __init__(self, presign: Presign, endpoint: str, connections: int) -> None:
        self._presign = presign
        self._endpoint = URL(endpoint)
        self._connections = connections
        self._proxy = get_environ_proxies(endpoint).get(self._endpoint.scheme)
        self._session: ClientSession | None = None

    async def close(self) -> None:
        """Ends the connections."""
        if self._session is not None:
            await self._session.close()

    async def head(self, bucket: str, key: str) -> Answer | None:
        """The answer with status 200 or 404; None where it was another."""
        answer = await self._send("HEAD", bucket, key, {"x-amz-checksum-mode": "ENABLED"})
        return None if answer is None or answer.status not in {200, 404} else answer

    async def copy(self, bucket: str, key: str, headers: Mapping[str, str]) -> bool:
        """Whether S3 says that it has copied the whole object."""
        answer = await self._send("PUT", bucket, key, headers)
        # S3 may begin with status 200 and end with an error.
        return answer is not None and answer.status == 200 and b"</CopyObjectResult>" in answer.body

    async def delete(self, bucket: str, key: str) -> bool:
        """Whether S3 says that the object is gone."""
        answer = await self._send("DELETE", bucket, key, {})
        return answer is not None and answer.status == 204

    async def _send(self, method: str, bucket: str, key: str, headers: Mapping[str, str]) -> Answer | None:
        if self._session is None:
            self._session = self._open()
        # The signature is of this very spelling.
        url = URL(self._presign(method, bucket, key, EXPIRES, headers), encoded=True)
        try:
            async with self._session.request(
                method, url, headers={**OWN_HEADERS, **headers}, proxy=self._proxy, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except (ClientError, TimeoutError):
            return None

    def _open(self) -> ClientSession:
        secure = True if self._endpoint.scheme == "http" else _trusted()
        return ClientSession(connector=TCPConnector(limit=self._connections, ssl=secure), timeout=TIMEOUT)


def _trusted() -> ssl.SSLContext:
    """The certificates that boto3 would trust."""
    return ssl.create_default_context(
        cafile=get_cert_path(Session().get_config_variable("ca_bundle") or True)
    )
