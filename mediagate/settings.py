"""Every setting of every process: environment variables, or the same names in `.env`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PostgresDsn,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from mediagate.errors import ConfigurationError
from mediagate.events import Outcome
from mediagate.failpoints import Failpoint, Step
from mediagate.media import MediaType
from mediagate.scanners.routes import Route, ScannerName, routed_scanners


def _lowest_first(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError(f"{band[0]} is above {band[1]}")
    return band


Port = Annotated[int, Field(ge=0, le=65535)]
Duration = Annotated[
    timedelta,
    BeforeValidator(lambda value: float(value) if _is_number(value) else value),
    Field(gt=timedelta()),
]
"""Seconds, or ISO 8601 such as PT5M; always positive."""
Milliseconds = Annotated[int, Field(gt=0, description="ms")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Band = Annotated[tuple[Share, Share], AfterValidator(_lowest_first)]
"""Lowest and highest usual share."""
VISION_MAX_BATCH = 16
"""Largest image batch that goes to Vision where there is Modal too: the reference's rule."""


def _is_number(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) is not None


class _FromEnvironment(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)


class DatabaseSettings(_FromEnvironment):
    """Where PostgreSQL is."""

    database_url: PostgresDsn = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`")


class TopicFileSettings(_FromEnvironment):
    """Where the topics are declared."""

    topics_file: Path = Field(default=Path("topics.yaml"), description="Declared topics")


class TopicSettings(TopicFileSettings):
    """What making topics needs."""

    kafka_bootstrap_servers: str = Field(description="Kafka brokers, `host:port`, comma-separated")


class GroupSettings(TopicSettings):
    """What asking about the workers' progress needs."""

    streams_group: str = Field(
        default="mediagate-streams", description="Consumer group of the streams workers"
    )
    sinks_group: str = Field(default="mediagate-sinks", description="Consumer group of the sinks workers")


class DeadLetterSettings(DatabaseSettings, TopicSettings):
    """What reading dead letters, and what operators did with them, needs."""


class Settings(DatabaseSettings, GroupSettings):
    """What the three processes share."""

    database_pool_size: int = Field(default=10, gt=0, description="PostgreSQL connections of a process")
    s3_endpoint_url: str | None = Field(default=None, description="S3 endpoint; unset is AWS")
    s3_public_endpoint_url: str | None = Field(
        default=None,
        description="S3 endpoint as uploaders and outside scanners reach it; unset is `S3_ENDPOINT_URL`",
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
    failpoints: Mapping[Step, Failpoint] = Field(
        default={}, description="Steps at which the process is struck, as JSON: for tests alone"
    )

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


class MediaSettings(_FromEnvironment):
    """Within which limits media is decoded and scored on this machine."""

    scan_timeout: Duration = Field(
        default=timedelta(minutes=2), description="Longest time for one item's decoding or local scan, s"
    )
    scanner_processes: int = Field(default=2, gt=0, description="Processes that decode and scan media")
    scanner_memory_bytes: int = Field(
        default=4 * 2**30, ge=2**30, description="Address space of each of these processes"
    )
    max_pixels: int = Field(default=50_000_000, gt=0, description="Largest picture or frame")
    max_frames: int = Field(default=36_000, gt=0, description="Most frames of an animation or a video")
    max_duration: Duration = Field(default=timedelta(minutes=10), description="Longest video, s")
    video_frames: int = Field(default=10, gt=0, description="Frames sampled over a video's whole duration")
    animation_frames: int = Field(default=10, gt=0, description="Frames sampled of an animated image")


class ScannerSettings(MediaSettings):
    """Which scanners there are, and how they are reached."""

    image_routes: tuple[Route, ...] | None = Field(
        default=None,
        min_length=1,
        description="Scanners of images, as a JSON list; see docs/scanners.md",
    )
    video_routes: tuple[Route, ...] | None = Field(
        default=None, min_length=1, description="Scanners of videos, as a JSON list"
    )
    google_application_credentials: Path | None = Field(
        default=None, description="Key file of a Google service account, for Vision"
    )
    vision_endpoint: str | None = Field(
        default=None,
        description="Vision's `host[:port]`; `http://…` is a server of your own, without TLS and credentials",
    )
    vision_input: Literal["url", "content"] | None = Field(
        default=None,
        description="How Vision gets a picture; unset is `url` on AWS, else `content`",
    )
    vision_model: Literal["builtin/stable", "builtin/latest"] = Field(
        default="builtin/stable", description="Vision's model"
    )
    vision_timeout: Duration = Field(default=timedelta(seconds=30), description="Longest Vision request, s")
    vision_attempts: int = Field(default=3, gt=0, description="Tries of a Vision request")
    modal_token_id: str | None = Field(default=None, description="Modal token")
    modal_token_secret: SecretStr | None = Field(default=None, description="Modal token's secret")
    modal_app: str = Field(default="tomouh-scan-engine", description="Modal app")
    modal_function: str = Field(default="scan_media", description="Function of the Modal app")
    modal_timeout: Duration = Field(default=timedelta(minutes=5), description="Longest Modal call, s")
    modal_attempts: int = Field(default=3, gt=0, description="Tries of a Modal call")
    breaker_failures: int = Field(
        default=3, gt=0, description="Batches that a scanner fails in a row before it is left alone"
    )
    breaker_pause: Duration = Field(
        default=timedelta(seconds=30),
        description="Time until a scanner that was left alone is tried again, s",
    )
    canary_interval: Duration = Field(
        default=timedelta(hours=1), description="Time between scans of the canary pictures, s"
    )
    canary_files: Mapping[ScannerName, Path] = Field(
        default={},
        description="Pictures that a scanner must not call safe, as JSON; `local` and `modal` have one",
    )

    def routes(self, media_type: MediaType) -> tuple[Route, ...]:
        """The media type's routes, in the order in which they are tried."""
        configured = self.image_routes if media_type is MediaType.IMAGE else self.video_routes
        return configured or self._default_routes(media_type)

    def scanners(self) -> frozenset[ScannerName]:
        """Every scanner that a route names."""
        return frozenset().union(*(routed_scanners(self.routes(media_type)) for media_type in MediaType))

    def _default_routes(self, media_type: MediaType) -> tuple[Route, ...]:
        names = []
        if self.modal_token_id is not None:
            names = [ScannerName.MODAL]
        if media_type is MediaType.IMAGE and self._has_vision:
            limit = VISION_MAX_BATCH if names else None
            return (
                Route(scanner=ScannerName.VISION, max_batch=limit),
                *(Route(scanner=name) for name in names),
            )
        return tuple(Route(scanner=name) for name in names or [ScannerName.LOCAL])

    @property
    def _has_vision(self) -> bool:
        return self.google_application_credentials is not None or self.vision_endpoint is not None

    @model_validator(mode="after")
    def _every_batch_has_a_route(self) -> "ScannerSettings":
        for name, routes in (("IMAGE_ROUTES", self.image_routes), ("VIDEO_ROUTES", self.video_routes)):
            if routes and routes[-1].max_batch is not None:
                raise ValueError(
                    f"{name}: the last route must take batches of any size: leave out its max_batch"
                )
        if self.video_routes and ScannerName.VISION in routed_scanners(self.video_routes):
            raise ValueError("VIDEO_ROUTES: vision scans images only")
        if (self.modal_token_id is None) != (self.modal_token_secret is None):
            raise ValueError("set both MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or neither")
        return self


