"""The corpus: what inspection says of sound, damaged, mislabelled and hostile files."""

import io
from collections.abc import Iterator

import pytest
import stamina
from PIL import Image

from devstack.demo.media import photographs
from mediagate.errors import TransientError
from mediagate.events import Inspection
from mediagate.pdq import MAX_DISTANCE, pdq
from mediagate.scanners import Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.probe import probe
from mediagate.scanners.reasons import Reason
from tests import samples
from tests.object_server import ObjectServer, object_server

LIMITS = MediaLimits(max_pixels=50_000_000, max_frames=36_000, max_duration=600)
(PHOTOGRAPH,) = [image for name, image in photographs() if name == "chelsea"]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def layered(image: Image.Image) -> Image.Image:
    """The picture with a transparent border."""
    larger = Image.new("RGBA", (image.width + 2, image.height + 2))
    larger.paste(image, (1, 1))
    return larger


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served, stamina.set_testing(True, attempts=2):
        yield served


def inspected(
    server: ObjectServer, content: bytes, mime_type: str, limits: MediaLimits = LIMITS
) -> Inspection | Unscannable:
    found = probe(limits, False, server.item("object", content, mime_type))
    if isinstance(found, Unscannable):
        return found
    assert found.pdq == ()
    return found.inspection


def hashes(server: ObjectServer, content: bytes, mime_type: str) -> tuple[str, ...]:
    found = probe(LIMITS, True, server.item("object", content, mime_type))
    assert isinstance(found, Inspected)
    return found.pdq


