"""The news of a finished job: the same event at every repetition; pure."""

from mediagate.events import (
    Decision,
    Event,
    EventType,
    Inspection,
    Model,
    OutgoingRecord,
    Published,
    Quarantined,
    encode,
)
from mediagate.jobs import news_id
from mediagate.topics import Topics
from sinks.destinations import Destination
from sinks.jobs import Job

SOURCE = "/mediagate/sinks"


def published(job: Job, inspection: Inspection, destination: Destination, topics: Topics) -> OutgoingRecord:
    """An approved upload stands in its permanent bucket."""
    data = Published(
        media_id=job.media_id,
        user_id=job.user_id,
        linked_to_type=job.linked_to_type,
        linked_to_id=job.linked_to_id,
        bucket=destination.bucket,
        key=destination.key,
        file_name=job.file_name,
        mime_type=inspection.mime_type,
        size=job.file_size,
        sha256=job.sha256,
        width=inspection.width,
        height=inspection.height,
        duration=inspection.duration,
    )
    return _record(job, EventType.PUBLISHED, data, topics)


def quarantined(job: Job, decision: Decision, destination: Destination, topics: Topics) -> OutgoingRecord:
    """A rejected upload stands in the quarantine bucket."""
    data = Quarantined(
        media_id=job.media_id,
        user_id=job.user_id,
        linked_to_type=job.linked_to_type,
        linked_to_id=job.linked_to_id,
        bucket=destination.bucket,
        key=destination.key,
        reasons=job.reasons,
        scores=decision.scores,
        scanner=decision.scanner,
        model_version=decision.model_version,
        policy_version=decision.policy_version,
    )
    return _record(job, EventType.QUARANTINED, data, topics)


def _record(job: Job, kind: EventType, data: Model, topics: Topics) -> OutgoingRecord:
    ended_by = job.ended_by.id if job.ended_by else None
    event = Event(
        id=news_id(kind, job.media_id, ended_by),
        type=kind,
        source=SOURCE,
        time=job.finished_at,
        subject=str(job.media_id),
        data=data,
        causation_id=ended_by or job.decision_event_id,
        traceparent=job.traceparent,
    )
    return encode(event, topics.of_event(kind).name)
