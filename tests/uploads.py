"""Upload-completed events as the gateway makes them."""

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from mediagate.events import Event, EventType, UploadCompleted, event_id

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def upload(bucket: str = "media-temp", mime_type: str = "image/png") -> Event[UploadCompleted]:
    """A new upload's event."""
    media_id = uuid4()
    data = UploadCompleted(
        media_id=media_id,
        user_id="user",
        bucket=bucket,
        key=f"uploads/{media_id}",
        etag='"etag"',
        size=10,
        mime_type=mime_type,
        sha256="0" * 64,
        linked_to_type="post",
        linked_to_id="1",
        file_name="a.png",
        occurred_at=NOW,
    )
    kind = EventType.UPLOAD_COMPLETED
    return Event(
        event_id(kind, media_id, "1"), kind, "/test", NOW, str(media_id), data, traceparent="00-trace-01"
    )


def stored(client: "S3Client", bucket: str, body: bytes) -> Event[UploadCompleted]:
    """A new upload's event, whose object stands in S3 with a checksum that S3 has verified."""
    event = upload(bucket)
    etag = client.put_object(
        Bucket=bucket, Key=event.data.key, Body=body, ContentType="image/png", ChecksumAlgorithm="SHA256"
    )["ETag"]
    said = {"etag": etag, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    data = event.data.model_copy(update=said)
    return Event(event.id, event.type, event.source, event.time, event.subject, data)
