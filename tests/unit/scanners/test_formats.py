import pytest

from mediagate.scanners.formats import recognise, sniff
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
