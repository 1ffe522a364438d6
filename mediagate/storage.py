"""S3: signed URLs, and the few calls that Mediagate makes, in bounded threads with deadlines."""

import asyncio
import base64
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from mediagate.errors import MediagateError, ObjectChangedError, StopError, TransientError
from mediagate.presigning import Presigner
from mediagate.quick_calls import QuickCalls
from mediagate.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

Result = TypeVar("Result")

COPY_LIMIT = 5 * 2**30
"""Largest object that one CopyObject takes; above it S3 wants a multipart copy."""
COPY_PART = 512 * 2**20
CALL_DEADLINE = 120.0
METADATA = "x-amz-meta-"


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What S3 says of an object; `sha256` in hex, only where S3 itself verified it."""

    bucket: str
    key: str
    size: int
    etag: str
    mime_type: str
    sha256: str | None
    metadata: Mapping[str, str]


class PutTerms(NamedTuple):
    """What a signed upload may be, and nothing else; hashes in hex."""

    bucket: str
    key: str
    size: int
    mime_type: str
    sha256: str
    md5: str


class SignedRequest(NamedTuple):
    """A request that S3 accepts only with exactly these headers."""

    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CopySource:
    """The exact bytes to copy."""

    bucket: str
    key: str
    etag: str
    size: int


class ReadUrls(NamedTuple):
    """One object's URL, and the one by which it is reached from outside this network."""

    url: str
    public_url: str


