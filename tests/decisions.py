"""Recorded decisions for tests."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mediagate.events import DECISION_TYPES, Decision, Event

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
SCANNED = {
    "outcome": "approved",
    "reasons": (),
    "scores": {"nsfw": 0.1},
    "scanner": "local",
    "model_version": "m1",
    "policy_version": "p1",
}


def recorded(linked_to_type: str = "post", **fields: Any) -> Event[Decision]:
    """A decision on an upload of its own; unless said otherwise, a scanned and approved one."""
    media_id = uuid4()
    upload = {
        "media_id": media_id,
        "user_id": "alice",
        "bucket": "media-temp",
        "key": f"uploads/{media_id}",
        "etag": '"1"',
        "size": 1,
        "mime_type": "image/jpeg",
        "sha256": "0" * 64,
        "linked_to_type": linked_to_type,
        "linked_to_id": "7",
        "file_name": "photo.jpg",
        "occurred_at": NOW,
    }
    decision = Decision.model_validate({"media_id": media_id, "upload": upload} | SCANNED | fields)
    return Event(
        id=str(uuid4()),
        type=DECISION_TYPES[decision.outcome],
        source="/mediagate/streams",
        time=NOW,
        subject=str(media_id),
        data=decision,
    )
