"""Bucket and key of every upload."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PostgresDsn

from mediagate.media import safe_file_name
from mediagate.settings import Settings
from sinks.destinations import Destination, published_at, quarantined_at

MEDIA_ID = UUID("0123abcd-0000-4000-8000-00000000ffff")
SETTINGS = Settings(
    _env_file=None,
    database_url=PostgresDsn("postgresql://localhost/mediagate"),
    kafka_bootstrap_servers="localhost:9092",
)


@st.composite
def file_names(draw: st.DrawFn) -> str:
    stem = draw(st.text(min_size=1, max_size=300))
    suffix = draw(st.sampled_from(["", ".", ".jpg", ".tar.gz", "." + "x" * 250, ".日本"]))
    try:
        return safe_file_name(stem + suffix)
    except ValueError:
        return "fallback" + suffix[:20]


@pytest.mark.parametrize(
    ("linked_to_type", "bucket", "key"),
    [
        ("post", "posts-media", "a.jpg"),
        ("opportunity", "opportunities-media", "a.jpg"),
        ("profile_picture", "users-media", "profile_picture/a.jpg"),
        ("project", "talent-profiles-media", "project/a.jpg"),
        ("comment", "default-bucket", "comment/a.jpg"),
    ],
)
def test_bucket_and_key_follow_the_type(linked_to_type: str, bucket: str, key: str) -> None:
    assert published_at(SETTINGS, linked_to_type, "a.jpg", MEDIA_ID)[0] == Destination(bucket, key)


def test_other_names_follow_for_a_name_that_is_taken() -> None:
    keys = [destination.key for destination in published_at(SETTINGS, "project", "a.jpg", MEDIA_ID)]

    assert keys == [
        "project/a.jpg",
        "project/a-0123abcd.jpg",
        "project/a-0123abcd00004000800000000000ffff.jpg",
    ]


def test_the_table_is_a_setting() -> None:
    settings = SETTINGS.model_copy(
        update={"buckets": {"story": "stories"}, "file_name_key_types": frozenset({"story"})}
    )

    assert published_at(settings, "story", "a.jpg", MEDIA_ID)[0] == Destination("stories", "a.jpg")
    assert published_at(settings, "post", "a.jpg", MEDIA_ID)[0] == Destination("default-bucket", "post/a.jpg")


def test_a_rejected_upload_goes_to_quarantine_under_its_id() -> None:
    assert quarantined_at(SETTINGS, MEDIA_ID) == [Destination("media-quarantine", str(MEDIA_ID))]


@given(file_names(), st.uuids(), st.sampled_from(["post", "project", "x" * 64]))
def test_keys_are_distinct_and_short_and_keep_the_suffix(name: str, media_id: UUID, kind: str) -> None:
    keys = [destination.key for destination in published_at(SETTINGS, kind, name, media_id)]

    assert len(set(keys)) == len(keys) >= 2
    for key in keys:
        folder, _, last = key.rpartition("/")
        assert folder == ("" if kind == "post" else kind)
        assert 0 < len(last.encode()) <= 200
    if name.endswith((".jpg", ".gz")):
        assert all(key.endswith(name[name.rindex(".") :]) for key in keys)


@given(file_names(), st.uuids())
def test_a_name_of_two_hundred_bytes_is_kept_whole(name: str, media_id: UUID) -> None:
    if len(name.encode()) <= 200:
        assert published_at(SETTINGS, "post", name, media_id)[0].key == name
