"""An ObjectStore that keeps its objects."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from mediagate.errors import ObjectChangedError, StopError, TransientError
from mediagate.storage import CopySource, ObjectHead, PutTerms, ReadUrls, SignedRequest


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes and what was said of them."""

    body: bytes
    mime_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    verified: bool = False
    """Whether the uploader's SHA-256 was checked when the object came."""

    @property
    def etag(self) -> str:
        """The quoted MD5, as S3's for an object that was put in one part."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


class InMemoryObjectStore:
    """An ObjectStore on a dictionary; `available = False` is an S3 that is away."""

    def __init__(self, buckets: Iterable[str]) -> None:
        self._buckets = frozenset(buckets)
        self.available = True
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self._signatures = 0

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        mime_type: str = "application/octet-stream",
        *,
        verified: bool = False,
    ) -> str:
        """Stores an object as an uploader does, with or without a checksum: its ETag."""
        self._check_bucket(bucket)
        self.objects[bucket, key] = StoredObject(body, mime_type, verified=verified)
        return self.objects[bucket, key].etag

    def presign_put(self, terms: PutTerms, expires: timedelta) -> SignedRequest:
        """A request that says where the object would go; nothing answers it."""
        return SignedRequest("PUT", _url(terms.bucket, terms.key, expires), {"Content-Type": terms.mime_type})

    def presign_get(self, bucket: str, key: str, expires: timedelta) -> ReadUrls:
        """URLs that say where the object is, and which of them each is; nothing answers them."""
        self._signatures += 1
        signed = f"{_url(bucket, key, expires)}&signature={self._signatures}&public="
        return ReadUrls(f"{signed}False", f"{signed}True")

    async def head(self, bucket: str, key: str) -> ObjectHead | None:
        """What is known of an object; None where there is none."""
        self._check_available()
        stored = self.objects.get((bucket, key))
        if stored is None:
            return None
        return ObjectHead(
            bucket=bucket,
            key=key,
            size=len(stored.body),
            etag=stored.etag,
            mime_type=stored.mime_type,
            sha256=hashlib.sha256(stored.body).hexdigest() if stored.verified else None,
            metadata=stored.metadata,
        )

    async def copy(
        self, source: CopySource, bucket: str, key: str, metadata: Mapping[str, str], mime_type: str
    ) -> None:
        """Copies an object; raises ObjectChangedError where the source is not those bytes any more."""
        self._check_available()
        self._check_bucket(bucket)
        stored = self.objects.get((source.bucket, source.key))
        if stored is None or stored.etag != source.etag:
            raise ObjectChangedError(f"{source.bucket}/{source.key} is not {source.etag}")
        self.objects[bucket, key] = StoredObject(stored.body, mime_type, dict(metadata))

    async def write(self, bucket: str, key: str, body: bytes, mime_type: str) -> None:
        """Stores a small object of Mediagate's own."""
        self._check_available()
        self.put(bucket, key, body, mime_type)

    async def delete(self, bucket: str, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        self._check_available()
        self._check_bucket(bucket)
        self.objects.pop((bucket, key), None)

    async def missing_buckets(self, names: Iterable[str]) -> list[str]:
        """Those of the buckets that are not there."""
        self._check_available()
        return sorted(set(names) - self._buckets)

    def _check_available(self) -> None:
        if not self.available:
            raise TransientError("S3 is away")

    def _check_bucket(self, bucket: str) -> None:
        if bucket not in self._buckets:
            raise StopError(f"there is no bucket {bucket}")


def _url(bucket: str, key: str, expires: timedelta) -> str:
    return f"memory://{bucket}/{key}?expires={int(expires.total_seconds())}"
