"""From what was found out about an upload to the decision that is emitted; pure."""

from datetime import datetime

from mediagate.errors import StopError
from mediagate.events import (
    BLOCK_LIST,
    DECISION_TYPES,
    Decision,
    Event,
    Outcome,
    OutgoingRecord,
    ShadowDecision,
    UploadCompleted,
    encode,
    event_id,
)
from mediagate.policy import Policy, Verdict, decide, decide_unscannable
from mediagate.scanners import Unscannable
from mediagate.topics import Topics
from streams.cases import Blocked, Case, Finding, Scored

SOURCE = "/mediagate/streams"


def decision_of(case: Case, policy: Policy, shadow: Policy | None) -> Decision:
    """The policy's verdict; an item that nobody scanned is never approved."""
    upload, finding = case.event.data, case.finding
    verdict = _verdict(policy, upload.linked_to_type, finding)
    scored = finding if isinstance(finding, Scored) else None
    return Decision(
        media_id=upload.media_id,
        upload=upload,
        outcome=verdict.outcome,
        reasons=verdict.reasons,
        # In one order, so that a repetition is identical.
        scores=dict(sorted(scored.scanned.scores.items())) if scored else {},
        scanner=scored.scanner if scored else BLOCK_LIST if isinstance(finding, Blocked) else None,
        model_version=scored.model_version if scored else None,
        policy_version=policy.version,
        inspection=case.inspection,
        shadow=None if shadow is None else _shadow(shadow, upload.linked_to_type, finding),
    )


def braked(decision: Decision) -> Decision:
    """The decision held for a human, while a safety brake is on."""
    reason = f"brake: {decision.outcome} is held until an operator resumes it"
    return decision.model_copy(
        update={
            "outcome": Outcome.NEEDS_REVIEW,
            "braked": decision.outcome,
            "reasons": (reason, *decision.reasons),
        }
    )


def decision_record(
    cause: Event[UploadCompleted], decision: Decision, topics: Topics, now: datetime
) -> OutgoingRecord:
    """The decision as a record on its topic; the same cause always gives the same event id."""
    kind = DECISION_TYPES[decision.outcome]
    event = Event(
        id=event_id(kind, cause.subject, cause.id),
        type=kind,
        source=SOURCE,
        time=now,
        subject=cause.subject,
        data=decision,
        causation_id=cause.id,
        traceparent=cause.traceparent,
    )
    return encode(event, topics.of_event(kind).name)


def _verdict(policy: Policy, linked_to_type: str, finding: Finding | None) -> Verdict:
    match finding:
        case Scored():
            return decide(policy, linked_to_type, finding.scanned.scores, finding.scanner)
        case Blocked():
            return Verdict(Outcome.REJECTED, (finding.reason,))
        case Unscannable():
            return decide_unscannable(policy, linked_to_type, finding.reason)
        case None:
            raise StopError("a case without a finding cannot be decided")


def _shadow(policy: Policy, linked_to_type: str, finding: Finding | None) -> ShadowDecision:
    verdict = _verdict(policy, linked_to_type, finding)
    return ShadowDecision(outcome=verdict.outcome, reasons=verdict.reasons, policy_version=policy.version)
