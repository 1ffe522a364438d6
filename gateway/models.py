"""Bodies of requests and answers; `/openapi.json` is made from these models."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, cast
from uuid import UUID

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic.config import JsonDict

from gateway.uploads import UploadRules
from mediagate.events import FileName, Identifier, LinkedToType, Md5, MimeType, Outcome, Sha256
from mediagate.jobs import State

IDEMPOTENCY_KEY_PATTERN = r"^[\x20-\x7e]{1,255}$"
IdempotencyKey = Annotated[str, StringConstraints(pattern=IDEMPOTENCY_KEY_PATTERN)]


def _md5_under_either_name(schema: JsonDict) -> None:
    properties = cast(dict[str, JsonDict], schema["properties"])
    properties["md5_hash"] = {**properties["md5Hash"], "description": "The same as `md5Hash`"}
    cast(list[str], schema["required"]).remove("md5Hash")
    schema["anyOf"] = [{"required": ["md5Hash"]}, {"required": ["md5_hash"]}]


def _rules(info: ValidationInfo) -> UploadRules:
    return cast(UploadRules, info.context)


class UploadRequest(BaseModel):
    """What a client wants to upload."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_md5_under_either_name)

    user_id: Identifier = Field(description="The token's subject; anyone for a service")
    file_name: FileName = Field(description="Loses path parts and control characters; at most 255 bytes")
    mime_type: MimeType
    file_size: int = Field(strict=True, gt=0, description="Bytes")
    sha256_hash: Sha256
    md5_hash: Md5 = Field(validation_alias=AliasChoices("md5Hash", "md5_hash"))
    linked_to_type: LinkedToType = Field(description="Decides the bucket; unknown ones go to the default")
    linked_to_id: Identifier

    @field_validator("mime_type")
    @classmethod
    def _is_accepted(cls, mime_type: str, info: ValidationInfo) -> str:
        rules = _rules(info)
        if mime_type not in rules.mime_types:
            raise ValueError(f"must be one of {', '.join(sorted(rules.mime_types))}")
        return mime_type

    @field_validator("file_size")
    @classmethod
    def _is_within_limit(cls, file_size: int, info: ValidationInfo) -> int:
        rules = _rules(info)
        limit = rules.max_bytes(info.data.get("mime_type"))
        if file_size > limit:
            raise ValueError(f"must be at most {limit} bytes")
        return file_size


class SignedUpload(BaseModel):
    """The one request that stores the file; every header must be sent as given."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: Mapping[str, str]
    expires_at: AwareDatetime


class UploadAnswer(BaseModel):
    """A job that waits for its upload."""

    media_id: UUID
    upload: SignedUpload | None = Field(
        description="null where the request was repeated and nothing is to be uploaded any more"
    )


class CompletionRequest(BaseModel):
    """Says that an upload is there."""

    model_config = ConfigDict(frozen=True)

    media_id: UUID


class CompletionAnswer(BaseModel):
    """An upload that was accepted for its scan; every repetition gets the same answer."""

    media_id: UUID
    state: Literal["queued"] = Field(
        default="queued", description="Where a completion leads; GET /media/{media_id} says the present state"
    )


class DecisionAnswer(BaseModel):
    """The verdict, and why."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    scores: Mapping[str, float] = Field(default_factory=dict)
    scanner: str | None = None
    model_version: str | None = None
    policy_version: str | None = None


class ItemAnswer(BaseModel):
    """The published object."""

    bucket: str
    key: str
    file_name: str
    mime_type: str
    file_size: int = Field(description="Bytes")
    sha256: str
    width: int = Field(description="Pixels")
    height: int = Field(description="Pixels")
    duration: float | None = Field(description="Seconds; null for a still picture")
    created_at: datetime


class MediaAnswer(BaseModel):
    """Where an upload stands."""

    media_id: UUID
    state: State
    decision: DecisionAnswer | None = Field(description="null until there is one")
    item: ItemAnswer | None = Field(description="null unless published")


class ReadinessAnswer(BaseModel):
    """Whether every dependency answers."""

    status: Literal["ready", "not ready"]
    missing: Mapping[str, str] = Field(description="What is wrong, per dependency that is missing")
