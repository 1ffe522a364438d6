import pytest

from mediagate.jobs import TERMINAL, UNDECIDED, UNFINISHED, Acceptance, State, UploadDiffersError, accept
from mediagate.storage import ObjectHead

SHA256 = "a" * 64


def head(size: int = 10, sha256: str | None = SHA256) -> ObjectHead:
    return ObjectHead("media-temp", "uploads/1", size, '"etag"', "image/png", sha256, {})


def test_accepts_the_declared_object() -> None:
    assert accept(head(), 10, SHA256) == Acceptance('"etag"', 10, checksum_verified=True)


def test_only_a_checksum_that_s3_verified_counts_as_verified() -> None:
    assert not accept(head(sha256=None), 10, SHA256).checksum_verified


@pytest.mark.parametrize(
    ("found", "field"), [(head(size=11), "file_size"), (head(sha256="b" * 64), "sha256_hash")]
)
def test_refuses_another_object_and_says_in_what_it_differs(found: ObjectHead, field: str) -> None:
    with pytest.raises(UploadDiffersError) as caught:
        accept(found, 10, SHA256)
    assert caught.value.field == field


def test_every_state_is_terminal_or_unfinished() -> None:
    assert set(State) == TERMINAL | UNFINISHED
    assert not TERMINAL & UNFINISHED
    assert UNDECIDED < UNFINISHED
