"""Every setting of every process: environment variables, or the same names in `.env`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, PostgresDsn, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mediagate.errors import ConfigurationError
from mediagate.media import MediaType

Port = Annotated[int, Field(ge=0, le=65535)]
Duration = Annotated[
    timedelta,
    BeforeValidator(lambda value: float(value) if _is_number(value) else value),
    Field(gt=timedelta()),
]
"""Seconds, or ISO 8601 such as PT5M; always positive."""
Milliseconds = Annotated[int, Field(gt=0, description="ms")]


def _is_number(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) is not None


class _FromEnvironment(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)


class DatabaseSettings(_FromEnvironment):
    """What migrating needs."""

    database_url: PostgresDsn = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`")


class TopicSettings(_FromEnvironment):
    """What making topics needs."""

    kafka_bootstrap_servers: str = Field(description="Kafka brokers, `host:port`, comma-separated")
    topics_file: Path = Field(default=Path("topics.yaml"), description="Declared topics")


class Settings(DatabaseSettings, TopicSettings):
    """What the three processes share."""

    streams_group: str = Field(
        default="mediagate-streams", description="Consumer group of the streams workers"
    )
    sinks_group: str = Field(default="mediagate-sinks", description="Consumer group of the sinks workers")
    database_pool_size: int = Field(default=10, gt=0, description="PostgreSQL connections of a process")
    s3_endpoint_url: str | None = Field(default=None, description="S3 endpoint; unset is AWS")
    s3_public_endpoint_url: str | None = Field(
        default=None,
        description="S3 endpoint as uploaders reach it, for signed URLs; unset is `S3_ENDPOINT_URL`",
    )
    aws_access_key_id: SecretStr | None = Field(default=None, description="Unset uses boto3's own search")
    aws_secret_access_key: SecretStr | None = Field(default=None, description="Unset uses boto3's own search")
    aws_region: str = Field(default="us-east-1", description="S3 region")
    s3_concurrency: int = Field(default=16, gt=0, description="S3 calls under way at once in a process")
    temp_bucket: str = Field(default="media-temp", description="Where uploads land; private")
    quarantine_bucket: str = Field(
        default="media-quarantine", description="Where rejected objects go; private"
    )
    buckets: Mapping[str, str] = Field(
        default={
            "post": "posts-media",
            "opportunity": "opportunities-media",
            "profile_picture": "users-media",
            "project": "talent-profiles-media",
        },
        description="Permanent bucket per `linked_to_type`, as JSON",
    )
    default_bucket: str = Field(default="default-bucket", description="Permanent bucket of every other type")
    file_name_key_types: frozenset[str] = Field(
        default=frozenset({"post", "opportunity"}),
        description="Types whose key is the file name alone, as a JSON list; others: `type/filename`",
    )
    host: str = Field(default="127.0.0.1", description="Address that a process listens on")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level logged"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="Form of a log line")

    def permanent_buckets(self) -> frozenset[str]:
        """Every bucket that published objects can stand in."""
        return frozenset({*self.buckets.values(), self.default_bucket})

    def all_buckets(self) -> frozenset[str]:
        """Every bucket that Mediagate writes to."""
        return self.permanent_buckets() | {self.temp_bucket, self.quarantine_bucket}

    @model_validator(mode="after")
    def _private_buckets_are_not_public(self) -> "Settings":
        shared = self.permanent_buckets() & {self.temp_bucket, self.quarantine_bucket}
        if shared or self.temp_bucket == self.quarantine_bucket:
            raise ValueError(
                f"temporary, quarantine and permanent buckets must differ: {shared or self.temp_bucket}"
            )
        return self


class GatewaySettings(Settings):
    """The gateway's own."""

    port: Port = Field(default=3000, description="Gateway's port")
    jwt_secret: SecretStr | None = Field(default=None, description="HS256 secret of at least 32 bytes")
    jwt_jwks_url: str | None = Field(default=None, description="JWKS URL for RS256 and ES256 tokens")
    jwt_audience: str | None = Field(default=None, description="Required `aud` claim, where set")
    jwt_issuer: str | None = Field(default=None, description="Required `iss` claim, where set")
    upload_url_expires: Duration = Field(
        default=timedelta(minutes=15), description="Life of a signed upload URL, s"
    )
    image_max_bytes: int = Field(default=20 * 2**20, gt=0, description="Largest image")
    video_max_bytes: int = Field(default=500 * 2**20, gt=0, description="Largest video")
    image_mime_types: frozenset[str] = Field(
        default=frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}),
        description="Accepted images, as a JSON list",
    )
    video_mime_types: frozenset[str] = Field(
        default=frozenset({"video/mp4", "video/quicktime", "video/webm"}),
        description="Accepted videos, as a JSON list",
    )

    @model_validator(mode="after")
    def _one_way_to_verify_tokens(self) -> "GatewaySettings":
        if (self.jwt_secret is None) == (self.jwt_jwks_url is None):
            raise ValueError("set exactly one of JWT_SECRET and JWT_JWKS_URL")
        if self.jwt_secret is not None and len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("JWT_SECRET: must be at least 32 bytes")
        return self


