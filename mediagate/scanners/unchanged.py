"""Whether an object still is the accepted one, for scanners that do not say which bytes they read."""

import asyncio

from mediagate.errors import ObjectChangedError, TransientError
from mediagate.remote_file import RemoteFile, SizeMismatchError
from mediagate.scanners import ScanItem, Unavailable, Unscannable
from mediagate.scanners.reasons import Reason

UNREADABLE = "object_unreadable"


async def why_not_accepted(item: ScanItem) -> Unscannable | Unavailable | None:
    """What speaks against the object at the item's URL being the accepted one; reads one byte."""
    try:
        await asyncio.to_thread(_confirm, item)
    except SizeMismatchError:
        return Unscannable(Reason.SIZE_MISMATCH.value)
    except ObjectChangedError:
        return Unscannable(Reason.OBJECT_CHANGED.value)
    except TransientError:
        return Unavailable(UNREADABLE)
    return None


def _confirm(item: ScanItem) -> None:
    with RemoteFile(item.url, item.etag, item.size) as file:
        file.confirm()
