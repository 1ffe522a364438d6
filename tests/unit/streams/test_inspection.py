from collections.abc import Iterator

import pytest

from mediagate.errors import TransientError
from mediagate.events import Inspection
from mediagate.media_pool import MediaPool
from mediagate.scanners import Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.reasons import Reason
from streams.inspection import MediaInspector
from tests import samples
from tests.object_server import ObjectServer, object_server
from tests.settings import streams_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the pool belongs to one loop

SETTINGS = streams_settings(max_pixels=10_000, max_duration=5)


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served:
        yield served


@pytest.fixture(scope="module")
def inspector() -> Iterator[MediaInspector]:
    with MediaPool(SETTINGS) as pool:
        yield MediaInspector(pool, SETTINGS)


async def test_one_result_per_item_in_order(inspector: MediaInspector, server: ObjectServer) -> None:
    items = [
        server.item("sound", samples.jpeg(64, 48), "image/jpeg"),
        server.item("mislabelled", samples.png(), "image/jpeg"),
        server.item("page", samples.HTML, "image/jpeg"),
        server.item("large", samples.png(101, 100), "image/png"),
        server.item("long", samples.mp4(6), "video/mp4"),
        server.item("video", samples.mp4(2), "video/mp4"),
        server.item("changed", samples.png(), "image/png"),
    ]
    server.put("changed", samples.jpeg())

    assert await inspector.inspect(items) == [
        Inspected(Inspection(mime_type="image/jpeg", width=64, height=48)),
        Unscannable(Reason.MIME_TYPE_MISMATCH),
        Unscannable(Reason.NOT_MEDIA),
        Unscannable(Reason.TOO_MANY_PIXELS),
        Unscannable(Reason.TOO_LONG),
        Inspected(Inspection(mime_type="video/mp4", width=64, height=48, duration=2.0)),
        Unscannable(Reason.OBJECT_CHANGED),
    ]


async def test_a_store_that_fails_fails_the_batch(inspector: MediaInspector, server: ObjectServer) -> None:
    items = [server.item(f"picture{number}", samples.png(), "image/png") for number in range(3)]
    server.fail_after = 0

    with pytest.raises(TransientError):
        await inspector.inspect(items)

    server.fail_after = None
    assert all(isinstance(found, Inspected) for found in await inspector.inspect(items))


async def test_hashes_come_with_the_inspection_where_asked_for(
    inspector: MediaInspector, server: ObjectServer
) -> None:
    items = [
        server.item("picture", samples.jpeg(100, 80), "image/jpeg"),
        server.item("video", samples.mp4(2), "video/mp4"),
    ]

    picture, video = await inspector.inspect(items, with_pdq=True)

    assert isinstance(picture, Inspected)
    assert len(set(picture.pdq)) == 8
    assert isinstance(video, Inspected)
    assert video.pdq == ()
