"""Media types and file names: rules on what an uploader may say."""

import re
import unicodedata
from enum import StrEnum
from pathlib import PurePosixPath

MAX_FILE_NAME_BYTES = 255
MAX_SUFFIX_BYTES = 16


class MediaType(StrEnum):
    """What a window, a topic and a size limit are kept per."""

    IMAGE = "image"
    VIDEO = "video"


PLAIN_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}")
"""What most names are: nothing is to be removed from them."""


def media_type_of(mime_type: str) -> MediaType:
    """The media type of a MIME type; raises ValueError for anything but image/* and video/*."""
    main = mime_type.partition("/")[0]
    if main not in tuple(MediaType):
        raise ValueError(f"{mime_type!r} is neither image/* nor video/*")
    return MediaType(main)


def safe_file_name(name: str) -> str:
    """The last path part of a name without control characters, at most 255 UTF-8 bytes, its suffix kept.

    Raises ValueError where nothing is left.
    """
    return name if PLAIN_FILE_NAME.fullmatch(name) else cleaned(name)


def cleaned(name: str) -> str:
    """The same, whatever the name is."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    printable = "".join(
        char for char in last if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    visible = printable.strip().lstrip(".")
    if not visible:
        raise ValueError("is empty once path parts and control characters are removed")
    return shortened(visible, MAX_FILE_NAME_BYTES)


def shortened(name: str, limit: int) -> str:
    """The name in at most `limit` UTF-8 bytes, its suffix kept."""
    stem, suffix = _split(name)
    return _shorten(stem, limit - len(suffix.encode())) + suffix


def with_suffix_before_extension(name: str, addition: str, limit: int = MAX_FILE_NAME_BYTES) -> str:
    """`photo.jpg` and `1a2b` make `photo-1a2b.jpg`, in at most `limit` UTF-8 bytes."""
    stem, suffix = _split(name)
    room = limit - len(suffix.encode()) - len(addition) - 1
    return f"{_shorten(stem, room)}-{addition}{suffix}"


def _split(name: str) -> tuple[str, str]:
    suffix = PurePosixPath(name).suffix
    if not suffix or len(suffix.encode()) > MAX_SUFFIX_BYTES:
        return name, ""
    return name[: -len(suffix)], suffix


def _shorten(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")