@pytest.mark.parametrize(
    ("content", "mime_type", "size", "frames"),
    [
        pytest.param(samples.jpeg(64, 48), "image/jpeg", (64, 48), None, id="jpeg"),
        pytest.param(samples.jpeg(64, 48, orientation=6), "image/jpeg", (48, 64), None, id="jpeg-turned"),
        pytest.param(
            samples.jpeg(64, 48, orientation=3), "image/jpeg", (64, 48), None, id="jpeg-upside-down"
        ),
        pytest.param(samples.jpeg(3000, 2000), "image/jpeg", (3000, 2000), None, id="jpeg-large"),
        pytest.param(samples.cmyk_jpeg(), "image/jpeg", (64, 48), None, id="jpeg-cmyk"),
        pytest.param(samples.png(), "image/png", (64, 48), None, id="png"),
        pytest.param(samples.png_16_bit(), "image/png", (64, 64), None, id="png-16-bit"),
        pytest.param(samples.palette_png(), "image/png", (64, 48), None, id="png-palette"),
        pytest.param(samples.gif(), "image/gif", (64, 48), 5, id="gif-animated"),
        pytest.param(samples.webp(), "image/webp", (64, 48), 5, id="webp-animated"),
    ],
)
def test_pictures_have_dimensions_and_no_duration(
    server: ObjectServer, content: bytes, mime_type: str, size: tuple[int, int], frames: int | None
) -> None:
    width, height = size

    assert inspected(server, content, mime_type) == Inspection(
        mime_type=mime_type, width=width, height=height, duration=None, frames=frames
    )


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        pytest.param(samples.mp4(2), "video/mp4", id="mp4"),
        pytest.param(samples.quicktime(2), "video/quicktime", id="quicktime"),
        pytest.param(samples.webm(2), "video/webm", id="webm"),
    ],
)
def test_videos_have_dimensions_and_a_duration(server: ObjectServer, content: bytes, mime_type: str) -> None:
    found = inspected(server, content, mime_type)

    assert isinstance(found, Inspection)
    assert (found.mime_type, found.width, found.height) == (mime_type, 64, 48)
    assert found.duration == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("content", "mime_type", "reason"),
    [
        pytest.param(b"", "image/jpeg", Reason.EMPTY, id="empty"),
        pytest.param(samples.HTML, "image/jpeg", Reason.NOT_MEDIA, id="html"),
        pytest.param(samples.HTML + samples.jpeg(), "image/jpeg", Reason.NOT_MEDIA, id="html-then-jpeg"),
        pytest.param(b"%PDF-1.7\n" + bytes(64), "image/jpeg", Reason.NOT_MEDIA, id="pdf"),
        pytest.param(samples.png(), "image/jpeg", Reason.MIME_TYPE_MISMATCH, id="png-as-jpeg"),
        pytest.param(samples.jpeg(), "video/mp4", Reason.MIME_TYPE_MISMATCH, id="jpeg-as-mp4"),
        pytest.param(samples.jpeg() + samples.mp4(), "video/mp4", Reason.MIME_TYPE_MISMATCH, id="polyglot"),
        pytest.param(samples.mp4(), "video/quicktime", Reason.MIME_TYPE_MISMATCH, id="mp4-as-quicktime"),
        pytest.param(samples.quicktime(), "video/mp4", Reason.MIME_TYPE_MISMATCH, id="quicktime-as-mp4"),
        pytest.param(samples.mkv(), "video/webm", Reason.MIME_TYPE_MISMATCH, id="mkv-as-webm"),
        pytest.param(samples.jpeg(), "image/svg+xml", Reason.UNSUPPORTED_TYPE, id="svg"),
        pytest.param(samples.GIF_SCRIPT, "image/gif", Reason.UNDECODABLE, id="gif-script"),
        pytest.param(samples.jpeg(600, 400)[:-2000], "image/jpeg", Reason.UNDECODABLE, id="jpeg-truncated"),
        pytest.param(
            samples.jpeg(3000, 2000)[:-2000], "image/jpeg", Reason.UNDECODABLE, id="large-jpeg-truncated"
        ),
        pytest.param(samples.png()[:-150], "image/png", Reason.UNDECODABLE, id="png-truncated"),
        pytest.param(samples.webp()[:-500], "image/webp", Reason.UNDECODABLE, id="webp-truncated"),
        pytest.param(samples.mp4()[:-600], "video/mp4", Reason.UNDECODABLE, id="mp4-without-index"),
        pytest.param(samples.bomb_png(), "image/png", Reason.TOO_MANY_PIXELS, id="png-bomb"),
        pytest.param(samples.bomb_png(8000, 7000), "image/png", Reason.TOO_MANY_PIXELS, id="png-small-bomb"),
        pytest.param(samples.bomb_png(0, 5), "image/png", Reason.UNDECODABLE, id="png-without-width"),
        pytest.param(
            samples.shortened_header(samples.mp4(10)), "video/mp4", Reason.DURATION_MISMATCH, id="mp4-longer"
        ),
        pytest.param(samples.two_videos(), "video/mp4", Reason.SEVERAL_VIDEO_STREAMS, id="mp4-of-two"),
        pytest.param(samples.sound(), "video/mp4", Reason.NO_VIDEO_STREAM, id="mp4-sound-only"),
        pytest.param(
            samples.video("mp4", "mjpeg", 1), "video/mp4", Reason.UNSUPPORTED_CODEC, id="mp4-of-mjpeg"
        ),
    ],
)
def test_what_is_not_sound_has_a_named_reason(
    server: ObjectServer, content: bytes, mime_type: str, reason: Reason
) -> None:
    assert inspected(server, content, mime_type) == Unscannable(reason)


def test_limits_belong_to_what_exceeds_them(server: ObjectServer) -> None:
    exact = MediaLimits(max_pixels=64 * 48, max_frames=36_000, max_duration=2.5)

    assert isinstance(inspected(server, samples.png(64, 48), "image/png", exact), Inspection)
    assert inspected(server, samples.png(65, 48), "image/png", exact) == Unscannable(Reason.TOO_MANY_PIXELS)
    assert isinstance(inspected(server, samples.mp4(2), "video/mp4", exact), Inspection)
    assert inspected(server, samples.mp4(3), "video/mp4", exact) == Unscannable(Reason.TOO_LONG)
    assert inspected(server, samples.video("mp4", "libx264", 1, width=80), "video/mp4", exact) == Unscannable(
        Reason.TOO_MANY_PIXELS
    )


