"""PDQ, Meta's perceptual hash of pictures: re-encoded or resized, a picture keeps nearly all of its 256 bits.

Written from "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (Facebook, 2019),
hashing/hashing.pdf in facebook/ThreatExchange.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_DISTANCE = 31
"""Bits by which two hashes of the same picture may differ (pdq/README.md of facebook/ThreatExchange)."""
MIN_QUALITY = 50
"""Hashes of less are to be discarded (likewise)."""
LARGEST_SIDE = 512  # pixels
SMALL = 64
FREQUENCIES = 16
LUMA = np.array((0.299, 0.587, 0.114))
GRADIENT_PER_QUALITY = 90
"""Percent of white, summed over the picture."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pdq:
    """Hashes of 64 hex digits, of the picture as it is, then turned and mirrored; quality in 0..100."""

    hashes: tuple[str, ...]
    quality: int

    @property
    def matchable(self) -> tuple[str, ...]:
        """The hashes, or none where there is too little to see in the picture."""
        return self.hashes if self.quality >= MIN_QUALITY else ()


def pdq(image: Image.Image) -> Pdq:
    """The hashes of an RGB picture."""
    views = _views(_luma(image))
    return Pdq(tuple(_hex(view) for view in views), _quality(views[0]))


def _luma(image: Image.Image) -> Matrix:
    # Each side for itself, as the reference does: a hash knows no proportions.
    size = min(image.width, LARGEST_SIDE), min(image.height, LARGEST_SIDE)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    luma: Matrix = np.asarray(image, dtype=np.float64) @ LUMA
    return luma


def _views(luma: Matrix) -> list[Matrix]:
    """64 x 64 parts of the picture, of it mirrored in three ways, and of these four along their diagonal.

    Not by signs in the spectrum, which is cheaper: the filter leans to one side, and fine patterns get lost.
    """
    down, across = (_decimation(side) for side in luma.shape)
    mirrored = [
        rows @ columns.T
        for rows in (down @ luma, down[:, ::-1] @ luma)
        for columns in (across, across[:, ::-1])
    ]
    return [*mirrored, *(view.T for view in mirrored)]


@lru_cache(maxsize=16)
def _decimation(length: int) -> Matrix:
    """Two passes of a box filter, then the middles of 64 equal parts: one matrix, for both are linear."""
    picked = ((np.arange(SMALL) + 0.5) * length / SMALL).astype(int)
    box = _box_filter(length)
    decimation: Matrix = box[picked] @ box
    return decimation


def _box_filter(length: int) -> Matrix:
    """Means over windows of half a 64th part of the length; at the ends over what there is of them."""
    window = -(-length // (2 * SMALL))
    ahead = window // 2
    offset = np.arange(length) - np.arange(length)[:, None]
    inside = (offset <= ahead) & (offset > ahead - window)
    means: Matrix = inside / inside.sum(axis=1, keepdims=True)
    return means


@cache
def _cosines() -> Matrix:
    """The 16 lowest frequencies of a 64-point DCT-II, without the constant one."""
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    place = np.arange(SMALL) + 0.5
    cosines: Matrix = np.sqrt(2 / SMALL) * np.cos(np.pi / SMALL * frequency * place)
    return cosines


def _hex(view: Matrix) -> str:
    # The reference takes the lower of the two middle values, and writes the highest frequency's bit first.
    spectrum = (_cosines() @ view @ _cosines().T).ravel()
    middle = spectrum.size // 2 - 1
    median = np.partition(spectrum, middle)[middle]
    return np.packbits(spectrum[::-1] > median).tobytes().hex()


def _quality(view: Matrix) -> int:
    """How much there is to see: flat pictures have hashes that mean nothing."""
    gradients = sum(np.trunc(np.abs(np.diff(view, axis=axis)) * 100 / 255).sum() for axis in (0, 1))
    return min(100, int(gradients / GRADIENT_PER_QUALITY))
