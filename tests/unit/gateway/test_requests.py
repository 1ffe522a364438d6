"""What a body may say, and that everything wrong with it is said at once."""

import hashlib
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.models import CompletionRequest, UploadRequest
from gateway.problems import ProblemError
from gateway.requests import parse, traceparent
from gateway.uploads import UploadRules, fingerprint, temp_key
from mediagate.media import MediaType
from mediagate.serializing import json_of

RULES = UploadRules(
    frozenset({"image/jpeg", "image/png", "video/mp4"}), {MediaType.IMAGE: 1000, MediaType.VIDEO: 5000}
)
VALID: dict[str, Any] = {
    "user_id": "alice",
    "file_name": "example.jpg",
    "file_size": 1000,
    "mime_type": "image/jpeg",
    "sha256_hash": "Ab" * 32,
    "linked_to_id": "post-1",
    "linked_to_type": "post",
    "md5Hash": "cD" * 16,
}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*VALID, "x"]), inner),
)


def request(headers: dict[str, str] | None = None, /, **changes: Any) -> UploadRequest:
    body = {name: value for name, value in {**VALID, **changes}.items() if value is not None}
    return parse(UploadRequest, json.dumps(body).encode(), headers or {}, RULES)[0]


def faults(headers: dict[str, str] | None = None, /, **changes: Any) -> dict[str, str]:
    with pytest.raises(ProblemError) as refusal:
        request(headers, **changes)
    assert refusal.value.status == 422
    return {error.field: error.message for error in refusal.value.errors}


def test_the_references_body_is_accepted() -> None:
    parsed = request()

    assert (parsed.file_size, parsed.linked_to_type) == (1000, "post")
    assert (parsed.sha256_hash, parsed.md5_hash) == ("ab" * 32, "cd" * 16)


def test_md5_has_two_names() -> None:
    assert request(md5Hash=None, md5_hash="EF" * 16).md5_hash == "ef" * 16


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", ""),
        ("user_id", "a" * 256),
        ("user_id", "al\0ice"),
        ("user_id", 7),
        ("file_name", "../.."),
        ("file_name", "\r\n"),
        ("file_size", 0),
        ("file_size", -1),
        ("file_size", 1001),
        ("file_size", "1000"),
        ("file_size", 10.5),
        ("file_size", True),
        ("file_size", 2**70),
        ("mime_type", "text/html"),
        ("mime_type", "image/svg+xml"),
        ("mime_type", "image/jpeg; charset=utf-8"),
        ("sha256_hash", "ab" * 31),
        ("sha256_hash", "zz" * 32),
        ("sha256_hash", "ab" * 32 + "\n"),
        ("md5Hash", "ab" * 32),
        ("linked_to_type", "Post"),
        ("linked_to_type", "../post"),
        ("linked_to_type", "a" * 65),
        ("linked_to_id", ""),
        ("linked_to_id", {"$ne": 1}),
    ],
)
def test_a_faulty_field_is_named(field: str, value: object) -> None:
    assert set(faults(None, **{field: value})) == {field}


@pytest.mark.parametrize("field", VALID)
def test_a_missing_field_is_named(field: str) -> None:
    assert set(faults(None, **{field: None})) == {field}


def test_every_faulty_field_is_named_at_once() -> None:
    found = faults(
        {"Idempotency-Key": "x" * 256},
        user_id="",
        file_name="/",
        file_size=0,
        mime_type="text/html",
        sha256_hash="",
        linked_to_id="",
        linked_to_type="",
        md5Hash="",
    )

    assert set(found) == {*VALID, "Idempotency-Key"}


def test_a_message_says_what_would_be_accepted() -> None:
    assert faults(mime_type="image/tiff")["mime_type"] == "must be one of image/jpeg, image/png, video/mp4"
    assert faults(file_size=1001)["file_size"] == "must be at most 1000 bytes"


def test_each_media_type_has_a_limit_of_its_own() -> None:
    assert request(mime_type="video/mp4", file_size=5000).file_size == 5000
    assert set(faults(mime_type="video/mp4", file_size=5001)) == {"file_size"}


def test_the_largest_limit_holds_where_the_type_is_faulty() -> None:
    assert set(faults(mime_type="text/html", file_size=5000)) == {"mime_type"}
    assert set(faults(mime_type="text/html", file_size=5001)) == {"mime_type", "file_size"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"user_id": ' * 5_000,
        b'{"user_id": "\\ud800"}',
        b"{'user_id': 1}",
        b"nul",
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(ProblemError) as refusal:
        parse(UploadRequest, body, {}, RULES)

    assert refusal.value.status == 400


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"[{}]"])
def test_what_is_not_an_object_is_named_as_the_body(body: bytes) -> None:
    with pytest.raises(ProblemError) as refusal:
        parse(CompletionRequest, body, {})

    assert [error.field for error in refusal.value.errors] == ["body"]


@pytest.mark.parametrize("key", ["", "a" * 256, "schlüssel", "a\x7f", "\udcff"])
def test_an_idempotency_key_is_short_printable_ascii(key: str) -> None:
    assert set(faults({"Idempotency-Key": key})) == {"Idempotency-Key"}


def test_an_idempotency_key_is_returned_as_it_is() -> None:
    body = json.dumps(VALID).encode()

    assert parse(UploadRequest, body, {"Idempotency-Key": "a" * 255}, RULES)[1] == "a" * 255
    assert parse(UploadRequest, body, {}, RULES)[1] is None


@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_accepted_or_refused(body: bytes) -> None:
    try:
        parse(UploadRequest, body, {}, RULES)
    except ProblemError as refusal:
        assert refusal.status in {400, 422}


@given(st.text(max_size=600))
def test_an_accepted_file_name_is_one_printable_path_part(name: str) -> None:
    try:
        accepted = request(file_name=name).file_name
    except ProblemError:
        return
    assert 0 < len(accepted.encode()) <= 255
    assert not {"/", "\\", "\0", "\r", "\n"} & set(accepted)
    assert accepted not in {".", ".."}


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx: y", False),
        ("", False),
    ],
)
def test_only_a_w3c_trace_context_is_passed_on(value: str, accepted: bool) -> None:
    assert traceparent({"traceparent": value}) == (value if accepted else None)
    assert traceparent({}) is None


def test_a_temporary_key_has_nothing_of_the_clients_in_it() -> None:
    assert temp_key(UUID(int=1)) == "uploads/00000000-0000-0000-0000-000000000001"


def test_fingerprints_tell_bodies_apart() -> None:
    first = fingerprint(json_of(request()))

    assert first == fingerprint(json_of(request(sha256_hash="aB" * 32)))
    assert first != fingerprint(json_of(request(linked_to_id="post-2")))
    assert first != fingerprint(json_of(request(file_size=999)))


def test_a_hash_is_stored_in_lower_case() -> None:
    digest = hashlib.sha256(b"x").hexdigest()

    assert request(sha256_hash=digest.upper()).sha256_hash == digest
