"""S3 alone: windows of objects, copied and deleted 16 at a time, as often as windows come.

`python -m benchmarks.latency.moves UPLOADS RATE` writes a JSON line for each object: when its window came and
when it was moved, in seconds. Then it waits to be ended.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.latency.times import WINDOW
from mediagate.process import run_process
from mediagate.settings import Settings, load_settings
from mediagate.storage import S3, CopySource

MIME_TYPE = "image/jpeg"
CONTENT = b"x" * 2048


async def run(stop: asyncio.Event) -> None:
    """Puts the objects, then moves them."""
    uploads, rate = int(sys.argv[1]), float(sys.argv[2])
    settings = load_settings(Settings)
    store = S3(settings)
    for start in range(0, uploads, WINDOW):
        numbers = range(start, min(uploads, start + WINDOW))
        await asyncio.gather(
            *(store.write(settings.temp_bucket, f"alone/{number}", CONTENT, MIME_TYPE) for number in numbers)
        )
    head = await store.head(settings.temp_bucket, "alone/0")
    etag = head.etag if head is not None else ""
    sources = [
        CopySource(settings.temp_bucket, f"alone/{number}", etag, len(CONTENT)) for number in range(uploads)
    ]
    windows: list[asyncio.Task[None]] = []
    first = time.time()
    for number, start in enumerate(range(0, uploads, WINDOW)):
        await asyncio.sleep(max(0.0, first + number * WINDOW / rate - time.time()))
        windows.append(asyncio.create_task(_move(store, settings, sources[start : start + WINDOW])))
    await asyncio.gather(*windows)
    await stop.wait()
    store.close()


async def _move(store: S3, settings: Settings, sources: Sequence[CopySource]) -> None:
    came = time.time()

    async def move(source: CopySource) -> None:
        await store.copy(source, settings.default_bucket, source.key, {}, MIME_TYPE)
        await store.delete(source.bucket, source.key)
        times = {"media_id": Path(source.key).name, "decided": came, "published": time.time()}
        sys.stdout.write(json.dumps(times) + "\n")
        sys.stdout.flush()

    await asyncio.gather(*map(move, sources))


if __name__ == "__main__":
    sys.exit(run_process("moves", run))
