"""Signed URLs are boto3's, byte for byte."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.client import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from mediagate.presigning import Presigner

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ENDPOINTS = [
    None,
    "http://127.0.0.1:9000",
    "http://127.0.0.1:80",
    "https://s3.example.org",
    "http://[::1]:9000",
]
PARAMETERS = {
    "Content-Type": "ContentType",
    "Content-Length": "ContentLength",
    "Content-MD5": "ContentMD5",
    "x-amz-checksum-sha256": "ChecksumSHA256",
    "If-None-Match": "IfNoneMatch",
}

texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=40).filter(
    str.strip
)
keys = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60)
buckets = st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9](\.[a-z0-9]{3,9})?", fullmatch=True)
lives = st.integers(1, 7 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))


def client(endpoint: str | None, region: str, credentials: Credentials) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "virtual"},
            request_checksum_calculation="when_required",
        ),
    )


CLIENTS = {
    (endpoint, region, token): client(endpoint, region, Credentials("AK/ID+", "secret/+=", token))
    for endpoint in ENDPOINTS
    for region in ("us-east-1", "eu-central-1")
    for token in (None, "to/k+en==")
}


def signed_at(url: str) -> datetime:
    (moment,) = parse_qs(urlsplit(url).query)["X-Amz-Date"]
    return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def presigner(settings: tuple[str | None, str, str | None], moment: datetime) -> Presigner:
    return Presigner(CLIENTS[settings], Credentials("AK/ID+", "secret/+=", settings[2]), lambda: moment)


@given(st.sampled_from(list(CLIENTS)), buckets, keys, lives)
def test_reading(
    settings: tuple[str | None, str, str | None], bucket: str, key: str, life: timedelta
) -> None:
    theirs = CLIENTS[settings].generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=int(life.total_seconds())
    )
    assert presigner(settings, signed_at(theirs)).presign("GET", bucket, key, life) == theirs


@given(st.sampled_from(list(CLIENTS)), buckets, keys, lives, texts, st.integers(1, 10**12))
def test_writing(
    settings: tuple[str | None, str, str | None],
    bucket: str,
    key: str,
    life: timedelta,
    text: str,
    size: int,
) -> None:
    headers = {
        "Content-Type": text,
        "Content-Length": str(size),
        "Content-MD5": "G yzV9Scxl0NDRaOYU5hSg==",
        "x-amz-checksum-sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "If-None-Match": "*",
    }
    params = {"Bucket": bucket, "Key": key} | {PARAMETERS[name]: value for name, value in headers.items()}
    theirs = CLIENTS[settings].generate_presigned_url(
        "put_object",
        Params=params | {"ContentLength": size},
        ExpiresIn=int(life.total_seconds()),
        HttpMethod="PUT",
    )
    assert presigner(settings, signed_at(theirs)).presign("PUT", bucket, key, life, headers) == theirs


def test_a_new_day_has_a_new_key() -> None:
    moments = iter([datetime(2030, 1, 1, 23, 59, 59, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)])
    settings = (ENDPOINTS[1], "us-east-1", None)
    same = Presigner(CLIENTS[settings], Credentials("a", "b"), lambda: next(moments))
    urls = [same.presign("GET", "bucket", "key", timedelta(minutes=1)) for _ in range(2)]

    fresh = Presigner(CLIENTS[settings], Credentials("a", "b"), lambda: datetime(2030, 1, 2, tzinfo=UTC))
    assert urls[1] == fresh.presign("GET", "bucket", "key", timedelta(minutes=1)) != urls[0]


def test_credentials_that_were_renewed_sign_from_then_on() -> None:
    settings, moment = (ENDPOINTS[1], "us-east-1", None), datetime(2030, 1, 1, tzinfo=UTC)
    credentials = Credentials("old", "old")
    signing = Presigner(CLIENTS[settings], credentials, lambda: moment)
    before = signing.presign("GET", "bucket", "key", timedelta(minutes=1))
    credentials.access_key, credentials.secret_key, credentials.token = "new", "new", "token"
    after = signing.presign("GET", "bucket", "key", timedelta(minutes=1))

    fresh = Presigner(CLIENTS[settings], Credentials("new", "new", "token"), lambda: moment)
    assert after == fresh.presign("GET", "bucket", "key", timedelta(minutes=1)) != before


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_boto_is_asked_once_for_a_bucket(endpoint: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = (endpoint, "us-east-1", None)
    signing = presigner(settings, datetime(2030, 1, 1, tzinfo=UTC))
    first = signing.presign("GET", "bucket", "key", timedelta(minutes=1))
    monkeypatch.setattr(CLIENTS[settings], "generate_presigned_url", None)
    assert signing.presign("GET", "bucket", "key", timedelta(minutes=1)) == first
