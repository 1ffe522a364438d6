"""From what inspection and scan said to the decision that is emitted; pure."""

from dataclasses import dataclass
from datetime import datetime

from mediagate.events import (
    DECISION_TYPES,
    Decision,
    Event,
    Inspection,
    OutgoingRecord,
    UploadCompleted,
    encode,
    event_id,
)
from mediagate.policy import Policy, decide, decide_unscannable
from mediagate.scanners import Scanner, ScanResult, Unscannable
from mediagate.topics import Topics

SOURCE = "/mediagate/streams"


@dataclass(frozen=True, slots=True)
class Judged:
    """One upload with all that is known of it; `inspection` is None where parsing failed."""

    event: Event[UploadCompleted]
    inspection: Inspection | None
    result: ScanResult


def decision_of(judged: Judged, policy: Policy, scanner: Scanner) -> Decision:
    """The policy's verdict; an item that nobody scanned is never approved."""
    upload, result = judged.event.data, judged.result
    if isinstance(result, Unscannable) or judged.inspection is None:
        reason = result.reason if isinstance(result, Unscannable) else "not_inspected"
        verdict = decide_unscannable(policy, upload.linked_to_type, reason)
        scores = {}
    else:
        verdict = decide(policy, upload.linked_to_type, result.scores)
        scores = dict(result.scores)
    return Decision(
        media_id=upload.media_id,
        upload=upload,
        outcome=verdict.outcome,
        reasons=verdict.reasons,
        scores=scores,
        scanner=scanner.name if scores else None,
        model_version=scanner.model_version if scores else None,
        policy_version=policy.version,
        inspection=judged.inspection,
    )


def decision_record(
    cause: Event[UploadCompleted], decision: Decision, topics: Topics, now: datetime
) -> OutgoingRecord:
    """The decision as a record on its topic; the same cause always gives the same event id."""
    kind = DECISION_TYPES[decision.outcome]
    event = Event(
        id=event_id(kind, decision.media_id, cause.id),
        type=kind,
        source=SOURCE,
        time=now,
        subject=cause.subject,
        data=decision,
        causation_id=cause.id,
        traceparent=cause.traceparent,
    )
    return encode(event, topics.of_event(kind).name)
