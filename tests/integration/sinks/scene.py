"""What the tests of the sinks arrange and look at: objects, rows and events."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg

from mediagate.events import (
    DECISION_TYPES,
    Decision,
    Event,
    EventType,
    Inspection,
    Outcome,
    Override,
    OverrideVerdict,
    UploadCompleted,
    event_id,
)
from mediagate.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
OUTCOME_REASONS = {
    Outcome.APPROVED: (),
    Outcome.REJECTED: ("nsfw", "blocked"),
    Outcome.NEEDS_REVIEW: ("borderline",),
    Outcome.UNSCANNABLE: ("truncated",),
}


@dataclass(frozen=True)
class Scene:
    """One test's bucket contents and rows."""

    settings: Settings
    client: "S3Client"
    pool: "asyncpg.Pool[asyncpg.Record]"

    def put(self, key: str, body: bytes) -> str:
        """An object in the temp bucket: its ETag."""
        return self.client.put_object(Bucket=self.settings.temp_bucket, Key=key, Body=body)["ETag"]

    def upload(
        self,
        file_name: str = "photo.jpg",
        linked_to_type: str = "post",
        body: bytes = b"a picture",
        mime_type: str = "image/jpeg",
    ) -> UploadCompleted:
        """An upload that is there, of which no row says anything."""
        media_id = uuid4()
        return UploadCompleted(
            media_id=media_id,
            user_id="alice",
            bucket=self.settings.temp_bucket,
            key=f"uploads/{media_id}",
            etag=self.put(f"uploads/{media_id}", body),
            size=len(body),
            mime_type=mime_type,
            sha256=hashlib.sha256(body).hexdigest(),
            linked_to_type=linked_to_type,
            linked_to_id="7",
            file_name=file_name,
            occurred_at=NOW,
        )

    async def insert(self, upload: UploadCompleted, state: str = "queued") -> None:
        """The row that the gateway makes."""
        await self.pool.execute(
            """
            insert into media_jobs (media_id, user_id, file_name, file_size, mime_type, sha256,
                linked_to_type, linked_to_id, bucket, key, etag, state,
                created_at, queued_at, event_published_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $13)
            """,
            upload.media_id,
            upload.user_id,
            upload.file_name,
            upload.size,
            upload.mime_type,
            upload.sha256,
            upload.linked_to_type,
            upload.linked_to_id,
            upload.bucket,
            upload.key,
            upload.etag,
            state,
            NOW,
        )

    async def row(self, table: str, media_id: UUID) -> dict[str, Any] | None:
        """The one row of a table, if any."""
        found = await self.pool.fetchrow(f"select * from {table} where media_id = $1", media_id)  # noqa: S608
        return None if found is None else dict(found)

    async def state(self, media_id: UUID) -> str:
        """Where the job is."""
        return str(await self.pool.fetchval("select state from media_jobs where media_id = $1", media_id))

    def keys(self, bucket: str) -> list[str]:
        """Every key of a bucket."""
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def everywhere(self) -> dict[str, list[str]]:
        """Every key of every bucket that has one."""
        found = {bucket: self.keys(bucket) for bucket in sorted(self.settings.all_buckets())}
        return {bucket: keys for bucket, keys in found.items() if keys}

    def read(self, bucket: str, key: str) -> bytes:
        """An object's bytes."""
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()


def decision(
    upload: UploadCompleted,
    outcome: Outcome,
    cause: str = "1",
    inspection: Inspection | None = None,
) -> Event[Decision]:
    """The event of a decision on an upload."""
    kind = DECISION_TYPES[outcome]
    data = Decision(
        media_id=upload.media_id,
        upload=upload,
        outcome=outcome,
        reasons=OUTCOME_REASONS[outcome],
        scores={"nsfw": 0.5},
        scanner="local",
        model_version="m1",
        policy_version="p1",
        inspection=inspection or Inspection(mime_type="image/png", width=640, height=480),
    )
    cause_id = event_id(EventType.UPLOAD_COMPLETED, upload.media_id, cause)
    return Event(
        id=event_id(kind, upload.media_id, cause_id),
        type=kind,
        source="/mediagate/streams",
        time=NOW,
        subject=str(upload.media_id),
        data=data,
        causation_id=cause_id,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def override(upload: UploadCompleted, verdict: OverrideVerdict, minute: int = 0) -> Event[Override]:
    """The event of a human's override that was asked for at that minute."""
    data = Override(
        media_id=upload.media_id,
        verdict=verdict,
        reason=f"{verdict} of minute {minute}",
        operator="bob",
        requested_at=NOW + timedelta(minutes=minute),
    )
    kind = EventType.OVERRIDE
    identity = event_id(kind, upload.media_id, f"{verdict} {minute}")
    return Event(identity, kind, "/mediagate/operators", NOW, str(upload.media_id), data)
