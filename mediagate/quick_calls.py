"""HEAD, copy and delete as signed URLs over botocore's connections, without what boto3 spends on each call.

Only the expected answers are understood here. For every other one the caller asks boto3, which knows of
retries, redirects and errors: each of these calls may be repeated.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
EXPIRES = timedelta(minutes=5)

Presign = Callable[[str, str, str, timedelta, Mapping[str, str]], str]


class QuickCalls:
    """Calls on one endpoint; safe in many threads."""

    def __init__(self, presign: Presign, endpoint: str, connections: int) -> None:
        self._presign = presign
        self._session = URLLib3Session(
            verify=Session().get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(endpoint),
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),  # type: ignore[arg-type]  # as botocore itself
            max_pool_connections=connections,
        )

    def close(self) -> None:
        """Ends the connections."""
        self._session.close()

    def head(self, bucket: str, key: str) -> tuple[int, Mapping[str, str]] | None:
        """Status 200 or 404, and the headers; None where it was another."""
        answer = self._send("HEAD", bucket, key, {"x-amz-checksum-mode": "ENABLED"})
        return None if answer is None or answer[0] not in {200, 404} else answer[:2]

    def copy(self, bucket: str, key: str, headers: Mapping[str, str]) -> bool:
        """Whether S3 says that it has copied the whole object."""
        answer = self._send("PUT", bucket, key, headers)
        # S3 may begin with status 200 and end with an error.
        return answer is not None and answer[0] == 200 and b"</CopyObjectResult>" in answer[2]

    def delete(self, bucket: str, key: str) -> bool:
        """Whether S3 says that the object is gone."""
        answer = self._send("DELETE", bucket, key, {})
        return answer is not None and answer[0] == 204

    def _send(
        self, method: str, bucket: str, key: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes] | None:
        url = self._presign(method, bucket, key, EXPIRES, headers)
        try:
            sent: Any = HeadersDict(headers)  # what botocore itself puts there
            response = self._session.send(AWSPreparedRequest(method, url, sent, None, stream_output=False))
        except BotoCoreError:
            return None
        return response.status_code, response.headers, response.content
