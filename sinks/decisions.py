"""A record of a decision topic: the decision in it, or why it can never be carried out."""

from collections.abc import Sequence

from mediagate.binary_mode import Header
from mediagate.errors import DeadLetterError
from mediagate.events import DECISION_TYPES, Decision, Event, EventType, Outcome, decode


def decode_decision(
    key: bytes | None, value: bytes | None, headers: Sequence[Header], expected: EventType
) -> Event[Decision]:
    """The decision in a record; raises DeadLetterError where it fits no contract."""
    event = decode(key, value, headers, Decision, expected)
    decision = event.data
    if DECISION_TYPES[decision.outcome] is not event.type:
        raise DeadLetterError("invalid_data", f"outcome: {decision.outcome} in an event of type {event.type}")
    if decision.upload.media_id != decision.media_id:
        raise DeadLetterError("invalid_data", "upload.media_id: is not the decision's media_id")
    if decision.outcome is Outcome.APPROVED and decision.inspection is None:
        raise DeadLetterError("invalid_data", "inspection: must be there in an approval")
    return event
