"""Pictures and animations: opening within limits, sampling frames, turning them into plain RGB."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import ExifTags, Image, ImageOps

from mediagate.events import Inspection
from mediagate.scanners.formats import Format
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.reasons import Reason, UndecidableError

SCORED_SIDE = 512  # pixels; twice what the model looks at
TRANSPOSED = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height."""


def inspect_picture(image: Image.Image, format_: Format) -> Inspection:
    """Dimensions after EXIF rotation and frames, once an opened picture's first frame is decoded."""
    width, height = image.size
    if image.getexif().get(ExifTags.Base.Orientation) in TRANSPOSED:
        width, height = height, width
    _draft(image)
    image.load()
    frames = frame_count(image)
    return Inspection(
        mime_type=format_.mime_type, width=width, height=height, frames=frames if frames > 1 else None
    )


@contextmanager
def open_picture(file: BinaryIO, format_: Format, limits: MediaLimits) -> Iterator[Image.Image]:
    """The picture, not decoded yet; past a limit raises UndecidableError or a decompression bomb's error."""
    with _pixel_limit(limits.max_pixels), Image.open(file, formats=[format_.parser]) as image:
        width, height = image.size
        if not width or not height:
            raise UndecidableError(Reason.NO_DIMENSIONS)
        if width * height > limits.max_pixels:
            raise UndecidableError(Reason.TOO_MANY_PIXELS)
        if frame_count(image) > limits.max_frames:
            raise UndecidableError(Reason.TOO_MANY_FRAMES)
        yield image


def frame_count(image: Image.Image) -> int:
    """The picture's frames: 1 unless it is animated."""
    # PNG and WebP declare them. GIF's are found by their headers, undecoded: a million in about a second, and
    # the pool's deadline ends the rest.
    return int(getattr(image, "n_frames", 1))


def sample_frames(image: Image.Image, count: int) -> Iterator[Image.Image]:
    """At most `count` frames from the first to the last as RGB; a frame with transparency comes twice."""
    total = frame_count(image)
    if total == 1:
        _draft(image)
    for index in spread(total, count):
        try:
            image.seek(index)
        except EOFError as error:
            raise UndecidableError(Reason.MISSING_FRAMES) from error
        image.load()
        yield from renditions(image)


def spread(total: int, count: int) -> list[int]:
    """At most `count` indexes of `total`, evenly spread, the first and the last among them."""
    if total <= count:
        return list(range(total))
    if count == 1:
        return [total // 2]
    return [round(step * (total - 1) / (count - 1)) for step in range(count)]


def renditions(image: Image.Image) -> list[Image.Image]:
    """The frame as viewers show it, in RGB: where it is transparent, on white and on black."""
    # A copy of a large picture costs as much as shrinking it: none is made of one that is plain already.
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    if upright.mode.startswith("I"):
        return [_eight_bits(upright)]
    if not upright.has_transparency_data:
        return [upright if upright.mode == "RGB" and frame_count(image) == 1 else upright.convert("RGB")]
    layered = upright.convert("RGBA")
    layered.thumbnail((2 * SCORED_SIDE, 2 * SCORED_SIDE))
    return [
        Image.alpha_composite(Image.new("RGBA", layered.size, background), layered).convert("RGB")
        for background in ("white", "black")
    ]


def _eight_bits(image: Image.Image) -> Image.Image:
    # Pillow clips 16 bits when it converts: nearly everything would be white, and score as harmless.
    return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")


def _draft(image: Image.Image) -> None:
    image.draft(None, (SCORED_SIDE, SCORED_SIDE))  # JPEG decodes at a fraction; other formats ignore it


@contextmanager
def _pixel_limit(max_pixels: int) -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
