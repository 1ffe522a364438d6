"""What a replay makes of a record, and what it refuses."""

import json
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest
from aiokafka.structs import ConsumerRecord

from mediagate.binary_mode import Header
from mediagate.errors import DeadLetterError
from mediagate.events import Event, EventType, OutgoingRecord, UploadCompleted, decode, encode
from mediagate.media import MediaType
from mediagate.replay.copies import Place, Sources, as_record, copy_of, original
from tests.uploads import NOW, upload

RUN, OTHER_RUN = UUID(int=7), UUID(int=8)
LATER = NOW + timedelta(days=1)
SOURCES = Sources({"images": MediaType.IMAGE, "videos": MediaType.VIDEO}, frozenset({"media-temp"}))
UNKNOWN = "camera"


def record_of(
    key: bytes | None, value: bytes | None, headers: list[Header], topic: str = "images"
) -> ConsumerRecord:
    return cast(ConsumerRecord, ConsumerRecord(topic, 2, 5, 0, 0, key, value, 0, 0, 0, tuple(headers)))


def written(event: Event[UploadCompleted], topic: str = "images") -> ConsumerRecord:
    record = encode(event, topic)
    return record_of(record.key, record.value, list(record.headers), topic)


@pytest.fixture
def good() -> ConsumerRecord:
    """As an upstream service may write it: with a field that nobody knows."""
    record = written(upload())
    value = json.dumps(json.loads(record.value or b"") | {UNKNOWN: {"iso": 1.5}}).encode()
    return record_of(record.key, value, list(record.headers))


@pytest.fixture
def structured(good: ConsumerRecord) -> ConsumerRecord:
    """The same with its attributes in the value."""
    said = dict(good.headers)
    document = {
        "specversion": "1.0",
        "id": said["ce_id"].decode(),
        "type": said["ce_type"].decode(),
        "source": said["ce_source"].decode(),
        "datacontenttype": "application/json",
        "data": json.loads(good.value),
    }
    headers = [("content-type", b"application/cloudevents+json")]
    return record_of(good.key, json.dumps(document).encode(), headers)


def copied(record: ConsumerRecord, run: UUID = RUN, place: Place | None = None) -> OutgoingRecord:
    return as_record(copy_of(original(record, SOURCES), run, LATER, place), record)


def decoded(record: OutgoingRecord) -> Event[UploadCompleted]:
    return decode(record.key, record.value, record.headers, UploadCompleted, EventType.UPLOAD_COMPLETED)


@pytest.mark.parametrize("mode", ["good", "structured"])
def test_a_copy_differs_in_its_id_its_cause_its_sender_and_its_time_alone(
    mode: str, request: pytest.FixtureRequest
) -> None:
    record = request.getfixturevalue(mode)
    before, copy = original(record, SOURCES), copied(record)

    assert (copy.topic, copy.partition, copy.key) == ("images", 2, record.key)
    after = decoded(copy)
    assert after.id != before.id
    assert after == before._replace(
        id=after.id, causation_id=before.id, source="/mediagate/replay", time=LATER
    )
    assert after.data.model_dump()[UNKNOWN] == {"iso": 1.5}


def test_a_copys_id_is_always_the_same_of_one_replay(good: ConsumerRecord) -> None:
    assert copied(good) == copied(good)
    assert decoded(copied(good, OTHER_RUN)).id != decoded(copied(good)).id


def test_a_rescan_says_where_the_object_is_now(good: ConsumerRecord) -> None:
    before = original(good, SOURCES)
    event = decoded(copied(good, place=Place("posts-media", "cat.png", '"new"')))

    moved = {"bucket": "posts-media", "key": "cat.png", "etag": '"new"', "rescan": True}
    assert event.data.model_dump() == before.data.model_dump() | moved
    assert event.causation_id == before.id


def test_a_record_without_a_key_is_read(good: ConsumerRecord) -> None:
    bare = record_of(None, good.value, list(good.headers))
    assert copied(bare).key == good.key


def changed(**said: object) -> Event[UploadCompleted]:
    event = upload()
    return event._replace(data=event.data.model_copy(update=said))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (record_of(b"x", None, []), "no_value"),
        (record_of(b"x", b"{}", []), "not_a_cloud_event"),
        (written(upload(), "videos"), "wrong_topic"),
        (written(changed(bucket="somebody-elses")), "source_bucket_not_allowed"),
        (written(changed(rescan=True)), "rescan"),
        (written(copy_of(upload(), OTHER_RUN, LATER)), "copy"),
        (written(copy_of(upload(), OTHER_RUN, LATER, Place("posts-media", "k", '"e"'))), "copy"),
    ],
)
def test_what_is_not_replayed_says_why(record: ConsumerRecord, reason: str) -> None:
    with pytest.raises(DeadLetterError) as raised:
        original(record, SOURCES)
    assert raised.value.reason == reason
