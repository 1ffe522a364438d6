"""S3 takes the signed request as it is, once, and nothing else."""

import pytest

from mediagate.settings import GatewaySettings
from mediagate.storage import S3
from tests.integration.gateway.uploader import Uploader, base64_md5, base64_sha256, put

CONTENT = b"the declared bytes"
OTHER = b"some other bytes!!"  # as long as the declared ones


async def test_the_declared_bytes_are_stored(
    alice: Uploader, s3: S3, gateway_settings: GatewaySettings
) -> None:
    answer = await alice.request_upload(CONTENT)

    assert await put(answer["upload"], CONTENT) == 200

    head = await s3.head(gateway_settings.temp_bucket, f"uploads/{answer['media_id']}")
    assert head is not None
    assert (head.size, head.mime_type) == (len(CONTENT), "image/jpeg")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        pytest.param(OTHER, {}, id="other bytes"),
        pytest.param(CONTENT + b"!", {"Content-Length": str(len(CONTENT) + 1)}, id="longer"),
        pytest.param(CONTENT[:-1], {"Content-Length": str(len(CONTENT) - 1)}, id="shorter"),
        pytest.param(CONTENT, {"Content-Type": "text/html"}, id="other type"),
        pytest.param(CONTENT, {"Content-Type": None}, id="no type"),
        pytest.param(
            OTHER,
            {"x-amz-checksum-sha256": base64_sha256(OTHER), "Content-MD5": base64_md5(OTHER)},
            id="other bytes with their checksums",
        ),
        pytest.param(CONTENT, {"x-amz-checksum-sha256": base64_sha256(OTHER)}, id="other sha256"),
        pytest.param(CONTENT, {"x-amz-checksum-sha256": None}, id="no sha256"),
        pytest.param(CONTENT, {"Content-MD5": base64_md5(OTHER)}, id="other md5"),
        pytest.param(CONTENT, {"Content-MD5": None}, id="no md5"),
        pytest.param(CONTENT, {"If-None-Match": None}, id="no If-None-Match"),
    ],
)
async def test_an_altered_request_is_refused(
    alice: Uploader, content: bytes, headers: dict[str, str | None]
) -> None:
    answer = await alice.request_upload(CONTENT)

    assert await put(answer["upload"], content, headers) in {400, 403}

    assert (await alice.complete(answer["media_id"]))[0] == 409


async def test_another_key_is_refused(alice: Uploader) -> None:
    first, second = await alice.request_upload(CONTENT), await alice.request_upload(CONTENT)
    url = first["upload"]["url"].replace(first["media_id"], second["media_id"])

    assert await put({**first["upload"], "url": url}, CONTENT) == 403


async def test_an_uploaded_file_is_not_overwritten(alice: Uploader) -> None:
    answer = await alice.request_upload(CONTENT)
    assert await put(answer["upload"], CONTENT) == 200

    assert await put(answer["upload"], CONTENT) == 412
