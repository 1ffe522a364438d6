"""What an operator's order to a job sends, or why there is nothing to send; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from mediagate.errors import ConfigurationError, DeadLetterError
from mediagate.events import (
    Event,
    EventType,
    Identifier,
    OutgoingRecord,
    Override,
    OverrideVerdict,
    ReasonText,
    UploadCompleted,
    encode,
    event_id,
)
from mediagate.job_admin import Job
from mediagate.jobs import State, decision_event, upload_completed, upload_of
from mediagate.overrides import ENDS, TARGETS, overridden
from mediagate.topics import Topics

SOURCE = "/mediagate/operators"
_AT_ITS_END = "it is at its end; `mediagate replay --force-rescan` has it scanned anew"
_NO_RETRY: Mapping[State, str] = {
    State.AWAITING_UPLOAD: "nothing was uploaded so far",
    State.EXPIRED: "nothing was uploaded in time",
    State.NEEDS_REVIEW: "it waits for a human; `mediagate jobs override` decides",
    State.PUBLISHED: _AT_ITS_END,
    State.QUARANTINED: _AT_ITS_END,
}


@dataclass(frozen=True, slots=True)
class Order:
    """An event that is to be sent about a job; `attempt` where it is one more of an upload's."""

    job: Job
    effect: str
    event_id: str
    record: OutgoingRecord
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a human wants, and why."""

    verdict: OverrideVerdict
    reason: str
    operator: str

    def __post_init__(self) -> None:
        """Raises ConfigurationError that names the option whose text no event can have."""
        _check("--reason", ReasonText, self.reason, "say why, in one line of at most 500 characters")
        _check("--operator", Identifier, self.operator, "a name in one line of at most 255 characters")


def _check(option: str, kind: Any, text: str, wanted: str) -> None:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        raise ConfigurationError(f"{option}: {wanted}") from error


def retry(job: Job, topics: Topics, order_id: UUID, now: datetime) -> Order:
    """The event that gets a job going again; raises ConfigurationError where none does."""
    match job.state:
        case State.QUEUED:
            attempt = job.row["attempts"] + 1
            upload = upload_completed(job.row, attempt, SOURCE, now)
            return _upload_order(
                job, upload, topics, f"its event is sent again, as number {attempt}", attempt
            )
        case State.UNSCANNABLE if job.override is None:
            return _upload_order(job, _rescan(job, order_id, now), topics, "it is scanned anew")
        case State.UNSCANNABLE:
            raise ConfigurationError("a human has decided on it, which no scan changes; override it")
        case State.APPROVED | State.REJECTED:
            event = decision_event(job.stored_decision, SOURCE, now)
            record = encode(event, topics.of_event(event.type).name)
            return Order(job, "its decision is sent again", event.id, record)
    raise ConfigurationError(_NO_RETRY[job.state])


def override(job: Job, topics: Topics, asked: Asked, order_id: UUID, now: datetime) -> Order:
    """The event of a human's verdict; raises ConfigurationError where it cannot be carried out."""
    try:
        target = overridden(job.state, asked.verdict, inspected=job.inspected)
    except DeadLetterError as error:
        raise ConfigurationError(error.detail) from error
    data = Override(
        media_id=job.media_id,
        verdict=asked.verdict,
        reason=asked.reason,
        operator=asked.operator,
        requested_at=now,
    )
    kind, end = EventType.OVERRIDE, ENDS[TARGETS[asked.verdict]]
    event = Event(event_id(kind, job.media_id, str(order_id)), kind, SOURCE, now, str(job.media_id), data)
    stays = target is None and job.state is end
    effect = f"stays {end}, whatever a rescan says" if stays else f"{end}, from {job.place}"
    return Order(job, effect, event.id, encode(event, topics.overrides.name))


def _upload_order(
    job: Job, event: Event[UploadCompleted], topics: Topics, effect: str, attempt: int | None = None
) -> Order:
    topic = topics.upload_completed(event.data.media_type).name
    return Order(job, effect, event.id, encode(event, topic), attempt)


def _rescan(job: Job, order_id: UUID, now: datetime) -> Event[UploadCompleted]:
    stands = {"bucket": job.place.bucket, "key": job.place.key, "etag": job.place.etag, "rescan": True}
    kind, stored = EventType.UPLOAD_COMPLETED, job.stored_decision
    return Event(
        id=event_id(kind, job.media_id, str(order_id)),
        type=kind,
        source=SOURCE,
        time=now,
        subject=str(job.media_id),
        data=upload_of(job.row).model_copy(update=stands),
        causation_id=stored.get("causation_id"),
        traceparent=stored.get("traceparent"),
    )