class StreamsSettings(Settings):
    """The streams worker's own."""

    streams_port: Port = Field(default=3001, description="Port of the streams worker's metrics and health")
    policy_file: Path = Field(default=Path("policy.yaml"), description="Moderation policy")
    image_batch_size: int = Field(default=50, gt=0, description="Images that close a window")
    video_batch_size: int = Field(default=10, gt=0, description="Videos that close a window")
    image_max_wait: Milliseconds = Field(
        default=10_000, description="Longest wait after a window's first image, ms"
    )
    video_max_wait: Milliseconds = Field(
        default=10_000, description="Longest wait after a window's first video, ms"
    )
    image_batch_bytes: int | None = Field(
        default=None, gt=0, description="Bytes of images that close a window"
    )
    video_batch_bytes: int | None = Field(
        default=None, gt=0, description="Bytes of videos that close a window"
    )
    source_buckets: frozenset[str] = Field(
        default=frozenset(), description="Buckets that events may name beside `TEMP_BUCKET`, as a JSON list"
    )
    scan_timeout: Duration = Field(
        default=timedelta(minutes=2), description="Longest time for one item's scan, s"
    )
    scanner_processes: int = Field(default=2, gt=0, description="Processes that decode and scan media")
    scanner_memory_bytes: int = Field(
        default=4 * 2**30, ge=2**30, description="Address space of each of these processes"
    )
    max_pixels: int = Field(default=50_000_000, gt=0, description="Largest picture or frame")
    max_duration: Duration = Field(default=timedelta(minutes=10), description="Longest video, s")
    video_frames: int = Field(default=10, gt=0, description="Frames sampled over a video's whole duration")
    animation_frames: int = Field(default=10, gt=0, description="Frames sampled of an animated image")
    recovery_interval: Duration = Field(
        default=timedelta(minutes=5), description="Time between recovery sweeps, s"
    )
    recovery_cooldown: Duration = Field(
        default=timedelta(minutes=10),
        description="Age at which a row is owed a fresh event, and between two, s",
    )
    recovery_max_attempts: int = Field(default=5, gt=0, description="Events before a row is `unscannable`")
    upload_expires_after: Duration = Field(
        default=timedelta(days=1), description="Age at which a row that was never uploaded expires, s"
    )

    def batch_size(self, media_type: MediaType) -> int:
        """Items that close a window."""
        return self.image_batch_size if media_type is MediaType.IMAGE else self.video_batch_size

    def max_wait(self, media_type: MediaType) -> timedelta:
        """Longest wait after a window's first item."""
        return timedelta(
            milliseconds=self.image_max_wait if media_type is MediaType.IMAGE else self.video_max_wait
        )

    def batch_bytes(self, media_type: MediaType) -> int | None:
        """Bytes that close a window."""
        return self.image_batch_bytes if media_type is MediaType.IMAGE else self.video_batch_bytes


class SinksSettings(Settings):
    """The sinks worker's own."""

    sinks_port: Port = Field(default=3002, description="Port of the sinks worker's metrics and health")
    sinks_concurrency: int = Field(default=16, gt=0, description="Decisions carried out at once")


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def load_settings(model: type[AnySettings]) -> AnySettings:
    """Settings from the environment and `.env`; raises ConfigurationError naming every faulty variable."""
    try:
        return model()
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}".removeprefix(": ")
            for fault in error.errors()
        ]
        raise ConfigurationError("settings: " + "; ".join(faults)) from error
