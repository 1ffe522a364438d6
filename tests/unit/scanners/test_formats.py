import pytest

from mediagate.media import MediaType
from mediagate.scanners.formats import detect, recognise, sniff
from mediagate.scanners.reasons import Reason, UndecidableError


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    """The first box of an MP4 or QuickTime file."""
    content = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content + bytes(32)


@pytest.mark.parametrize(
    ("head", "types"),
    [
        (ftyp(b"isom", b"isom", b"avc1"), {"video/mp4"}),
        (ftyp(b"iso5", b"dash"), {"video/mp4"}),
        (ftyp(b"M4V ", b"M4V ", b"mp42"), {"video/mp4"}),
        (ftyp(b"qt  ", b"qt  "), {"video/quicktime"}),
        (ftyp(b"qt  "), {"video/quicktime"}),
        (ftyp(b"mp42", b"mp42", b"qt  "), {"video/mp4", "video/quicktime"}),
        (ftyp(b"3gp4", b"3gp4"), set()),
        (ftyp(b"heic", b"mif1", b"heic"), {"image/heic"}),
        (b"", set()),
        (b"ftyp", set()),
        (b"\x00\x00\x00\xffftyp", set()),
    ],
)
def test_brands_tell_mp4_from_quicktime(head: bytes, types: set[str]) -> None:
    assert sniff(head) == types


@pytest.mark.parametrize("declared", ["video/mp4", "video/quicktime"])
def test_a_file_of_both_brands_may_be_declared_as_either(declared: str) -> None:
    assert recognise(ftyp(b"mp42", b"mp42", b"qt  "), declared).mime_type == declared


def test_a_known_type_that_is_not_supported_is_named_so() -> None:
    with pytest.raises(UndecidableError) as raised:
        recognise(ftyp(b"heic", b"mif1", b"heic"), "image/heic")

    assert raised.value.reason is Reason.UNSUPPORTED_TYPE


@pytest.mark.parametrize(
    ("head", "media_type", "parser"),
    [
        (b"\xff\xd8\xff\xe0", MediaType.IMAGE, "JPEG"),
        (ftyp(b"isom", b"avc1"), MediaType.VIDEO, "mov"),
        (ftyp(b"mp42", b"mp42", b"qt  "), MediaType.VIDEO, "mov"),
    ],
)
def test_a_format_is_found_without_a_declaration(head: bytes, media_type: MediaType, parser: str) -> None:
    assert detect(head, media_type).parser == parser


@pytest.mark.parametrize(
    ("head", "media_type", "reason"),
    [
        (b"", MediaType.IMAGE, Reason.EMPTY),
        (b"<html>", MediaType.IMAGE, Reason.NOT_MEDIA),
        (ftyp(b"heic", b"mif1", b"heic"), MediaType.IMAGE, Reason.UNSUPPORTED_TYPE),
        (b"\xff\xd8\xff\xe0", MediaType.VIDEO, Reason.MIME_TYPE_MISMATCH),
        (ftyp(b"isom", b"avc1"), MediaType.IMAGE, Reason.MIME_TYPE_MISMATCH),
    ],
)
def test_a_format_that_is_not_found_has_its_reason(
    head: bytes, media_type: MediaType, reason: Reason
) -> None:
    with pytest.raises(UndecidableError) as raised:
        detect(head, media_type)

    assert raised.value.reason is reason
