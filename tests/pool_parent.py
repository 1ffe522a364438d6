"""A process whose media pool is busy, to be killed; the pool's process prints its id itself."""

import asyncio

from mediagate.media_pool import MediaPool
from mediagate.settings import StreamsSettings
from tests.media_processes import say_and_hang


async def run() -> None:
    settings = StreamsSettings.model_validate(
        {
            "kafka_bootstrap_servers": "unused:1",
            "database_url": "postgresql://unused@unused/unused",
            "scanner_processes": 1,
        }
    )
    with MediaPool(settings) as pool:
        await pool.run(say_and_hang, 0)


if __name__ == "__main__":
    asyncio.run(run())
