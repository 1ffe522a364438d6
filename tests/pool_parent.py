"""A process with a media pool, to be killed: prints the pool's process ids and waits."""

import asyncio
import sys

from mediagate.media_pool import MediaPool
from mediagate.scanners import Unscannable
from mediagate.settings import StreamsSettings
from tests.media_processes import own_process


async def run() -> None:
    settings = StreamsSettings.model_validate(
        {
            "kafka_bootstrap_servers": "unused:1",
            "database_url": "postgresql://unused@unused/unused",
            "scanner_processes": 1,
        }
    )
    with MediaPool(settings) as pool:
        found = await pool.run(own_process, 0)
        assert not isinstance(found, Unscannable)
        sys.stdout.write(f"{found[0]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run())
