"""Every limit of decoding is a setting, and what exceeds one is told by name, wherever it is decoded."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
import stamina
from PIL import Image

from mediagate.media_pool import MediaPool
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.local import model_path
from mediagate.scanners.nsfw_model import score
from mediagate.scanners.probe import probe
from mediagate.scanners.reasons import Reason
from mediagate.scanners.renditions import renditions
from mediagate.scanners.sampling import Sampling
from mediagate.settings import MediaSettings
from tests import media_processes, samples
from tests.object_server import ObjectServer, object_server

ANIMATIONS = [
    pytest.param(samples.gif(5), "image/gif", id="gif"),
    pytest.param(samples.webp(5), "image/webp", id="webp"),
    pytest.param(samples.apng(5), "image/png", id="apng"),
]


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served, stamina.set_testing(True, attempts=2):
        yield served


def whatever_decodes(settings: MediaSettings, item: ScanItem) -> list[object]:
    """What inspection, the local scanner and, of a picture, what prepares it for Vision say."""
    sampling = Sampling.of(settings)
    found: list[object] = [
        probe(MediaLimits.of(settings), False, item),
        score(str(model_path()), sampling, item),
    ]
    return found if item.mime_type.startswith("video/") else [*found, renditions(sampling, item)]


def allowed(settings: MediaSettings, item: ScanItem) -> bool:
    return not any(isinstance(result, Unscannable) for result in whatever_decodes(settings, item))


def refused(settings: MediaSettings, item: ScanItem, reason: Reason) -> bool:
    return all(result == Unscannable(reason) for result in whatever_decodes(settings, item))


def test_pixels(server: ObjectServer) -> None:
    limited = MediaSettings(max_pixels=64 * 48)
    wide_video = samples.video("mp4", "libx264", 1, width=80)

    assert allowed(limited, server.item("item", samples.png(64, 48), "image/png"))
    assert refused(limited, server.item("item", samples.png(65, 48), "image/png"), Reason.TOO_MANY_PIXELS)
    assert allowed(limited, server.item("item", samples.mp4(1), "video/mp4"))
    assert refused(limited, server.item("item", wide_video, "video/mp4"), Reason.TOO_MANY_PIXELS)


@pytest.mark.parametrize(("content", "mime_type"), ANIMATIONS)
def test_frames_of_an_animation(server: ObjectServer, content: bytes, mime_type: str) -> None:
    item = server.item("item", content, mime_type)

    assert allowed(MediaSettings(max_frames=5), item)
    assert refused(MediaSettings(max_frames=4), item, Reason.TOO_MANY_FRAMES)


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        pytest.param(samples.mp4(2), "video/mp4", id="declared-count"),
        pytest.param(samples.webm(2), "video/webm", id="declared-rate"),
    ],
)
def test_frames_of_a_video(server: ObjectServer, content: bytes, mime_type: str) -> None:
    item = server.item("item", content, mime_type)

    assert allowed(MediaSettings(max_frames=20), item)
    assert refused(MediaSettings(max_frames=19), item, Reason.TOO_MANY_FRAMES)


def test_frames_that_a_video_does_not_declare_are_counted(server: ObjectServer) -> None:
    item = server.item("item", samples.webm_of_a_false_rate(300), "video/webm")

    assert allowed(MediaSettings(max_frames=300), item)
    assert score(str(model_path()), Sampling.of(MediaSettings(max_frames=100)), item) == Unscannable(
        Reason.TOO_MANY_FRAMES
    )


def test_seconds(server: ObjectServer) -> None:
    limited = MediaSettings(max_duration=timedelta(seconds=2.5))

    assert allowed(limited, server.item("item", samples.mp4(2), "video/mp4"))
    assert refused(limited, server.item("item", samples.mp4(3), "video/mp4"), Reason.TOO_LONG)


async def test_memory(server: ObjectServer) -> None:
    settings = MediaSettings(max_pixels=10**9, scanner_memory_bytes=2**30, scanner_processes=1)
    inspect = partial(probe, MediaLimits.of(settings), False)
    large_picture = server.item("picture", samples.bomb_png(20_000, 20_000), "image/png")
    large_video = server.item("video", samples.video("mp4", "mpeg4", 1, 4000, 4000, rate=1), "video/mp4")
    sound = server.item("sound", samples.mp4(1), "video/mp4")

    assert isinstance(inspect(large_video), Inspected)
    with MediaPool(settings) as pool:
        assert await pool.run(inspect, large_picture) == Unscannable(Reason.OUT_OF_MEMORY)
        assert isinstance(await pool.run(inspect, sound), Inspected)
        await pool.run(media_processes.leave_memory, 10 * 2**20)  # less than half a frame
        assert await pool.run(inspect, large_video) == Unscannable(Reason.OUT_OF_MEMORY)
        assert isinstance(await pool.run(inspect, sound), Inspected)


@pytest.mark.parametrize(("content", "mime_type"), ANIMATIONS)
def test_inspection_tells_animations_from_pictures(
    server: ObjectServer, content: bytes, mime_type: str
) -> None:
    limits = MediaLimits.of(MediaSettings())
    still = samples.saved(Image.new("RGB", (8, 8)), mime_type.removeprefix("image/").upper())

    for each, frames in ((content, 5), (still, None)):
        found = probe(limits, False, server.item("item", each, mime_type))
        assert isinstance(found, Inspected)
        assert found.inspection.frames == frames
