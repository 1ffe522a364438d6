"""Inspection before the scan: what the bytes are, whatever was declared."""

from collections.abc import Sequence
from functools import partial

from mediagate.media_pool import MediaPool
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.limits import MediaLimits
from mediagate.settings import MediaSettings


class MediaInspector:
    """Parses media in the pool's processes."""

    def __init__(self, pool: MediaPool, settings: MediaSettings) -> None:
        self._pool = pool
        self._limits = MediaLimits.of(settings)

    async def inspect(
        self, items: Sequence[ScanItem], *, with_pdq: bool = False
    ) -> Sequence[Inspected | Unscannable]:
        """One result per item, in the items' order; raises TransientError where bytes cannot be read."""
        return await self._pool.map(partial(_probe, self._limits, with_pdq), items)


def _probe(limits: MediaLimits, with_pdq: bool, item: ScanItem) -> Inspected | Unscannable:
    from mediagate.scanners.probe import probe  # its decoders, which only the pool's processes need

    return probe(limits, with_pdq, item)