class ObjectStore(Protocol):
    """Where bytes are; calls raise TransientError where S3 fails, StopError where it refuses us."""

    def presign_put(self, terms: PutTerms, expires: timedelta) -> SignedRequest:
        """A signed upload that creates the object once and never overwrites it."""
        ...

    def presign_get(self, bucket: str, key: str, expires: timedelta) -> ReadUrls:
        """Signed URLs to read an object."""
        ...

    async def head(self, bucket: str, key: str) -> ObjectHead | None:
        """What S3 says of an object; None where there is none."""
        ...

    async def copy(
        self, source: CopySource, bucket: str, key: str, metadata: Mapping[str, str], mime_type: str
    ) -> None:
        """Copies within S3; raises ObjectChangedError where the source is not those bytes any more."""
        ...

    async def write(self, bucket: str, key: str, body: bytes, mime_type: str) -> None:
        """Stores a small object of Mediagate's own."""
        ...

    async def delete(self, bucket: str, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        ...

    async def missing_buckets(self, names: Iterable[str]) -> list[str]:
        """Those of the buckets that are not there."""
        ...


class S3:
    """An ObjectStore on S3 or anything that speaks its protocol."""

    def __init__(self, settings: Settings, copy_limit: int = COPY_LIMIT, copy_part: int = COPY_PART) -> None:
        self._copy_limit, self._copy_part = copy_limit, copy_part
        session = _session(settings)
        self._client = self._public_client = _client(session, settings, settings.s3_endpoint_url)
        if settings.s3_public_endpoint_url:
            self._public_client = _client(session, settings, settings.s3_public_endpoint_url)
        self._presigner = self._public_presigner = _presigner(session, self._client)
        if self._public_client is not self._client:
            self._public_presigner = _presigner(session, self._public_client)
        self._quick = QuickCalls(
            self._presigner.presign, self._client.meta.endpoint_url, settings.s3_concurrency
        )
        self._threads = ThreadPoolExecutor(settings.s3_concurrency, thread_name_prefix="s3")
        self._region = settings.aws_region

    def close(self) -> None:
        """Waits for the calls under way and ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._quick.close()
        self._client.close()
        self._public_client.close()

    def presign_put(self, terms: PutTerms, expires: timedelta) -> SignedRequest:
        """A signed upload that creates the object once and never overwrites it."""
        headers = {
            "Content-Type": terms.mime_type,
            "Content-Length": str(terms.size),
            "Content-MD5": _base64(terms.md5),
            "x-amz-checksum-sha256": _base64(terms.sha256),
            "If-None-Match": "*",
        }
        url = self._public_presigner.presign("PUT", terms.bucket, terms.key, expires, headers)
        return SignedRequest("PUT", url, headers)

    def presign_get(self, bucket: str, key: str, expires: timedelta) -> ReadUrls:
        """Signed URLs to read an object."""
        url = self._presigner.presign("GET", bucket, key, expires)
        if self._public_presigner is self._presigner:
            return ReadUrls(url, url)
        return ReadUrls(url, self._public_presigner.presign("GET", bucket, key, expires))

    async def head(self, bucket: str, key: str) -> ObjectHead | None:
        """What S3 says of an object; None where there is none."""
        return await self._run(partial(self._head, bucket, key))

    async def copy(
        self, source: CopySource, bucket: str, key: str, metadata: Mapping[str, str], mime_type: str
    ) -> None:
        """Copies within S3; raises ObjectChangedError where the source is not those bytes any more."""
        copy = self._copy_whole if source.size <= self._copy_limit else self._copy_in_parts
        await self._run(partial(copy, source, bucket, key, metadata, mime_type), deadline=None)

    async def write(self, bucket: str, key: str, body: bytes, mime_type: str) -> None:
        """Stores a small object of Mediagate's own."""
        await self._run(
            partial(self._client.put_object, Bucket=bucket, Key=key, Body=body, ContentType=mime_type)
        )

    async def delete(self, bucket: str, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        await self._run(partial(self._delete, bucket, key))

    async def missing_buckets(self, names: Iterable[str]) -> list[str]:
        """Those of the buckets that are not there."""
        return [name for name in sorted(names) if not await self._run(partial(self._bucket_exists, name))]

    async def create_buckets(self, names: Iterable[str]) -> None:
        """Makes the buckets that are not there."""
        for name in await self.missing_buckets(names):
            await self._run(partial(self._client.create_bucket, Bucket=name))

    async def _run(self, call: Callable[[], Result], deadline: float | None = CALL_DEADLINE) -> Result:
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except ClientError as error:
            raise _meaning(error) from error
        except (BotoCoreError, TimeoutError) as error:
            raise TransientError(f"S3 does not answer: {str(error) or type(error).__name__}") from error

    def _head(self, bucket: str, key: str) -> ObjectHead | None:
        if (answer := self._quick.head(bucket, key)) is not None:
            status, headers = answer
            return _object_head(bucket, key, headers) if status == 200 else None
        try:
            head = self._client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if _status(error) == 404:
                return None
            raise
        return _object_head(bucket, key, head["ResponseMetadata"]["HTTPHeaders"])

    def _delete(self, bucket: str, key: str) -> None:
        if not self._quick.delete(bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)

    def _bucket_exists(self, name: str) -> bool:
        try:
            self._client.head_bucket(Bucket=name)
        except ClientError as error:
            if _status(error) == 404:
                return False
            raise
        return True

    def _copy_whole(
        self, source: CopySource, bucket: str, key: str, metadata: Mapping[str, str], mime_type: str
    ) -> None:
        headers = {
            "content-type": mime_type,
            "x-amz-copy-source": quote(f"{source.bucket}/{source.key}", safe="/~"),
            "x-amz-copy-source-if-match": source.etag,
            "x-amz-metadata-directive": "REPLACE",
            **{f"{METADATA}{name}": value for name, value in metadata.items()},
        }
        if self._quick.copy(bucket, key, headers):
            return
        self._client.copy_object(
            Bucket=bucket,
            Key=key,
            CopySource={"Bucket": source.bucket, "Key": source.key},
            CopySourceIfMatch=source.etag,
            MetadataDirective="REPLACE",
            Metadata=metadata,
            ContentType=mime_type,
        )

    def _copy_in_parts(
        self, source: CopySource, bucket: str, key: str, metadata: Mapping[str, str], mime_type: str
    ) -> None:
        upload = self._client.create_multipart_upload(
            Bucket=bucket, Key=key, Metadata=metadata, ContentType=mime_type
        )
        upload_id = upload["UploadId"]
        try:
            etags = [
                self._client.upload_part_copy(
                    Bucket=bucket,
                    Key=key,
                    UploadId=upload_id,
                    PartNumber=number,
                    CopySource={"Bucket": source.bucket, "Key": source.key},
                    CopySourceIfMatch=source.etag,
                    CopySourceRange=f"bytes={start}-{min(start + self._copy_part, source.size) - 1}",
                )["CopyPartResult"]["ETag"]
                for number, start in enumerate(range(0, source.size, self._copy_part), start=1)
            ]
        except (ClientError, BotoCoreError):
            self._client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
            raise
        parts: list[CompletedPartTypeDef] = [
            {"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, start=1)
        ]
        self._client.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )


def _object_head(bucket: str, key: str, headers: Mapping[str, str]) -> ObjectHead:
    """What an answer to HEAD says."""
    named = {name.lower(): value for name, value in headers.items()}
    checksum = named.get("x-amz-checksum-sha256")
    return ObjectHead(
        bucket=bucket,
        key=key,
        size=int(named["content-length"]),
        etag=named["etag"],
        mime_type=named.get("content-type", ""),
        sha256=None if checksum is None or "-" in checksum else base64.b64decode(checksum).hex(),
        metadata={
            name.removeprefix(METADATA): value for name, value in named.items() if name.startswith(METADATA)
        },
    )


def _session(settings: Settings) -> boto3.Session:
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    return boto3.Session(
        region_name=settings.aws_region,
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
    )


def _presigner(session: boto3.Session, client: "S3Client") -> Presigner:
    credentials = session.get_credentials()
    if credentials is None:
        raise StopError("AWS_ACCESS_KEY_ID: not set, and there are no credentials of another kind")
    return Presigner(client, credentials, now=lambda: datetime.now(UTC))


def _client(session: boto3.Session, settings: Settings, endpoint: str | None) -> "S3Client":
    return session.client(
        "s3",
        endpoint_url=endpoint,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "virtual"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=settings.s3_concurrency,
        ),
    )


def _meaning(error: ClientError) -> MediagateError:
    status, code = _status(error), error.response.get("Error", {}).get("Code", "")
    message = f"S3 {error.operation_name}: {code or status}"
    if status == 412 or (
        status == 404
        and code not in {"NoSuchBucket", "NoSuchUpload"}
        and re.search("Copy", error.operation_name)
    ):
        return ObjectChangedError(message)
    if (
        status >= 500
        or status in {408, 409, 429}
        or code in {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "NoSuchUpload"}
    ):
        return TransientError(message)
    return StopError(message)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
