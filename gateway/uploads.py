"""Rules on uploads, free of I/O: what may be uploaded, and where to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from mediagate.media import MediaType, media_type_of
from mediagate.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class UploadRules:
    """Accepted MIME types and the largest size of each media type, bytes."""

    mime_types: frozenset[str]
    limits: Mapping[MediaType, int]

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> "UploadRules":
        """The rules as set."""
        return cls(
            settings.image_mime_types | settings.video_mime_types,
            {MediaType.IMAGE: settings.image_max_bytes, MediaType.VIDEO: settings.video_max_bytes},
        )

    def max_bytes(self, mime_type: str | None) -> int:
        """The size limit of a MIME type; the largest of all where the type is not known."""
        if mime_type is None:
            return max(self.limits.values())
        return self.limits[media_type_of(mime_type)]


def temp_key(media_id: UUID) -> str:
    """Where an upload lands: nothing of what the client said is in it."""
    return f"uploads/{media_id}"


def fingerprint(canonical_body: bytes) -> str:
    """What tells a repeated request from another one under the same Idempotency-Key."""
    return hashlib.sha256(canonical_body).hexdigest()
