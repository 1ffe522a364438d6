"""What a file is by its first bytes, and whether that is what was declared."""

from collections.abc import Mapping
from dataclasses import dataclass

import filetype

from mediagate.media import MediaType
from mediagate.scanners.reasons import Reason, UndecidableError

HEAD_BYTES = 8192  # what filetype looks at


@dataclass(frozen=True, slots=True)
class Format:
    """A type that can be parsed; `parser` is Pillow's or FFmpeg's name of it."""

    mime_type: str
    media_type: MediaType
    parser: str


FORMATS: Mapping[str, Format] = {
    format_.mime_type: format_
    for format_ in (
        Format("image/jpeg", MediaType.IMAGE, "JPEG"),
        Format("image/png", MediaType.IMAGE, "PNG"),
        Format("image/gif", MediaType.IMAGE, "GIF"),
        Format("image/webp", MediaType.IMAGE, "WEBP"),
        Format("video/mp4", MediaType.VIDEO, "mov"),
        Format("video/quicktime", MediaType.VIDEO, "mov"),
        Format("video/webm", MediaType.VIDEO, "matroska"),
    )
}

ALIASES: Mapping[str, str] = {"image/apng": "image/png", "video/x-m4v": "video/mp4"}
"""Sniffed types that are special cases of a supported one."""

QUICKTIME_BRAND = b"qt  "
MP4_BRANDS = frozenset(
    {b"avc1", b"dash", b"f4v ", b"mp41", b"mp42", b"M4V ", b"M4VH", b"M4VP", b"MSNV", b"msdh", b"mp71"}
    | {b"isom", *(b"iso%d" % number for number in range(2, 10))}
)


def recognise(head: bytes, declared: str) -> Format:
    """The declared format, where the first bytes confirm it; else raises UndecidableError."""
    sniffed = _sniffed(head)
    if declared not in FORMATS:
        raise UndecidableError(Reason.UNSUPPORTED_TYPE)
    if declared not in sniffed:
        raise UndecidableError(Reason.MIME_TYPE_MISMATCH)
    return FORMATS[declared]


def detect(head: bytes, media_type: MediaType) -> Format:
    """The format of that media type that the first bytes show; else raises UndecidableError."""
    known = [FORMATS[mime_type] for mime_type in sorted(_sniffed(head) & FORMATS.keys())]
    if not known:
        raise UndecidableError(Reason.UNSUPPORTED_TYPE)
    for format_ in known:
        if format_.media_type is media_type:
            return format_
    raise UndecidableError(Reason.MIME_TYPE_MISMATCH)


def _sniffed(head: bytes) -> frozenset[str]:
    if not head:
        raise UndecidableError(Reason.EMPTY)
    if types := sniff(head):
        return types
    raise UndecidableError(Reason.NOT_MEDIA)


def sniff(head: bytes) -> frozenset[str]:
    """The image and video types that the first bytes may be; several only for MP4 and QuickTime."""
    kind = filetype.guess(head[:HEAD_BYTES])
    mime_type = "" if kind is None else str(kind.mime)
    if not mime_type.startswith(("image/", "video/")):
        return _by_brand(head)
    mime_type = ALIASES.get(mime_type, mime_type)
    if mime_type in {"video/mp4", "video/quicktime", "video/3gpp"}:
        return _by_brand(head) or frozenset({mime_type})
    return frozenset({mime_type})


def _by_brand(head: bytes) -> frozenset[str]:
    # ISO 14496-12: a box is its length, its type, its content; ftyp holds the major brand, a version, brands
    if head[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[start : start + 4] for start in range(16, end, 4))}
    types = set()
    if QUICKTIME_BRAND in brands:
        types.add("video/quicktime")
    if brands & MP4_BRANDS:
        types.add("video/mp4")
    return frozenset(types)
