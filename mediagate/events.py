"""The events on Mediagate's topics: their models, their CloudEvents form, their ids."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha1
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.common import get_event_factory_for_version
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from mediagate.binary_mode import Attributes, Header, is_attribute, read_attributes, write_attributes
from mediagate.errors import DeadLetterError
from mediagate.media import MediaType, media_type_of, safe_file_name
from mediagate.serializing import json_of

SCANNER = "Whose scores: `vision`, `modal`, `local`; `block_list`; null where nobody scanned"
EVENT_NAMESPACE = UUID("6f1c1f43-5d0e-4c0b-9d0a-2f6a0d7b8c11")
NAMESPACE_BYTES = EVENT_NAMESPACE.bytes

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$", to_lower=True)]
LinkedToType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
MimeType = Annotated[str, StringConstraints(pattern=r"^(image|video)/[a-z0-9][a-z0-9.+-]{0,99}$")]
FileName = Annotated[str, AfterValidator(safe_file_name)]
ReasonText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
ETag = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r'^"[^"\x00-\x1f]+"$')]


class EventModel(BaseModel):
    """Base of every event's data: frozen; unknown fields of newer publishers pass through."""

    model_config = ConfigDict(frozen=True, extra="allow")

    media_id: UUID = Field(description="The upload's id")


class UploadCompleted(EventModel):
    """An upload is complete and waits for its scan: all that the pipeline needs to know."""

    user_id: Identifier = Field(description="Whose upload it is")
    bucket: str = Field(min_length=3, max_length=63, description="Source bucket; must be allow-listed")
    key: str = Field(min_length=1, max_length=1024, description="Key in the source bucket")
    etag: ETag = Field(description="ETag of the accepted bytes, with its quotes")
    size: int = Field(gt=0, description="Bytes")
    mime_type: MimeType = Field(description="As declared by the uploader")
    sha256: Sha256 = Field(description="Of the bytes, hex")
    md5: Md5 | None = Field(default=None, description="Of the bytes, hex")
    linked_to_type: LinkedToType = Field(description="What the upload belongs to, such as `post`")
    linked_to_id: Identifier = Field(description="Which one")
    file_name: FileName = Field(description="The uploader's name of the file; path parts are removed")
    occurred_at: AwareDatetime = Field(description="When the upload was complete")
    rescan: bool = Field(
        default=False, description="An operator asks for a new decision, to replace the one that there is"
    )

    @property
    def media_type(self) -> MediaType:
        """The media type that the declared MIME type belongs to."""
        return media_type_of(self.mime_type)


class Inspection(BaseModel):
    """What parsing the bytes showed, whatever was declared."""

    model_config = ConfigDict(frozen=True, extra="allow")

    mime_type: str = Field(description="As its bytes are")
    width: int = Field(gt=0, description="Pixels, after EXIF rotation")
    height: int = Field(gt=0, description="Pixels, after EXIF rotation")
    duration: float | None = Field(default=None, ge=0, description="Seconds; null for a picture")
    frames: int | None = Field(default=None, gt=0, description="Of an animated picture; null for all else")


class Outcome(StrEnum):
    """What a decision says shall happen to an upload."""

    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_REVIEW = "needs_review"
    UNSCANNABLE = "unscannable"


