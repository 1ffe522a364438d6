"""When a decision gives way to a rescan's or a human's, and what stands in its place; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mediagate.errors import DeadLetterError
from mediagate.events import DECISION_TYPES, Decision, Event, Outcome, Override, UploadCompleted
from mediagate.jobs import State, stored_decision
from mediagate.storage import CopySource
from sinks.jobs import EndedBy, HumanOverride, Job

STATES: Mapping[Outcome, State] = {
    Outcome.APPROVED: State.APPROVED,
    Outcome.REJECTED: State.REJECTED,
    Outcome.NEEDS_REVIEW: State.NEEDS_REVIEW,
    Outcome.UNSCANNABLE: State.UNSCANNABLE,
}


@dataclass(frozen=True, slots=True)
class Replacement:
    """What sends a job on to another end; without a decision the stored one stays readable."""

    state: State
    ended_by: EndedBy
    decision: Mapping[str, Any] | None = None
    override: HumanOverride | None = None


def is_settled(job: Job, event: Event[Decision]) -> bool:
    """Whether a rescan has nothing to say: a human has, nothing was ever decided, or it was heard already."""
    return (
        job.override is not None or job.decision is None or event.id in {job.decision_event_id, *job.replaced}
    )


def rescanned(state: State, outcome: Outcome) -> State | None:
    """The state that a rescan brings a job into that is at an end; None where it stays there.

    What is public goes to quarantine unless it is approved again, and leaves it only by an approval.
    """
    target = STATES[outcome]
    match state:
        case State.PUBLISHED:
            return None if target is State.APPROVED else State.REJECTED
        case State.QUARANTINED:
            return target if target is State.APPROVED else None
        case State.NEEDS_REVIEW | State.UNSCANNABLE:
            return None if target is state else target
    return None


def by_rescan(job: Job, event: Event[Decision], state: State) -> Replacement:
    """The rescan's decision; what was understood of the same bytes before stays known."""
    seen = event.data.inspection or (job.decision and job.decision.inspection)
    stored = stored_decision(event._replace(data=event.data.model_copy(update={"inspection": seen})))
    replaced = [*job.replaced, *([job.decision_event_id] if job.decision_event_id else [])]
    return Replacement(state, EndedBy(id=event.id), stored | {"replaced": replaced})


def check_place(upload: UploadCompleted, stands: CopySource) -> None:
    """Raises DeadLetterError where a rescan looked at another object than the job's."""
    if (upload.bucket, upload.key, upload.etag) != (stands.bucket, stands.key, stands.etag):
        raise DeadLetterError("upload_differs", "upload: is not where the job's object stands by now")


def is_outdated(job: Job, event: Event[Override]) -> bool:
    """Whether this override, or one that was asked for later, was carried out already."""
    last = job.override
    return last is not None and (event.data.requested_at, event.id) <= (last.requested_at, last.id)


def rejection(upload: UploadCompleted, event: Event[Override]) -> Event[Decision]:
    """A human's decision on an upload that nobody has decided on."""
    decision = Decision(
        media_id=upload.media_id,
        upload=upload,
        outcome=Outcome.REJECTED,
        reasons=(f"override: {event.data.reason}",),
    )
    return Event(
        id=event.id,
        type=DECISION_TYPES[decision.outcome],
        source=event.source,
        time=event.time,
        subject=event.subject,
        data=decision,
        traceparent=event.traceparent,
    )
