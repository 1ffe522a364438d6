"""The objects that the sinks benchmark moves; their rows and decisions as gateway and streams make them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid5

import boto3
from botocore.client import Config

from benchmarks.stream.broker import NAMESPACE
from mediagate.event_examples import COMPLETED_AT, INSPECTION, SCANNED, UPLOAD
from mediagate.events import (
    Decision,
    Event,
    EventType,
    Outcome,
    OutgoingRecord,
    UploadCompleted,
    encode,
    event_id,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZE = 200_000
FILLING = os.urandom(SIZE)
AT_ONCE = 16


@dataclass(frozen=True)
class Buckets:
    """S3 as the harness itself uses it."""

    environment: Mapping[str, str]
    temp: str
    permanent: str
    client: "S3Client" = field(init=False)

    def __post_init__(self) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.environment["S3_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=AT_ONCE),
        )
        object.__setattr__(self, "client", client)

    def make(self, *others: str) -> None:
        """Creates the buckets that are not there."""
        there = {bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]}
        for name in {self.temp, self.permanent, *others} - there:
            self.client.create_bucket(Bucket=name)

    def fill(self, objects: int) -> None:
        """Has the temp bucket hold so many objects, and the permanent one none."""
        for bucket in (self.temp, self.permanent):
            self._empty(bucket)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._put, range(objects)):
                pass

    def faults(self, objects: int) -> str:
        """Which objects are where they should not be; empty where none is."""
        wanted = {file_name(number) for number in range(objects)}
        moved = {key for key, size in self._sizes(self.permanent).items() if size == SIZE}
        left = self._sizes(self.temp)
        return f"{len(wanted ^ moved)} not moved, {len(left)} not deleted" if wanted != moved or left else ""

    def _put(self, number: int) -> None:
        self.client.put_object(Bucket=self.temp, Key=upload(self.temp, number).key, Body=body(number))

    def _empty(self, bucket: str) -> None:
        # S3Proxy deletes the objects of such a request one after another: single requests, many at once.
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(
                lambda key: self.client.delete_object(Bucket=bucket, Key=key), self._sizes(bucket)
            ):
                pass

    def _sizes(self, bucket: str) -> dict[str, int]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


def body(number: int) -> bytes:
    """An object's bytes: no two are the same."""
    return f"{number:010d}".encode() + FILLING[10:]


def file_name(number: int) -> str:
    """Under which an object is published."""
    return f"{number}.jpg"


def upload(bucket: str, number: int) -> UploadCompleted:
    """A complete upload, always the same for a number."""
    content = body(number)
    digest = md5(content, usedforsecurity=False).hexdigest()
    media_id = uuid5(NAMESPACE, str(number))
    return UPLOAD.model_copy(
        update={
            "media_id": media_id,
            "bucket": bucket,
            "key": f"uploads/{media_id}",
            "etag": f'"{digest}"',
            "size": SIZE,
            "sha256": sha256(content).hexdigest(),
            "md5": digest,
            "file_name": file_name(number),
        }
    )


def row(complete: UploadCompleted) -> dict[str, Any]:
    """The row of an upload that awaits its decision, by column."""
    return {
        "media_id": complete.media_id,
        "user_id": complete.user_id,
        "file_name": complete.file_name,
        "file_size": complete.size,
        "mime_type": complete.mime_type,
        "sha256": complete.sha256,
        "md5": complete.md5,
        "linked_to_type": complete.linked_to_type,
        "linked_to_id": complete.linked_to_id,
        "bucket": complete.bucket,
        "key": complete.key,
        "etag": complete.etag,
        "state": "queued",
        "created_at": COMPLETED_AT,
        "queued_at": COMPLETED_AT,
        "event_published_at": COMPLETED_AT,
        "attempts": 1,
    }


def approvals(topic: str, uploads: Sequence[UploadCompleted]) -> Iterator[OutgoingRecord]:
    """The decisions on uploads, as the streams publish them."""
    kind = EventType.APPROVED
    for each in uploads:
        decision = Decision(
            media_id=each.media_id,
            upload=each,
            outcome=Outcome.APPROVED,
            reasons=(),
            scores={"nsfw": 0.031},
            inspection=INSPECTION,
            **SCANNED,
        )
        cause = event_id(EventType.UPLOAD_COMPLETED, each.media_id, "1")
        yield encode(
            Event(
                event_id(kind, each.media_id, cause),
                kind,
                "/benchmark",
                COMPLETED_AT,
                str(each.media_id),
                decision,
                cause,
            ),
            topic,
        )