class ShadowDecision(BaseModel):
    """What another policy would have decided; nothing follows from it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    outcome: Outcome = Field(description="What it would have said")
    reasons: tuple[str, ...] = Field(description="Why, most severe first")
    policy_version: str = Field(description="Hash of the shadow policy")


class Decision(EventModel):
    """The verdict on one upload: why, by whom, under which policy."""

    upload: UploadCompleted = Field(description="The event that was decided on, its unknown fields too")
    outcome: Outcome = Field(description="What shall happen")
    reasons: tuple[str, ...] = Field(description="Why, most severe first; empty where all scores are low")
    scores: Mapping[str, float] = Field(default_factory=dict, description="Raw score per category, in [0, 1]")
    scanner: str | None = Field(default=None, description=SCANNER)
    model_version: str | None = Field(default=None, description="The scanner's model")
    policy_version: str | None = Field(default=None, description="Hash of the policy; null without one")
    inspection: Inspection | None = Field(default=None, description="Always there in an approval")
    braked: Outcome | None = Field(
        default=None, description="The policy's outcome, held back by a safety brake"
    )
    shadow: ShadowDecision | None = Field(default=None, description="What the shadow policy would have said")


class Published(EventModel):
    """An approved upload stands in its permanent bucket."""

    user_id: str = Field(description="Whose upload it was")
    linked_to_type: str = Field(description="What the upload belongs to, such as `post`")
    linked_to_id: str = Field(description="Which one")
    bucket: str = Field(description="Permanent bucket")
    key: str = Field(description="Key in the permanent bucket")
    file_name: str = Field(description="The uploader's name of the file; the key's may differ")
    mime_type: str = Field(description="As its bytes are, whatever was declared")
    size: int = Field(description="Bytes")
    sha256: str = Field(description="Of the bytes, hex in lower case")
    width: int = Field(description="Pixels, after EXIF rotation")
    height: int = Field(description="Pixels, after EXIF rotation")
    duration: float | None = Field(default=None, description="Seconds; null for a picture")


class Quarantined(EventModel):
    """A rejected upload stands in the quarantine bucket."""

    user_id: str = Field(description="Whose upload it was")
    linked_to_type: str = Field(description="What the upload belongs to, such as `post`")
    linked_to_id: str = Field(description="Which one")
    bucket: str = Field(description="Quarantine bucket")
    key: str = Field(description="Key in the quarantine bucket")
    reasons: tuple[str, ...] = Field(description="Why, most severe first")
    scores: Mapping[str, float] = Field(description="Raw score per category, in [0, 1]")
    scanner: str | None = Field(default=None, description=SCANNER)
    model_version: str | None = Field(default=None, description="The scanner's model")
    policy_version: str | None = Field(default=None, description="Hash of the policy; null without one")


class OverrideVerdict(StrEnum):
    """What a human says shall happen to an upload."""

    APPROVE = "approve"
    REJECT = "reject"


class Override(EventModel):
    """A human's verdict on an upload, whatever the pipeline decided or will decide."""

    verdict: OverrideVerdict = Field(description="Public, or quarantine")
    reason: ReasonText = Field(description="Why, in the operator's words")
    operator: Identifier = Field(description="Who")
    requested_at: AwareDatetime = Field(description="When; of several overrides the latest one holds")


class EventType(StrEnum):
    """`ce_type` of every event; the version changes only with an incompatible schema."""

    UPLOAD_COMPLETED = "mediagate.upload-completed.v1"
    APPROVED = "mediagate.approved.v1"
    REJECTED = "mediagate.rejected.v1"
    HELD = "mediagate.held.v1"
    OVERRIDE = "mediagate.override.v1"
    PUBLISHED = "mediagate.published.v1"
    QUARANTINED = "mediagate.quarantined.v1"


EVENT_MODELS: Mapping[EventType, type[EventModel]] = {
    EventType.UPLOAD_COMPLETED: UploadCompleted,
    EventType.APPROVED: Decision,
    EventType.REJECTED: Decision,
    EventType.HELD: Decision,
    EventType.OVERRIDE: Override,
    EventType.PUBLISHED: Published,
    EventType.QUARANTINED: Quarantined,
}

DECISION_TYPES: Mapping[Outcome, EventType] = {
    Outcome.APPROVED: EventType.APPROVED,
    Outcome.REJECTED: EventType.REJECTED,
    Outcome.NEEDS_REVIEW: EventType.HELD,
    Outcome.UNSCANNABLE: EventType.HELD,
}