class WorkerSettings(Settings):
    """What the two workers share."""

    watchdog_timeout: Duration = Field(
        default=timedelta(minutes=10),
        description="Longest time without progress while records wait: then the worker ends, s",
    )
    dead_letter_share: Share = Field(
        default=0.5, description="Share of dead letters above which a stream stops; `1` never"
    )
    dead_letter_window: int = Field(default=100, gt=0, description="Records that this share is taken over")


class StreamsSettings(WorkerSettings, ScannerSettings):
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
    shadow_policy_file: Path = Field(
        default=Path("policy.shadow.yaml"),
        description="Policy that, where the file is there, is decided alongside and only recorded",
    )
    block_list_max_matches: int = Field(
        default=100, gt=0, description="Items an hour that an entry of the block list may match"
    )
    brake_decisions: int = Field(
        default=1000, gt=0, description="Decisions that the usual shares are taken over"
    )
    image_approved_band: Band = Field(
        default=(0.0, 1.0), description="Usual share of approvals of images, `[low, high]`"
    )
    image_rejected_band: Band = Field(
        default=(0.0, 0.5), description="Usual share of rejections of images, `[low, high]`"
    )
    video_approved_band: Band = Field(
        default=(0.0, 1.0), description="Usual share of approvals of videos, `[low, high]`"
    )
    video_rejected_band: Band = Field(
        default=(0.0, 0.5), description="Usual share of rejections of videos, `[low, high]`"
    )
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

    @model_validator(mode="after")
    def _every_step_is_shorter_than_the_watchdogs_timeout(self) -> "StreamsSettings":
        for name in ("scan_timeout", "vision_timeout", "modal_timeout"):
            if getattr(self, name) >= self.watchdog_timeout:
                raise ValueError(f"WATCHDOG_TIMEOUT: must be longer than {name.upper()}")
        return self

    def bands(self) -> Mapping[MediaType, Mapping[Outcome, Band]]:
        """The usual shares of approvals and rejections per media type."""
        return {
            MediaType.IMAGE: {
                Outcome.APPROVED: self.image_approved_band,
                Outcome.REJECTED: self.image_rejected_band,
            },
            MediaType.VIDEO: {
                Outcome.APPROVED: self.video_approved_band,
                Outcome.REJECTED: self.video_rejected_band,
            },
        }

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


class SinksSettings(WorkerSettings):
    """The sinks worker's own."""

    sinks_port: Port = Field(default=3002, description="Port of the sinks worker's metrics and health")
    sinks_concurrency: int = Field(default=64, gt=0, description="Decisions carried out at once")


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def load_settings(model: type[AnySettings], **given: Any) -> AnySettings:
    """Settings as given, from the environment and `.env`; raises ConfigurationError that names all faults."""
    try:
        return model(**given)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}".removeprefix(": ")
            for fault in error.errors()
        ]
        raise ConfigurationError("settings: " + "; ".join(faults)) from error
