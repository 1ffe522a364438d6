"""From an event of an upload-completed topic to the copy that a replay publishes; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiokafka.structs import ConsumerRecord

from mediagate.contract import check_contract
from mediagate.errors import DeadLetterError
from mediagate.events import Event, EventType, OutgoingRecord, UploadCompleted, decode, encode, event_id
from mediagate.media import MediaType
from mediagate.replay import LeftOut

SOURCE = "/mediagate/replay"
"""Says of an event that it is a copy."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Which topic is whose, and the buckets that its events may name."""

    media_types: Mapping[str, MediaType]
    buckets: frozenset[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upload's object stands now."""

    bucket: str
    key: str
    etag: str


def original(record: ConsumerRecord, sources: Sources) -> Event[UploadCompleted]:
    """The event in a record; raises DeadLetterError, with its reason, where it is not replayed."""
    kind = EventType.UPLOAD_COMPLETED
    event = decode(record.key, record.value, record.headers, UploadCompleted, kind)
    if event.source == SOURCE:
        raise DeadLetterError(LeftOut.COPY, f"ce_source: {SOURCE}")
    if event.data.rescan:
        raise DeadLetterError(LeftOut.RESCAN, "rescan: true")
    check_contract(event.data, sources.media_types[record.topic], sources.buckets)
    return event


def copy_of(
    event: Event[UploadCompleted], replay_id: UUID, now: datetime, place: Place | None = None
) -> Event[UploadCompleted]:
    """The event with an id of its own, always the same of a replay; with a place, an order to scan again."""
    data = event.data
    if place is not None:
        moved = {"bucket": place.bucket, "key": place.key, "etag": place.etag, "rescan": True}
        data = data.model_copy(update=moved)
    return Event(  # far cheaper than `replace`
        id=event_id(event.type, data.media_id, f"{replay_id}:{event.id}"),
        type=event.type,
        source=SOURCE,
        time=now,
        subject=event.subject,
        data=data,
        causation_id=event.id,
        traceparent=event.traceparent,
    )


def as_record(copy: Event[UploadCompleted], beside: ConsumerRecord) -> OutgoingRecord:
    """The copy in the original's partition, whoever chose it: an upload's events stay in order."""
    made = encode(copy, beside.topic)
    return OutgoingRecord(made.topic, made.key, made.value, made.headers, beside.partition)
