"""Inspection before the scan: what the bytes are, whatever was declared."""

from collections.abc import Sequence
from functools import partial

from mediagate.events import Inspection
from mediagate.media_pool import MediaPool
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.probe import probe
from mediagate.scanners.videos import MediaLimits
from mediagate.settings import StreamsSettings


class MediaInspector:
    """Parses media in the pool's processes."""

    def __init__(self, pool: MediaPool, settings: StreamsSettings) -> None:
        self._pool = pool
        self._limits = MediaLimits(settings.max_pixels, settings.max_duration.total_seconds())

    async def inspect(self, items: Sequence[ScanItem]) -> Sequence[Inspection | Unscannable]:
        """One result per item, in the items' order; raises TransientError where bytes cannot be read."""
        return await self._pool.map(partial(probe, self._limits), items)
