"""Runs a decoder on one item's bytes; meant for a worker process of the media pool."""

import io
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from PIL import Image

from mediagate.errors import MediagateError, ObjectChangedError, StopError
from mediagate.remote_file import RemoteFile, SizeMismatchError
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.formats import HEAD_BYTES, Format, recognise
from mediagate.scanners.reasons import Reason, UndecidableError

READ_BUFFER = 64 * 1024

Found = TypeVar("Found")


def judge(item: ScanItem, look: Callable[[BinaryIO, Format], Found]) -> Found | Unscannable:
    """What `look` finds in the item's bytes; raises TransientError where they cannot be read."""
    remote = RemoteFile(item.url, item.etag, item.size)
    with io.BufferedReader(remote, READ_BUFFER) as file:
        found = _look(file, item.mime_type, look)
    # FFmpeg may take a failed read for the end of the file, so even a finding does not count then.
    return found if remote.failure is None else _unread(remote.failure)


def _look(file: BinaryIO, mime_type: str, look: Callable[[BinaryIO, Format], Found]) -> Found | Unscannable:
    try:
        format_ = recognise(file.read(HEAD_BYTES), mime_type)
        file.seek(0)
        return look(file, format_)
    except UndecidableError as error:
        return Unscannable(error.reason.value)
    except StopError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Unscannable(Reason.TOO_MANY_PIXELS.value)
    except MemoryError:
        return Unscannable(Reason.OUT_OF_MEMORY.value)
    except Exception:  # noqa: BLE001 - decoders raise anything on hostile bytes, and nothing is approved by it
        return Unscannable(Reason.UNDECODABLE.value)


def _unread(failure: MediagateError) -> Unscannable:
    match failure:
        case SizeMismatchError():
            return Unscannable(Reason.SIZE_MISMATCH.value)
        case ObjectChangedError():
            return Unscannable(Reason.OBJECT_CHANGED.value)
        case _:
            raise failure
