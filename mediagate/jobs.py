"""A media job: its states, its row, the event that its completed upload becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from mediagate.events import DECISION_TYPES, Decision, Event, EventType, UploadCompleted, event_id
from mediagate.storage import ObjectHead


class State(StrEnum):
    """Where an upload is between its request and its end: all explicit, none silent."""

    AWAITING_UPLOAD = "awaiting_upload"
    QUEUED = "queued"
    APPROVED = "approved"
    REJECTED = "rejected"
    PUBLISHED = "published"
    QUARANTINED = "quarantined"
    NEEDS_REVIEW = "needs_review"
    UNSCANNABLE = "unscannable"
    EXPIRED = "expired"


UNDECIDED = frozenset({State.AWAITING_UPLOAD, State.QUEUED})
UNFINISHED = UNDECIDED | {State.APPROVED, State.REJECTED}
TERMINAL = frozenset(State) - UNFINISHED
NOTED = frozenset({"event_id", "causation_id", "traceparent", "replaced"})
"""What a row has beside its decision: what is needed of the event, and other decisions that had their say."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Which bytes were accepted as a job's upload."""

    etag: str
    size: int
    checksum_verified: bool


class UploadDiffersError(ValueError):
    """The object is not the upload that was declared; `field` says in what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def accept(head: ObjectHead, declared_size: int, declared_sha256: str) -> Acceptance:
    """The acceptance of an object as the declared upload; raises UploadDiffersError where it is another."""
    if head.size != declared_size:
        raise UploadDiffersError(
            "file_size", f"the object has {head.size} bytes, {declared_size} were declared"
        )
    if head.sha256 is not None and head.sha256 != declared_sha256:
        raise UploadDiffersError("sha256_hash", "the object's SHA-256 is not the declared one")
    return Acceptance(head.etag, head.size, checksum_verified=head.sha256 is not None)


def upload_completed(
    row: Mapping[str, Any], attempt: int, source: str, now: datetime, traceparent: str | None = None
) -> Event[UploadCompleted]:
    """The event of a queued row of media_jobs; each attempt has an id of its own, always the same."""
    data, kind = upload_of(row), EventType.UPLOAD_COMPLETED
    return Event(
        id=event_id(kind, data.media_id, str(attempt)),
        type=kind,
        source=source,
        time=now,
        subject=str(data.media_id),
        data=data,
        traceparent=traceparent,
    )


def upload_of(row: Mapping[str, Any]) -> UploadCompleted:
    """The upload of a row of media_jobs that is complete."""
    return UploadCompleted(
        media_id=row["media_id"],
        user_id=row["user_id"],
        bucket=row["bucket"],
        key=row["key"],
        etag=row["etag"],
        size=row["file_size"],
        mime_type=row["mime_type"],
        sha256=row["sha256"],
        md5=row["md5"],
        linked_to_type=row["linked_to_type"],
        linked_to_id=row["linked_to_id"],
        file_name=row["file_name"],
        occurred_at=row["queued_at"],
    )


def stored_decision(event: Event[Decision]) -> dict[str, Any]:
    """The decision of a row of media_jobs: the event's data, and what is needed of its headers."""
    return event.data.model_dump(mode="json") | {
        "event_id": event.id,
        "causation_id": event.causation_id,
        "traceparent": event.traceparent,
    }


def decision_of(stored: Mapping[str, Any]) -> Decision:
    """The decision of a row of media_jobs, without what is noted beside it."""
    return Decision.model_validate({name: value for name, value in stored.items() if name not in NOTED})


def decision_event(stored: Mapping[str, Any], source: str, now: datetime) -> Event[Decision]:
    """The event of a stored decision, to be sent again under its own id."""
    data = decision_of(stored)
    return Event(
        id=stored["event_id"],
        type=DECISION_TYPES[data.outcome],
        source=source,
        time=now,
        subject=str(data.media_id),
        data=data,
        causation_id=stored.get("causation_id"),
        traceparent=stored.get("traceparent"),
    )


def news_id(kind: EventType, media_id: UUID, ended_by: str | None) -> str:
    """The id of the news of an end: of the first one, or of that which this event brought about."""
    return event_id(kind, media_id, ended_by or "final")
