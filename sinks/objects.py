"""Puts an upload's object where it belongs."""

from uuid import UUID

from mediagate.errors import DeadLetterError
from mediagate.storage import CopySource, ObjectStore
from sinks.destinations import Destination

OWNER = "media-id"
"""S3 metadata that says whose copy an object is; nobody else writes to the destination buckets."""


async def place(
    store: ObjectStore, source: CopySource, destination: Destination, media_id: UUID, mime_type: str
) -> bool:
    """Copies the source unless its copy stands there already; False where another object does.

    Raises ObjectChangedError where there is no copy yet and the source is not those bytes any more.
    """
    head = await store.head(destination.bucket, destination.key)
    if head is not None:
        return head.metadata.get(OWNER) == str(media_id)
    await store.copy(source, destination.bucket, destination.key, {OWNER: str(media_id)}, mime_type)
    return True


async def stands_at(store: ObjectStore, at: Destination, media_id: UUID, size: int) -> CopySource:
    """The upload's copy at a place, as S3 has it now; raises DeadLetterError where it is not there."""
    head = await store.head(at.bucket, at.key)
    if head is None or head.metadata.get(OWNER) != str(media_id) or head.size != size:
        raise DeadLetterError("object_changed", f"at {at.bucket}/{at.key} there is no copy of this upload")
    return CopySource(at.bucket, at.key, head.etag, size)
