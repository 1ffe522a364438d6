"""Events survive their way through Kafka, and only they."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import DeadLetterError
from mediagate.events import EVENT_NAMESPACE, Event, EventType, UploadCompleted, decode, encode, event_id

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
KIND = EventType.UPLOAD_COMPLETED


def fields(**changed: Any) -> dict[str, Any]:
    return {
        "media_id": str(uuid4()),
        "user_id": "user",
        "bucket": "media-temp",
        "key": "uploads/1",
        "etag": '"etag"',
        "size": 10,
        "mime_type": "image/png",
        "sha256": "A" * 64,
        "linked_to_type": "post",
        "linked_to_id": "1",
        "file_name": "a.png",
        "occurred_at": NOW.isoformat(),
    } | changed


def event(**changed: Any) -> Event[UploadCompleted]:
    data = UploadCompleted.model_validate(fields(**changed))
    return Event("id-1", KIND, "/test", NOW, str(data.media_id), data, "cause-1", "00-trace-01")


def read(value: bytes, headers: list[tuple[str, bytes]] | None = None) -> Event[UploadCompleted]:
    given_headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"/x"),
        ("ce_type", KIND.encode()),
    ]
    return decode(None, value, given_headers if headers is None else headers, UploadCompleted, KIND)


def reason_of(value: bytes, headers: list[tuple[str, bytes]] | None = None) -> str:
    with pytest.raises(DeadLetterError) as caught:
        read(value, headers)
    return caught.value.reason


def test_an_event_comes_back_as_it_was() -> None:
    sent = event()
    record = encode(sent, "topic")
    assert record.key == sent.subject.encode()
    assert decode(record.key, record.value, record.headers, UploadCompleted, KIND) == sent


def test_headers_are_those_of_cloudevents_binary_mode() -> None:
    headers = dict(encode(event(), "topic").headers)
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_type": b"mediagate.upload-completed.v1",
        "ce_source": b"/test",
        "ce_time": b"2030-01-01T12:00:00Z",
        "ce_subject": headers["ce_subject"],
        "ce_causationid": b"cause-1",
        "content-type": b"application/json",
        "traceparent": b"00-trace-01",
    }


def test_structured_mode_is_understood_too() -> None:
    envelope = {"specversion": "1.0", "id": "7", "source": "/upstream", "type": KIND.value, "data": fields()}
    assert read(json.dumps(envelope).encode(), []).id == "7"


def test_unknown_fields_of_a_newer_publisher_pass_through() -> None:
    data = read(json.dumps(fields(added_later=1)).encode()).data
    assert data.model_dump()["added_later"] == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"media_id": "nonsense"}, "media_id"),
        ({"sha256": "f" * 63}, "sha256"),
        ({"size": 0}, "size"),
        ({"mime_type": "text/html"}, "mime_type"),
        ({"linked_to_type": "../etc"}, "linked_to_type"),
        ({"etag": "unquoted"}, "etag"),
        ({"occurred_at": "2030-01-01T00:00:00"}, "occurred_at"),
        ({"file_name": "..\\/"}, "file_name"),
        ({"user_id": "a\x00b"}, "user_id"),
    ],
)
def test_a_faulty_field_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(DeadLetterError, match=f"^invalid_data: {named}:"):
        read(json.dumps(fields(**change)).encode())


def test_every_faulty_field_is_named_at_once() -> None:
    with pytest.raises(DeadLetterError, match=r"size:.*sha256:"):
        read(json.dumps(fields(size=0, sha256="")).encode())


def test_a_file_name_loses_its_path() -> None:
    assert (
        read(json.dumps(fields(file_name="../../etc/pass\x00wd.png")).encode()).data.file_name == "passwd.png"
    )


def test_what_is_no_cloud_event_has_a_reason() -> None:
    assert reason_of(b"{}", []) == "not_a_cloud_event"
    assert reason_of(b"[" * 100_000) == "invalid_data"
    assert reason_of(b"[" * 100_000, []) == "not_a_cloud_event"
    other = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"/x"),
        ("ce_type", b"somebody.elses"),
    ]
    assert reason_of(b"{}", other) == "unexpected_event_type"


def test_an_event_without_an_id_is_none() -> None:
    record = encode(event(), "topic")
    without = [header for header in record.headers if header[0] != "ce_id"]
    assert reason_of(record.value or b"", without) == "not_a_cloud_event"
    envelope = {"specversion": "1.0", "source": "/upstream", "type": KIND.value, "data": fields()}
    assert reason_of(json.dumps(envelope).encode(), []) == "not_a_cloud_event"


def test_headers_of_somebody_elses_may_be_any_bytes() -> None:
    record = encode(event(), "topic")
    headers = [*record.headers, ("x-offset", b"\x00\xff"), ("__TypeId__", b"\xc3")]
    assert read(record.value or b"", headers).id == "id-1"


@pytest.mark.parametrize("value", [b"[]", b'""', b"0", b"null", b"true", b'["time"]', b'"time"'])
def test_json_that_is_no_object_is_no_event(value: bytes) -> None:
    assert reason_of(value, []) == "not_a_cloud_event"


def test_a_time_beyond_the_calendar_is_none() -> None:
    record = encode(event(), "topic")
    headers = [*record.headers, ("ce_time", b"9999-12-31T24:00:00Z")]
    assert reason_of(record.value or b"", headers) == "not_a_cloud_event"


def test_an_attribute_of_another_type_than_its_own_is_none() -> None:
    envelope = {"id": "1", "specversion": "0.3", "datacontentencoding": 1, "data": "x"}
    assert reason_of(json.dumps(envelope).encode(), []) == "not_a_cloud_event"


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=20)), max_size=5))
def test_any_bytes_are_an_event_or_a_dead_letter(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(DeadLetterError):
        decode(None, value, headers, UploadCompleted, KIND)


@given(st.sampled_from(EventType), st.uuids(), st.text())
def test_an_event_id_is_a_uuid_of_its_name(kind: EventType, media_id: UUID, cause: str) -> None:
    assert event_id(kind, media_id, cause) == str(uuid5(EVENT_NAMESPACE, f"{kind}:{media_id}:{cause}"))


def test_an_event_id_depends_on_type_media_and_cause_alone() -> None:
    media_id = UUID(int=1)
    assert event_id(KIND, media_id, "1") == event_id(KIND, media_id, "1")
    ids = {
        event_id(kind, media, cause)
        for kind in EventType
        for media in (media_id, UUID(int=2))
        for cause in "12"
    }
    assert len(ids) == len(EventType) * 4
