"""What is a decision and what is a dead letter."""

from typing import Any
from uuid import UUID

import pytest

from mediagate.errors import DeadLetterError
from mediagate.events import Decision, Event, EventType, encode
from sinks.decisions import decode_decision
from tests.uploads import NOW, upload

UPLOAD = upload().data
MEDIA_ID = UPLOAD.media_id


def data(**changes: Any) -> Decision:
    inspection = {"mime_type": "image/png", "width": 1, "height": 1}
    decided = {"media_id": MEDIA_ID, "outcome": "approved", "reasons": [], "inspection": inspection}
    return Decision.model_validate(decided | {"upload": UPLOAD} | changes)


def decoded(decision: Decision, kind: EventType = EventType.APPROVED) -> Event[Decision]:
    record = encode(Event("1", kind, "/test", NOW, str(decision.media_id), decision), "topic")
    return decode_decision(record.key, record.value, record.headers, EventType.APPROVED)


def test_a_decision_is_read_back() -> None:
    assert decoded(data()).data == data()


@pytest.mark.parametrize(
    ("decision", "kind", "reason"),
    [
        (data(outcome="rejected"), EventType.APPROVED, "invalid_data: outcome"),
        (data(), EventType.REJECTED, "unexpected_event_type"),
        (data(inspection=None), EventType.APPROVED, "invalid_data: inspection"),
        (data(media_id=UUID(int=1)), EventType.APPROVED, "invalid_data: upload.media_id"),
    ],
)
def test_what_contradicts_itself_is_a_dead_letter(decision: Decision, kind: EventType, reason: str) -> None:
    with pytest.raises(DeadLetterError, match=reason):
        decoded(decision, kind)


def test_a_header_without_a_value_is_as_good_as_none() -> None:
    record = encode(Event("1", EventType.APPROVED, "/test", NOW, str(MEDIA_ID), data()), "topic")
    headers: list[Any] = [*record.headers, ("traceparent", None)]

    assert decode_decision(record.key, record.value, headers, EventType.APPROVED).traceparent is None
