"""File names and MIME types that uploaders may say; the short way is the long way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.media import PLAIN_NAME, MediaType, made_safe, media_type_of, safe_file_name


@given(st.from_regex(PLAIN_NAME, fullmatch=True))
def test_a_plain_name_is_what_the_rule_makes_of_it(name: str) -> None:
    assert safe_file_name(name) == name == made_safe(name)


@pytest.mark.parametrize("name", ["a/b", "a\\b", ".bashrc", "a\n", "a\u0301.jpg", "x" * 256, "", "a\u202eb"])
def test_other_names_are_not_plain(name: str) -> None:
    assert PLAIN_NAME.fullmatch(name) is None


def test_media_types_are_those_of_images_and_videos() -> None:
    assert media_type_of("image/png") is MediaType.IMAGE
    assert media_type_of("video/mp4") is MediaType.VIDEO
    with pytest.raises(ValueError, match="neither"):
        media_type_of("text/html")
