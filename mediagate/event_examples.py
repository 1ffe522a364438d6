"""One record of every topic, as it looks on Kafka: made by the code that makes the real ones."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from mediagate.dead_letters import dead_letter
from mediagate.errors import DeadLetterError, StopError
from mediagate.events import (
    Decision,
    Event,
    EventModel,
    EventType,
    Inspection,
    Outcome,
    OutgoingRecord,
    Override,
    OverrideVerdict,
    Published,
    Quarantined,
    UploadCompleted,
    decode,
    encode,
    event_id,
)

MEDIA_ID = UUID("7af0f6aa-b37a-42a7-9f77-5b88d72c77e9")
COMPLETED_AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DECIDED_AT = COMPLETED_AT.replace(second=15)
FINISHED_AT = COMPLETED_AT.replace(second=16)
OVERRIDDEN_AT = COMPLETED_AT.replace(hour=4)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CAUSE = event_id(EventType.UPLOAD_COMPLETED, MEDIA_ID, "1")
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SCANNED = {"scanner": "local", "model_version": "864bb37bf886-r1-a10-v10", "policy_version": "7394449fbc8e"}

UPLOAD = UploadCompleted(
    media_id=MEDIA_ID,
    user_id="u1",
    bucket="media-temp",
    key=f"uploads/{MEDIA_ID}",
    etag='"1b2cf535f27731c974343645a3985328"',
    size=48213,
    mime_type="image/jpeg",
    sha256=SHA256,
    md5="1b2cf535f27731c974343645a3985328",
    linked_to_type="post",
    linked_to_id="p1",
    file_name="cat.jpg",
    occurred_at=COMPLETED_AT,
)
INSPECTION = Inspection(mime_type="image/jpeg", width=1024, height=768)
PUBLISHED = Published(
    media_id=MEDIA_ID,
    user_id="u1",
    linked_to_type="post",
    linked_to_id="p1",
    bucket="posts-media",
    key="cat.jpg",
    file_name="cat.jpg",
    mime_type="image/jpeg",
    size=48213,
    sha256=SHA256,
    width=1024,
    height=768,
)
OVERRIDE = Override(
    media_id=MEDIA_ID,
    verdict=OverrideVerdict.REJECT,
    reason="shows a person who asked for its removal",
    operator="alice",
    requested_at=OVERRIDDEN_AT,
)
QUARANTINED = Quarantined(
    media_id=MEDIA_ID,
    user_id="u1",
    linked_to_type="post",
    linked_to_id="p1",
    bucket="media-quarantine",
    key=str(MEDIA_ID),
    reasons=("nsfw 0.912 >= reject 0.85",),
    scores={"nsfw": 0.912},
    **SCANNED,
)


def _decision(outcome: Outcome, score: float, *reasons: str) -> Decision:
    return Decision(
        media_id=MEDIA_ID,
        upload=UPLOAD,
        outcome=outcome,
        reasons=reasons,
        scores={"nsfw": score},
        inspection=INSPECTION,
        **SCANNED,
    )


def _record(
    kind: EventType,
    source: str,
    time: datetime,
    data: EventModel,
    cause: str | None = None,
    traceparent: str | None = TRACEPARENT,
) -> OutgoingRecord:
    made_for = cause or "1"
    event = Event(
        event_id(kind, MEDIA_ID, made_for), kind, source, time, str(MEDIA_ID), data, cause, traceparent
    )
    return encode(event, "")


def _decided(kind: EventType, decision: Decision) -> OutgoingRecord:
    return _record(kind, "/mediagate/streams", DECIDED_AT, decision, CAUSE)


def _told(kind: EventType, data: EventModel, decision: EventType) -> OutgoingRecord:
    cause = event_id(decision, MEDIA_ID, CAUSE)
    return _record(kind, "/mediagate/sinks", FINISHED_AT, data, cause)


EXAMPLES: Mapping[EventType, OutgoingRecord] = {
    EventType.UPLOAD_COMPLETED: _record(
        EventType.UPLOAD_COMPLETED, "/mediagate/gateway", COMPLETED_AT, UPLOAD
    ),
    EventType.APPROVED: _decided(EventType.APPROVED, _decision(Outcome.APPROVED, 0.031)),
    EventType.REJECTED: _decided(
        EventType.REJECTED, _decision(Outcome.REJECTED, 0.912, "nsfw 0.912 >= reject 0.85")
    ),
    EventType.HELD: _decided(EventType.HELD, _decision(Outcome.NEEDS_REVIEW, 0.7, "nsfw 0.700 >= hold 0.6")),
    EventType.OVERRIDE: _record(
        EventType.OVERRIDE, "/mediagate/operators", OVERRIDDEN_AT, OVERRIDE, traceparent=None
    ),
    EventType.PUBLISHED: _told(EventType.PUBLISHED, PUBLISHED, EventType.APPROVED),
    EventType.QUARANTINED: _told(EventType.QUARANTINED, QUARANTINED, EventType.REJECTED),
}


def dead_letter_example(upload_topic: str) -> OutgoingRecord:
    """A completed upload of no bytes, as the dead-letter topic has it."""
    faulty = _record(
        EventType.UPLOAD_COMPLETED, "/upstream", COMPLETED_AT, UPLOAD.model_copy(update={"size": 0})
    )
    try:
        decode(faulty.key, faulty.value, faulty.headers, UploadCompleted, EventType.UPLOAD_COMPLETED)
    except DeadLetterError as error:
        return dead_letter(
            "",
            error,
            topic=upload_topic,
            partition=2,
            offset=1041,
            key=faulty.key,
            value=faulty.value,
            headers=faulty.headers,
        )
    raise StopError("the example of a faulty record is not faulty")
