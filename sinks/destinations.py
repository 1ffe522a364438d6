"""Where an upload goes: bucket and key, as settings say; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mediagate.media import shortened, with_suffix_before_extension
from mediagate.settings import Settings

SHORT_HEX = 8
MAX_KEY_NAME_BYTES = 200
"""Last part of a key: an S3 server on a file system needs some of its 255 bytes for names of its own."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place for one object."""

    bucket: str
    key: str


def published_at(
    settings: Settings, linked_to_type: str, file_name: str, media_id: UUID
) -> Sequence[Destination]:
    """Where an approved upload may stand, best first: under its own name, else with some of its media_id."""
    bucket = settings.buckets.get(linked_to_type, settings.default_bucket)
    folder = "" if linked_to_type in settings.file_name_key_types else f"{linked_to_type}/"
    names = (
        shortened(file_name, MAX_KEY_NAME_BYTES),
        with_suffix_before_extension(file_name, media_id.hex[:SHORT_HEX], MAX_KEY_NAME_BYTES),
        with_suffix_before_extension(file_name, media_id.hex, MAX_KEY_NAME_BYTES),
    )
    return [Destination(bucket, folder + name) for name in dict.fromkeys(names)]


def quarantined_at(settings: Settings, media_id: UUID) -> Sequence[Destination]:
    """Where a rejected upload stands."""
    return [Destination(settings.quarantine_bucket, str(media_id))]
