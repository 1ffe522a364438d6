"""Every ObjectStore keeps these promises."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import urllib3

from mediagate.errors import ObjectChangedError, StopError, TransientError
from mediagate.settings import Settings
from mediagate.storage import S3, CopySource, ObjectStore, PutTerms
from mediagate.testing.storage import InMemoryObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART = 5 * 2**20
"""The smallest part that S3 allows."""


@dataclass
class Subject:
    store: ObjectStore
    bucket: str
    other_bucket: str
    put: Callable[[str, str, bytes], str]
    read: Callable[[str, str], bytes]


@pytest.fixture(params=["memory", "s3", "s3 in parts"])
async def subject(
    request: pytest.FixtureRequest, settings: Settings, outside_client: "S3Client"
) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = InMemoryObjectStore(["temp", "posts"])
        yield Subject(memory, "temp", "posts", memory.put, lambda b, k: memory.objects[b, k].body)
        return
    limits = (1, PART) if request.param == "s3 in parts" else ()
    outside = {"s3_public_endpoint_url": "https://public-store.invalid"}
    store = S3(settings.model_copy(update=outside), *limits)
    await store.create_buckets(settings.all_buckets())

    def put(bucket: str, key: str, body: bytes) -> str:
        return outside_client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="image/png")["ETag"]

    def read(bucket: str, key: str) -> bytes:
        return outside_client.get_object(Bucket=bucket, Key=key)["Body"].read()

    yield Subject(store, settings.temp_bucket, settings.buckets["post"], put, read)
    store.close()


def source(subject: Subject, key: str, body: bytes) -> CopySource:
    return CopySource(subject.bucket, key, subject.put(subject.bucket, key, body), len(body))


async def test_head_says_size_and_etag(subject: Subject) -> None:
    etag = subject.put(subject.bucket, "a", b"bytes")

    head = await subject.store.head(subject.bucket, "a")

    assert head is not None
    assert (head.bucket, head.key, head.size, head.etag) == (subject.bucket, "a", 5, etag)
    assert etag.startswith('"')


async def test_head_of_nothing_is_none(subject: Subject) -> None:
    assert await subject.store.head(subject.bucket, "nothing") is None


async def test_a_public_url_is_another_one(subject: Subject) -> None:
    url, public = subject.store.presign_get(subject.bucket, "a", timedelta(minutes=1))
    assert ("public-store" in public) == isinstance(subject.store, S3)
    assert url != public


async def test_what_is_written_can_be_read(subject: Subject) -> None:
    await subject.store.write(subject.bucket, "own", b"bytes", "image/jpeg")

    head = await subject.store.head(subject.bucket, "own")
    assert head is not None
    assert (head.size, head.mime_type) == (5, "image/jpeg")
    assert subject.read(subject.bucket, "own") == b"bytes"


async def test_a_copy_has_the_bytes_and_what_is_said_of_them(subject: Subject) -> None:
    body = b"0123456789" * (PART // 5)  # two parts of the smallest size
    original = source(subject, "a", body)

    await subject.store.copy(original, subject.other_bucket, "post/b.mp4", {"media-id": "1"}, "video/mp4")

    head = await subject.store.head(subject.other_bucket, "post/b.mp4")
    assert head is not None
    assert (head.size, head.mime_type, dict(head.metadata)) == (len(body), "video/mp4", {"media-id": "1"})
    assert subject.read(subject.other_bucket, "post/b.mp4") == body
    assert subject.read(subject.bucket, "a") == body


@pytest.mark.parametrize("name", ["a b+c&d=é%20?.png", "日本語.jpg", "n" * 196 + ".jpg"])
async def test_a_copy_may_have_any_name(subject: Subject, name: str) -> None:
    original = source(subject, "a", b"bytes")

    await subject.store.copy(original, subject.other_bucket, f"post/{name}", {"media-id": "1"}, "image/png")

    assert subject.read(subject.other_bucket, f"post/{name}") == b"bytes"


async def test_bytes_that_changed_are_not_copied(subject: Subject) -> None:
    original = source(subject, "a", b"scanned")
    subject.put(subject.bucket, "a", b"swapped")

    with pytest.raises(ObjectChangedError):
        await subject.store.copy(original, subject.other_bucket, "b", {}, "image/png")

    assert await subject.store.head(subject.other_bucket, "b") is None


async def test_an_object_that_vanished_is_not_copied(subject: Subject) -> None:
    original = source(subject, "a", b"bytes")
    await subject.store.delete(subject.bucket, "a")

    with pytest.raises(ObjectChangedError):
        await subject.store.copy(original, subject.other_bucket, "b", {}, "image/png")

    assert await subject.store.head(subject.other_bucket, "b") is None


async def test_deleting_twice_is_no_error(subject: Subject) -> None:
    subject.put(subject.bucket, "a", b"bytes")

    await subject.store.delete(subject.bucket, "a")
    await subject.store.delete(subject.bucket, "a")

    assert await subject.store.head(subject.bucket, "a") is None


async def test_names_the_buckets_that_are_missing(subject: Subject) -> None:
    missing = f"missing-{uuid4().hex}"

    assert await subject.store.missing_buckets([subject.bucket, missing]) == [missing]


async def test_a_copy_into_no_bucket_is_a_configuration_to_stop_for(subject: Subject) -> None:
    original = source(subject, "a", b"bytes")

    with pytest.raises(StopError):
        await subject.store.copy(original, f"missing-{uuid4().hex}", "b", {}, "image/png")


async def test_an_s3_that_is_away_is_worth_another_try(settings: Settings) -> None:
    memory = InMemoryObjectStore(["temp"])
    memory.available = False
    with pytest.raises(TransientError):
        await memory.head("temp", "a")

    away = S3(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"}))
    try:
        with pytest.raises(TransientError):
            await away.head("temp", "a")
    finally:
        away.close()


async def test_refused_credentials_are_a_configuration_to_stop_for(settings: Settings, s3: S3) -> None:
    assert settings.aws_secret_access_key is not None
    wrong = type(settings.aws_secret_access_key)("wrong")
    refused = S3(settings.model_copy(update={"aws_secret_access_key": wrong}))
    try:
        with pytest.raises(StopError):
            await refused.delete(settings.temp_bucket, "a")
    finally:
        refused.close()


def terms(settings: Settings, body: bytes) -> PutTerms:
    return PutTerms(
        bucket=settings.temp_bucket,
        key="uploads/1",
        size=len(body),
        mime_type="image/png",
        sha256=hashlib.sha256(body).hexdigest(),
        md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
    )


def send(store: S3, declared: PutTerms, body: bytes, **headers: str) -> int:
    request = store.presign_put(declared, timedelta(minutes=1))
    with urllib3.PoolManager() as pool:
        answer = pool.request(
            request.method, request.url, body=body, headers={**request.headers, **headers}, retries=False
        )
    return answer.status


async def test_a_signed_upload_takes_its_bytes_once(settings: Settings, s3: S3) -> None:
    body = b"a picture"
    declared = terms(settings, body)

    assert send(s3, declared, b"a Picture") in {400, 403}
    assert send(s3, declared, body, **{"Content-Type": "text/html"}) == 403
    assert send(s3, declared, body) == 200
    assert send(s3, declared, body) == 412

    head = await s3.head(declared.bucket, declared.key)
    assert head is not None
    assert (head.size, head.sha256) == (len(body), declared.sha256)


async def test_a_signed_url_reads_one_object(settings: Settings, s3: S3) -> None:
    body = b"a picture"
    declared = terms(settings, body)
    assert send(s3, declared, body) == 200
    url = s3.presign_get(declared.bucket, declared.key, timedelta(minutes=1)).url

    with urllib3.PoolManager() as pool:
        assert pool.request("GET", url, retries=False).data == body
        assert pool.request("GET", url.replace("uploads/1", "uploads/2"), retries=False).status == 403
