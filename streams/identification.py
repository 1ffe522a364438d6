"""Which bytes an upload is: what the object store itself says of them, whatever was declared."""

import asyncio
from collections.abc import Sequence

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
        heads = await asyncio.gather(
            *(store.head(case.event.data.bucket, case.event.data.key) for case in cases)
        )
    except StopError as error:
        raise TransientError(str(error)) from error
    for case, head in zip(cases, heads, strict=True):
        reason = _fault(case.event.data, head)
        if reason is not None:
            case.finding = Unscannable(reason)
        elif head is not None:
            case.sha256 = head.sha256
        case.identified = True


def _fault(upload: UploadCompleted, head: ObjectHead | None) -> Reason | None:
    if head is None or head.etag != upload.etag:
        return Reason.OBJECT_CHANGED
    if head.size != upload.size:
        return Reason.SIZE_MISMATCH
    if head.sha256 is not None and head.sha256 != upload.sha256:
        return Reason.CHECKSUM_MISMATCH
    return None
