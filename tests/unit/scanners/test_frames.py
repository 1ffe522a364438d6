"""What a model gets to see: which frames, and how they are prepared."""

import io
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mediagate.scanners import pictures, videos
from mediagate.scanners.formats import FORMATS
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.reasons import Reason, UndecidableError
from tests import samples

LIMITS = MediaLimits(max_pixels=50_000_000, max_frames=36_000, max_duration=600)

RED, BLUE = (254, 0, 0), (0, 0, 254)


def frames_of(content: bytes, mime_type: str, count: int) -> list[Image.Image]:
    file, format_ = io.BytesIO(content), FORMATS[mime_type]
    if mime_type.startswith("image/"):
        with pictures.open_picture(file, format_, LIMITS) as image:
            return list(pictures.sample_frames(image, count))
    with videos.open_video(file, format_, LIMITS) as video:
        return list(videos.sample_frames(video, count))


def centre(image: Image.Image) -> tuple[int, ...]:
    value = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(value, tuple)
    return value


@given(st.integers(1, 5000), st.integers(1, 40))
def test_samples_are_spread_from_the_first_to_the_last(total: int, count: int) -> None:
    indexes = pictures.spread(total, count)

    assert len(indexes) == min(total, count) == len(set(indexes))
    assert indexes == sorted(indexes)
    assert count == 1 or (indexes[0], indexes[-1]) == (0, total - 1)
    gaps = [after - before for before, after in pairwise(indexes)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.floats(0.001, 10_000), st.integers(1, 40))
def test_moments_are_spread_from_the_start_to_the_end(duration: float, count: int) -> None:
    moments = videos.sample_times(duration, count)

    assert len(moments) == count
    assert moments == sorted(moments)
    assert count == 1 or [moments[0], moments[-1]] == pytest.approx([0, duration])


@pytest.mark.parametrize("position", [0, 4, 8])
def test_first_middle_and_last_frame_of_an_animation_are_seen(position: int) -> None:
    content = samples.animation_with(Image.new("RGB", (32, 32), RED), position, frames=9)

    frames = frames_of(content, "image/webp", 3)

    assert len(frames) == 3
    assert any(centre(frame)[0] > 200 for frame in frames)


def test_an_animation_of_few_frames_is_seen_whole() -> None:
    assert len(frames_of(samples.gif(4), "image/gif", 10)) == 4


def test_a_truncated_animation_is_not_judged_by_its_first_frames() -> None:
    with pytest.raises((UndecidableError, OSError)):
        frames_of(samples.gif(5)[:-500], "image/gif", 10)


def test_frames_after_the_only_key_frame_are_seen() -> None:
    late = samples.video("mp4", "libx264", 10, still=Image.new("RGB", (64, 48), RED), still_from=9)

    frames = frames_of(late, "video/mp4", 10)

    assert len(frames) == 10
    assert [centre(frame)[0] > 200 and centre(frame)[1] < 60 for frame in frames] == [False] * 9 + [True]


def moving(rate: int, key_frames: int) -> bytes:
    """An MP4 of 8 seconds of which no two frames are alike, and most are such that no other needs them."""
    options = {"g": str(key_frames), "bf": "3", "b_strategy": "0", "sc_threshold": "0"}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8 * rate):
            output.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.asarray(samples.picture(hue=number % 256))))
            )
        output.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize("rate", [1, 25])
@pytest.mark.parametrize("key_frames", [1, 25, 250])
def test_sampled_frames_are_those_of_a_decoder_that_leaves_nothing_out(rate: int, key_frames: int) -> None:
    content = moving(rate, key_frames)
    with av.open(io.BytesIO(content), "r") as container:
        every = [(frame.time, frame.to_ndarray()) for frame in container.decode(video=0)]
    moments = [0.29 * step for step in range(28)]

    with videos.open_video(io.BytesIO(content), FORMATS["video/mp4"], LIMITS) as video:
        reader = videos.FrameReader(video)
        read = [reader.at(moment).to_ndarray() for moment in moments]
        alone = [videos.FrameReader(video).at(moment).to_ndarray() for moment in moments]

    shown = [[pixels for time, pixels in every if time <= moment][-1] for moment in moments]
    assert all(map(np.array_equal, read, shown))
    assert all(map(np.array_equal, alone, shown))


def test_a_video_of_one_key_frame_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    check = videos._check_size

    def counted(width: int, height: int, max_pixels: int) -> None:
        sizes.append(width)
        check(width, height, max_pixels)

    monkeypatch.setattr(videos, "_check_size", counted)

    assert len(frames_of(moving(25, 250), "video/mp4", 10)) == 10

    opened = 1
    assert len(sizes) - opened <= 8 * 25


@pytest.mark.parametrize("size", [0.9, 0.75, 0.6])
def test_a_truncated_video_is_missing_frames_however_few_are_left(size: float) -> None:
    whole = samples.mp4(30, faststart=True)

    with pytest.raises(UndecidableError) as raised:
        frames_of(whole[: int(len(whole) * size)], "video/mp4", 10)

    assert raised.value.reason is Reason.MISSING_FRAMES


def test_a_truncated_webm_is_missing_frames() -> None:
    whole = samples.webm(20)

    with pytest.raises(UndecidableError) as raised:
        frames_of(whole[: len(whole) // 2], "video/webm", 4)

    assert raised.value.reason is Reason.MISSING_FRAMES


def test_a_video_longer_than_its_header_says_is_not_judged_by_its_start() -> None:
    with pytest.raises(UndecidableError) as raised:
        frames_of(samples.shortened_header(samples.mp4(30)), "video/mp4", 10)

    assert raised.value.reason is Reason.DURATION_MISMATCH


def test_a_video_of_one_frame_is_seen_once() -> None:
    assert len(frames_of(samples.video("mp4", "libx264", 1, rate=1), "video/mp4", 10)) == 1


def test_exif_rotation_is_applied() -> None:
    (frame,) = frames_of(samples.jpeg(640, 480, orientation=6), "image/jpeg", 10)

    assert (frame.width, frame.height) == (480, 640)


def test_large_jpegs_are_decoded_small() -> None:
    (frame,) = frames_of(samples.jpeg(6000, 4000), "image/jpeg", 10)

    assert pictures.SCORED_SIDE <= min(frame.size) < 2 * pictures.SCORED_SIDE


def test_transparency_is_seen_on_white_and_on_black() -> None:
    on_white, on_black = pictures.renditions(Image.new("RGBA", (8, 8), (*RED, 128)))

    assert centre(on_white) == pytest.approx((254, 127, 127), abs=2)
    assert centre(on_black) == pytest.approx((127, 0, 0), abs=2)


def test_what_is_fully_transparent_is_not_seen() -> None:
    on_white, on_black = pictures.renditions(Image.new("RGBA", (8, 8), (*BLUE, 0)))

    assert (centre(on_white), centre(on_black)) == ((255, 255, 255), (0, 0, 0))


def test_a_transparent_palette_colour_is_seen_both_ways() -> None:
    assert len(frames_of(samples.palette_png(), "image/png", 10)) == 2


@pytest.mark.parametrize("level", [0, 20_000, 40_000, 65_535])
def test_16_bits_keep_their_brightness(level: int) -> None:
    (frame,) = frames_of(samples.png_16_bit(level), "image/png", 10)

    assert centre(frame) == (level // 256,) * 3


def test_cmyk_becomes_rgb() -> None:
    (frame,) = frames_of(samples.cmyk_jpeg(), "image/jpeg", 10)

    assert frame.mode == "RGB"
    original = samples.picture()
    assert centre(frame) == pytest.approx(centre(original), abs=20)
