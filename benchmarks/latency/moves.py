"""S3 alone: windows of objects, copied and deleted 16 at a time, as often as windows come.

`python -m benchmarks.latency.moves UPLOADS RATE` signs all requests first: next to nothing but S3's own
work is left. It writes a JSON line for each object, when its window came and when it was moved, in seconds;
then it waits to be ended.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import boto3
from botocore.client import Config
from yarl import URL

from benchmarks.latency.times import WINDOW
from mediagate.process import run_process
from mediagate.settings import Settings, load_settings

CONTENT = b"x" * 2048
AT_ONCE = 16
DEADLINE = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True, slots=True)
class Signed:
    """The requests on one object."""

    put: URL
    copy: URL
    source: str
    delete: URL


class Moves:
    """Moves objects of the temporary bucket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def put(self, signed: Signed) -> None:
        """Makes the object."""
        async with self._slots:
            await self._ask("PUT", signed.put, data=CONTENT)

    async def window(self, objects: Sequence[Signed]) -> None:
        """Moves objects that came together."""
        came = time.time()
        await asyncio.gather(*(self._move(each, came) for each in objects))

    async def _move(self, signed: Signed, came: float) -> None:
        async with self._slots:
            await self._ask("PUT", signed.copy, headers={"x-amz-copy-source": signed.source})
            await self._ask("DELETE", signed.delete)
        times = {"media_id": signed.source, "decided": came, "published": time.time()}
        sys.stdout.write(json.dumps(times) + "\n")
        sys.stdout.flush()

    async def _ask(self, method: str, url: URL, **options: Any) -> None:
        async with self._session.request(method, url, **options) as answer:
            if not answer.ok:
                raise RuntimeError(f"S3 answers {answer.status}: {await answer.text()}")


def sign(settings: Settings, count: int) -> list[Signed]:
    """Requests on so many objects."""
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.aws_region,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )

    def url(call: str, bucket: str, key: str, **more: str) -> URL:
        parameters = {"Bucket": bucket, "Key": key, **more}
        return URL(client.generate_presigned_url(call, Params=parameters), encoded=True)

    signed = []
    for key in map("alone/{}".format, range(count)):
        source = f"{settings.temp_bucket}/{key}"
        signed.append(
            Signed(
                url("put_object", settings.temp_bucket, key),
                url("copy_object", settings.default_bucket, key, CopySource=source),
                source,
                url("delete_object", settings.temp_bucket, key),
            )
        )
    client.close()
    return signed


async def run(stop: asyncio.Event) -> None:
    """Puts the objects, then moves them."""
    uploads, rate = int(sys.argv[1]), float(sys.argv[2])
    objects = sign(load_settings(Settings), uploads)
    async with aiohttp.ClientSession(timeout=DEADLINE) as session:
        moves = Moves(session)
        await asyncio.gather(*map(moves.put, objects))
        windows, first = [], time.time()
        for start in range(0, uploads, WINDOW):
            await asyncio.sleep(max(0.0, first + start / rate - time.time()))
            windows.append(asyncio.create_task(moves.window(objects[start : start + WINDOW])))
        await asyncio.gather(*windows)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(run_process("moves", run))
