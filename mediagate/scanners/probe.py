"""Inspection of one item, for a worker process: it imports decoders, but neither Faust nor a model."""

from functools import partial
from typing import BinaryIO

from PIL import Image

from mediagate.media import MediaType
from mediagate.pdq import pdq
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.decoding import judge
from mediagate.scanners.formats import Format
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.limits import MediaLimits
from mediagate.scanners.pictures import inspect_picture, open_picture, renditions
from mediagate.scanners.videos import inspect_video


def probe(limits: MediaLimits, with_pdq: bool, item: ScanItem) -> Inspected | Unscannable:
    """What parsing the item's bytes shows; raises TransientError where they cannot be read."""
    return judge(item, partial(_inspect, limits, with_pdq))


def _inspect(limits: MediaLimits, with_pdq: bool, file: BinaryIO, format_: Format) -> Inspected:
    if format_.media_type is MediaType.VIDEO:
        return Inspected(inspect_video(file, format_, limits))
    with open_picture(file, format_, limits) as image:
        return Inspected(inspect_picture(image, format_), _hashes(image) if with_pdq else ())


def _hashes(image: Image.Image) -> tuple[str, ...]:
    on_white, *_ = renditions(image)
    return pdq(on_white).matchable