def test_another_object_or_size_has_a_named_reason(server: ObjectServer) -> None:
    item = server.item("object", samples.png(), "image/png")
    server.put("object", samples.png(8, 8))
    assert probe(LIMITS, False, item) == Unscannable(Reason.OBJECT_CHANGED)

    server.ignores_if_match = True
    assert probe(LIMITS, False, item) == Unscannable(Reason.OBJECT_CHANGED)


def test_an_object_of_another_size_than_the_event_says_has_a_named_reason(server: ObjectServer) -> None:
    item = server.item("object", samples.png(), "image/png")
    for size in (item.size + 1, item.size - 1):
        resized = type(item)(item.job_id, item.media_type, item.mime_type, item.url, item.etag, size)
        assert probe(LIMITS, False, resized) == Unscannable(Reason.SIZE_MISMATCH)


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [(samples.jpeg(600, 400), "image/jpeg"), (samples.mp4(5), "video/mp4"), (samples.webm(5), "video/webm")],
)
def test_a_store_that_fails_half_way_is_transient_and_no_verdict(
    server: ObjectServer, content: bytes, mime_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediagate.remote_file.BLOCK", 1024)
    item = server.item("object", content, mime_type)
    server.fail_after = -(-len(content) // 1024) - 1

    with pytest.raises(TransientError):
        probe(LIMITS, False, item)


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        pytest.param(saved(PHOTOGRAPH, "JPEG", quality=50), "image/jpeg", id="jpeg"),
        pytest.param(samples.turned_jpeg(PHOTOGRAPH), "image/jpeg", id="jpeg-turned"),
        pytest.param(saved(PHOTOGRAPH.resize((2000, 1500)), "JPEG"), "image/jpeg", id="jpeg-large"),
        pytest.param(saved(PHOTOGRAPH, "PNG"), "image/png", id="png"),
        pytest.param(saved(PHOTOGRAPH.quantize(256), "PNG"), "image/png", id="png-palette"),
        pytest.param(saved(layered(PHOTOGRAPH), "PNG"), "image/png", id="png-transparent"),
        pytest.param(saved(PHOTOGRAPH, "GIF"), "image/gif", id="gif"),
        pytest.param(
            samples.animation_with(PHOTOGRAPH, position=0, frames=3),
            "image/webp",
            id="animation-begins-with-it",
        ),
    ],
)
def test_pictures_have_their_pdq_hashes_in_eight_orientations(
    server: ObjectServer, content: bytes, mime_type: str
) -> None:
    found = hashes(server, content, mime_type)

    assert len(set(found)) == 8
    expected = int(pdq(PHOTOGRAPH).hashes[0], 16)
    assert min((int(digits, 16) ^ expected).bit_count() for digits in found) <= MAX_DISTANCE


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        pytest.param(saved(Image.new("RGB", (400, 300), "grey"), "JPEG"), "image/jpeg", id="flat"),
        pytest.param(
            samples.animation_with(PHOTOGRAPH, position=2, frames=3), "image/webp", id="flat-first-frame"
        ),
        pytest.param(samples.mp4(1), "video/mp4", id="video"),
    ],
)
def test_what_has_too_little_to_see_has_no_hashes(
    server: ObjectServer, content: bytes, mime_type: str
) -> None:
    assert hashes(server, content, mime_type) == ()


def test_hashes_take_no_second_read(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediagate.remote_file.BLOCK", 1024)
    monkeypatch.setattr("mediagate.remote_file.CACHED_BLOCKS", 1)
    item = server.item("object", saved(PHOTOGRAPH, "JPEG"), "image/jpeg")
    probe(LIMITS, False, item)
    without = len(server.requests)

    probe(LIMITS, True, item)

    assert len(server.requests) == 2 * without


def test_with_hashes_a_damaged_picture_has_the_same_reason(server: ObjectServer) -> None:
    item = server.item("object", samples.jpeg(600, 400)[:-2000], "image/jpeg")

    assert probe(LIMITS, True, item) == Unscannable(Reason.UNDECODABLE)
