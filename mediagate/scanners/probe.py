"""Inspection of one item, for a worker process: it imports decoders, but neither Faust nor a model."""

from functools import partial
from typing import BinaryIO

from mediagate.events import Inspection
from mediagate.media import MediaType
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.decoding import judge
from mediagate.scanners.formats import Format
from mediagate.scanners.pictures import inspect_picture
from mediagate.scanners.videos import MediaLimits, inspect_video


def probe(limits: MediaLimits, item: ScanItem) -> Inspection | Unscannable:
    """What parsing the item's bytes shows; raises TransientError where they cannot be read."""
    return judge(item, partial(_inspect, limits))


def _inspect(limits: MediaLimits, file: BinaryIO, format_: Format) -> Inspection:
    if format_.media_type is MediaType.IMAGE:
        return inspect_picture(file, format_, limits.max_pixels)
    return inspect_video(file, format_, limits)
