"""A process whose media pool is busy, to be killed; the pool's process prints its id itself."""

import asyncio

from mediagate.media_pool import MediaPool
from tests.media_processes import say_and_hang
from tests.settings import streams_settings


async def run() -> None:
    with MediaPool(streams_settings(scanner_processes=1)) as pool:
        await pool.run(say_and_hang, 0)


if __name__ == "__main__":
    asyncio.run(run())
