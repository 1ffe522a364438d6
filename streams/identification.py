"""Which bytes an upload is: what the object store itself says of them, whatever was declared."""

import asyncio
from collections.abc import Awaitable, Sequence

from mediagate.errors import StopError, TransientError
from mediagate.events import UploadCompleted
from mediagate.scanners import Unscannable
from mediagate.scanners.reasons import Reason
from mediagate.storage import ObjectHead, ObjectStore
from streams.cases import Case


async def identify(store: ObjectStore, cases: Sequence[Case]) -> None:
    """Fills in the verified SHA-256 of each case, or why it is not what was accepted.

    Raises TransientError where S3 fails or refuses us: an operator mends that, nothing is decided meanwhile.
    """
    try:
        heads = await asyncio.gather(*(_head(store, case) for case in cases))
    except StopError as error:
        raise TransientError(str(error)) from error
    for case, head in zip(cases, heads, strict=True):
        reason = _fault(case.event.data, head)
        if reason is not None:
            case.finding = Unscannable(reason)
        elif head is not None:
            case.sha256 = head.sha256
        case.identified = True


def asked_ahead(store: ObjectStore, upload: UploadCompleted) -> asyncio.Task[ObjectHead | None]:
    """What the object store says of an upload now; all that is read later is bound to its ETag anyway."""
    task = asyncio.create_task(store.head(upload.bucket, upload.key))
    task.add_done_callback(lambda asked: asked.cancelled() or asked.exception())  # else asyncio complains
    return task


def _head(store: ObjectStore, case: Case) -> Awaitable[ObjectHead | None]:
    asked, case.head = case.head, None
    if asked is None or (asked.done() and (asked.cancelled() or asked.exception())):
        return store.head(case.event.data.bucket, case.event.data.key)
    return asked


def _fault(upload: UploadCompleted, head: ObjectHead | None) -> Reason | None:
    if head is None or head.etag != upload.etag:
        return Reason.OBJECT_CHANGED
    if head.size != upload.size:
        return Reason.SIZE_MISMATCH
    if head.sha256 is not None and head.sha256 != upload.sha256:
        return Reason.CHECKSUM_MISMATCH
    return None
