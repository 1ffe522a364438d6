"""A picture as it is sent to a scanner that takes content: a few upright JPEGs; runs in a worker process."""

import io
from functools import partial
from typing import BinaryIO

from PIL import Image

from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.decoding import judge
from mediagate.scanners.formats import Format
from mediagate.scanners.pictures import open_picture, sample_frames
from mediagate.scanners.sampling import Sampling

LONGEST_SIDE = 1024  # pixels
QUALITY = 90


def renditions(sampling: Sampling, item: ScanItem) -> tuple[bytes, ...] | Unscannable:
    """The sampled frames, each once, as JPEGs; raises TransientError where the bytes cannot be read."""
    return judge(item, partial(_renditions, sampling))


def _renditions(sampling: Sampling, file: BinaryIO, format_: Format) -> tuple[bytes, ...]:
    with open_picture(file, format_, sampling.limits) as image:
        frames = sample_frames(image, sampling.animation_frames)
        return tuple(dict.fromkeys(_jpeg(frame) for frame in frames))


def _jpeg(frame: Image.Image) -> bytes:
    frame.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
