"""The local scanner on the media pool, as the streams process wires them, on windows of its size."""

import asyncio
import json
import os
import time
from collections.abc import Sequence

from benchmarks.engine.runs import Run
from mediagate.media import media_type_of
from mediagate.media_pool import MediaPool
from mediagate.remote_file import read_head
from mediagate.scanners import ScanItem, Scanned
from mediagate.scanners.local import LocalScanner
from mediagate.settings import StreamsSettings, load_settings

WARM_UP = 2
"""Windows before the clock starts: each process loads the model."""


async def run(objects: Sequence[tuple[str, str]], count: int) -> Run:
    """Scans `count` items, the objects in turn; raises RuntimeError where one gets no score."""
    settings = load_settings(StreamsSettings)
    items = [_item(url, mime_type) for url, mime_type in objects]
    size = settings.batch_size(items[0].media_type)
    with MediaPool(settings) as pool:
        scanner = LocalScanner(pool, settings)
        for _ in range(WARM_UP):
            await _scan(scanner, (items * settings.scanner_processes)[: settings.scanner_processes])
        start = time.time()
        for first in range(0, count, size):
            await _scan(scanner, [items[n % len(items)] for n in range(first, min(first + size, count))])
        return Run(start, time.time(), count)


async def _scan(scanner: LocalScanner, window: Sequence[ScanItem]) -> None:
    results = await scanner.scan(window)
    if not all(isinstance(result, Scanned) for result in results):
        raise RuntimeError(f"not all were scanned: {results}")


def _item(url: str, mime_type: str) -> ScanItem:
    head = read_head(url, 1)
    return ScanItem(
        job_id=url,
        media_type=media_type_of(mime_type),
        mime_type=mime_type,
        url=url,
        etag=head.etag,
        size=head.size,
    )


if __name__ == "__main__":
    asyncio.run(run(json.loads(os.environ["OBJECTS"]), int(os.environ["COUNT"]))).tell()