UNREADABLE = (
    CloudEventValidationError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What the library raises where bytes are no CloudEvent: JSON that is no object, a time beyond year 9999."""

BLOCK_LIST = "block_list"
"""`scanner` of a decision that the block list made."""

Model = TypeVar("Model", bound=EventModel)


class Event(NamedTuple, Generic[Model]):
    """One CloudEvent and its typed data; `subject` is the media_id and also the record's key."""

    id: str
    type: EventType
    source: str
    time: datetime | None
    subject: str
    data: Model
    causation_id: str | None = None
    traceparent: str | None = None


class OutgoingRecord(NamedTuple):
    """A Kafka record that is ready to be sent; without a partition, to the one of its key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    partition: int | None = None


def event_id(event_type: EventType, media_id: UUID | str, cause: str) -> str:
    """The id that every repetition of the same event has: a UUIDv5 of type, media_id and cause."""
    # uuid.uuid5 without its objects: half of the cost of a decision's id.
    name = f"{event_type}:{media_id}:{cause}".encode()
    digest = sha1(NAMESPACE_BYTES + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def encode(event: Event[Model], topic: str) -> OutgoingRecord:
    """The event as a Kafka record in CloudEvents binary mode."""
    attributes = Attributes(event.id, event.type, event.source, event.time, event.causation_id)
    headers = write_attributes(attributes, event.subject)
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    return OutgoingRecord(topic, event.subject.encode(), json_of(event.data), headers)


def decode(
    key: bytes | None, value: bytes | None, headers: Sequence[Header], model: type[Model], *types: EventType
) -> Event[Model]:
    """The event in a Kafka record, binary or structured; raises DeadLetterError where it fits no contract."""
    if value is None:
        raise DeadLetterError("no_value", "the record is a tombstone")
    attributes, payload = _read(value, headers)
    event_type = _expected_type(attributes.type, types)
    data = _read_data(payload, model)
    subject = str(data.media_id)
    if key is not None and key != subject.encode():
        raise DeadLetterError("key_mismatch", f"key {key[:64]!r} is not the media_id {subject}")
    return Event(
        id=attributes.id,
        type=event_type,
        source=attributes.source,
        time=attributes.time,
        subject=subject,
        data=data,
        causation_id=attributes.causation_id,
        traceparent=_header(headers, "traceparent"),
    )


class _RawJSON(JSONFormat):
    """Leaves the data of binary mode as bytes: the model parses it, once and with a depth limit."""

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:
        return body


def _read(value: bytes, headers: Sequence[Header]) -> tuple[Attributes, object]:
    attributes = read_attributes(headers)
    if attributes is not None:
        return attributes, value
    return _read_with_library(value, [header for header in headers if header[1] is not None])


def _read_with_library(value: bytes, headers: Sequence[Header]) -> tuple[Attributes, object]:
    message = KafkaMessage({name: content for name, content in headers if is_attribute(name)}, None, value)
    try:
        event = from_kafka(message, _RawJSON(), _cloud_event)
    except UNREADABLE as error:
        raise DeadLetterError("not_a_cloud_event", _first_line(error)) from error
    attributes = Attributes(
        id=event.get_id(),
        type=event.get_type(),
        source=event.get_source(),
        time=event.get_time(),
        causation_id=event.get_extension("causationid"),
    )
    return attributes, event.get_data()


def _cloud_event(attributes: dict[str, Any], data: Any) -> BaseCloudEvent:
    # The library makes up an id that is missing, and another one each time that the record is read.
    if "id" not in attributes:
        raise ValueError("the attribute id is missing")
    return get_event_factory_for_version(attributes.get("specversion", "1.0"))(attributes, data)


def _expected_type(name: str, types: Sequence[EventType]) -> EventType:
    for event_type in types:
        if event_type == name:
            return event_type
    raise DeadLetterError("unexpected_event_type", f"{name!r} where only {', '.join(types)} may be")


def _read_data(payload: object, model: type[Model]) -> Model:
    try:
        if isinstance(payload, bytes):
            return model.model_validate_json(payload)
        return model.model_validate(payload)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['msg']}" for fault in error.errors()
        )
        raise DeadLetterError("invalid_data", "; ".join(faults)) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _header(headers: Sequence[Header], name: str) -> str | None:
    for key, value in headers:
        if key == name and value is not None:
            return value.decode(errors="replace")
    return None
