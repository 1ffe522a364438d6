"""The corpus: what inspection says of sound, damaged, mislabelled and hostile files."""

from collections.abc import Iterator

import pytest
import stamina

from mediagate.errors import TransientError
from mediagate.events import Inspection
from mediagate.scanners import Unscannable
from mediagate.scanners.probe import probe
from mediagate.scanners.reasons import Reason
from mediagate.scanners.videos import MediaLimits
from tests import samples
from tests.object_server import ObjectServer, object_server

LIMITS = MediaLimits(max_pixels=50_000_000, max_duration=600)


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as served, stamina.set_testing(True, attempts=2):
        yield served


def inspected(
    server: ObjectServer, content: bytes, mime_type: str, limits: MediaLimits = LIMITS
) -> Inspection | Unscannable:
    return probe(limits, server.item("object", content, mime_type))


@pytest.mark.parametrize(
    ("content", "mime_type", "size"),
    [
        pytest.param(samples.jpeg(64, 48), "image/jpeg", (64, 48), id="jpeg"),
        pytest.param(samples.jpeg(64, 48, orientation=6), "image/jpeg", (48, 64), id="jpeg-turned"),
        pytest.param(samples.jpeg(64, 48, orientation=3), "image/jpeg", (64, 48), id="jpeg-upside-down"),
        pytest.param(samples.jpeg(3000, 2000), "image/jpeg", (3000, 2000), id="jpeg-large"),
        pytest.param(samples.cmyk_jpeg(), "image/jpeg", (64, 48), id="jpeg-cmyk"),
        pytest.param(samples.png(), "image/png", (64, 48), id="png"),
        pytest.param(samples.png_16_bit(), "image/png", (64, 64), id="png-16-bit"),
        pytest.param(samples.palette_png(), "image/png", (64, 48), id="png-palette"),
        pytest.param(samples.gif(), "image/gif", (64, 48), id="gif-animated"),
        pytest.param(samples.webp(), "image/webp", (64, 48), id="webp-animated"),
    ],
)
def test_pictures_have_dimensions_and_no_duration(
    server: ObjectServer, content: bytes, mime_type: str, size: tuple[int, int]
) -> None:
    width, height = size

    assert inspected(server, content, mime_type) == Inspection(
        mime_type=mime_type, width=width, height=height, duration=None
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
    exact = MediaLimits(max_pixels=64 * 48, max_duration=2.5)

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
    assert probe(LIMITS, item) == Unscannable(Reason.OBJECT_CHANGED)

    server.ignores_if_match = True
    assert probe(LIMITS, item) == Unscannable(Reason.OBJECT_CHANGED)


def test_an_object_of_another_size_than_the_event_says_has_a_named_reason(server: ObjectServer) -> None:
    item = server.item("object", samples.png(), "image/png")
    for size in (item.size + 1, item.size - 1):
        resized = type(item)(item.job_id, item.media_type, item.mime_type, item.url, item.etag, size)
        assert probe(LIMITS, resized) == Unscannable(Reason.SIZE_MISMATCH)


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
        probe(LIMITS, item)
