"""Upload-completed events as the gateway makes them."""

from datetime import UTC, datetime
from uuid import uuid4

from mediagate.events import Event, EventType, UploadCompleted, event_id

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
