"""Inspection and the local scanner on a real object store's signed URLs."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
import urllib3

from mediagate.errors import ObjectChangedError
from mediagate.events import Inspection
from mediagate.media import media_type_of
from mediagate.media_pool import MediaPool
from mediagate.remote_file import RemoteFile
from mediagate.scanners import ScanItem, Scanned, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.local import LocalScanner
from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.scanners.reasons import Reason
from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3, PutTerms
from streams.inspection import MediaInspector
from tests import samples

EXPIRES = timedelta(minutes=5)


async def uploaded(s3: S3, settings: Settings, key: str, content: bytes, mime_type: str) -> ScanItem:
    """Puts the content as a client does; what a window would scan."""
    await asyncio.to_thread(_put, s3, settings.temp_bucket, key, content, mime_type)
    head = await s3.head(settings.temp_bucket, key)
    assert head is not None
    return ScanItem(
        job_id=key,
        media_type=media_type_of(mime_type),
        mime_type=mime_type,
        url=s3.presign_get(settings.temp_bucket, key, EXPIRES).url,
        etag=head.etag,
        size=head.size,
    )


def _put(s3: S3, bucket: str, key: str, content: bytes, mime_type: str) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    terms = PutTerms(bucket, key, len(content), mime_type, hashlib.sha256(content).hexdigest(), md5)
    signed = s3.presign_put(terms, EXPIRES)
    with urllib3.PoolManager() as http:
        answer = http.request(signed.method, signed.url, body=content, headers=dict(signed.headers))
        assert answer.status == 200, answer.data


async def test_media_is_inspected_and_scanned_through_signed_urls(s3: S3, settings: Settings) -> None:
    streams_settings = StreamsSettings.model_validate(settings.model_dump())
    items = [
        await uploaded(s3, settings, "picture", samples.jpeg(640, 480), "image/jpeg"),
        await uploaded(s3, settings, "video", samples.mp4(3), "video/mp4"),
        await uploaded(s3, settings, "unsafe", UNSAFE_PICTURE.read_bytes(), "image/jpeg"),
        await uploaded(s3, settings, "changed", samples.png(), "image/png"),
    ]
    await s3.delete(settings.temp_bucket, "changed")
    await uploaded(s3, settings, "changed", samples.png(8, 8), "image/png")

    with MediaPool(streams_settings) as pool:
        inspections = await MediaInspector(pool, streams_settings).inspect(items)
        results = await LocalScanner(pool, streams_settings).scan(items)

    assert inspections == [
        Inspected(Inspection(mime_type="image/jpeg", width=640, height=480)),
        Inspected(Inspection(mime_type="video/mp4", width=64, height=48, duration=3.0)),
        Inspected(Inspection(mime_type="image/jpeg", width=512, height=512)),
        Unscannable(Reason.OBJECT_CHANGED),
    ]
    scores = [result.scores["nsfw"] for result in results if isinstance(result, Scanned)]
    assert [score > 0.85 for score in scores] == [False, False, True]
    assert results[3] == Unscannable(Reason.OBJECT_CHANGED)


async def test_the_store_honours_if_match_on_a_ranged_signed_get(s3: S3, settings: Settings) -> None:
    item = await uploaded(s3, settings, "object", b"0123456789", "image/png")
    headers = {"Range": "bytes=2-4", "If-Match": '"00000000000000000000000000000000"'}

    def ask() -> int:
        with urllib3.PoolManager() as http:
            return http.request("GET", item.url, headers=headers).status

    def read() -> bytes:
        with RemoteFile(item.url, item.etag, item.size) as file:
            file.seek(2)
            return bytes(file.read(3) or b"")

    assert await asyncio.to_thread(ask) == 412
    assert await asyncio.to_thread(read) == b"234"

    await s3.delete(settings.temp_bucket, "object")
    with pytest.raises(ObjectChangedError):
        await asyncio.to_thread(read)
