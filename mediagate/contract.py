"""What an upload-completed event must be beyond its schema."""

from mediagate.errors import DeadLetterError
from mediagate.events import UploadCompleted
from mediagate.media import MediaType


def check_contract(
    upload: UploadCompleted,
    media_type: MediaType,
    source_buckets: frozenset[str],
    own_buckets: frozenset[str] = frozenset(),
) -> None:
    """Raises DeadLetterError for another topic's upload, or another bucket's; rescans may be in our own."""
    if upload.media_type is not media_type:
        raise DeadLetterError("wrong_topic", f"mime_type: {upload.mime_type} on the topic of {media_type}s")
    allowed = source_buckets | own_buckets if upload.rescan else source_buckets
    if upload.bucket not in allowed:
        raise DeadLetterError(
            "source_bucket_not_allowed", f"bucket: {upload.bucket!r} is not a source bucket"
        )
