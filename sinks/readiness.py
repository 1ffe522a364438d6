"""Looks every few seconds whether the dependencies answer."""

import asyncio
from typing import TYPE_CHECKING

from mediagate.errors import MediagateError
from mediagate.storage import ObjectStore
from sinks.records import ping

if TYPE_CHECKING:
    from sinks.records import Pool

INTERVAL = 5.0
DEADLINE = 5.0


class Dependencies:
    """What the last look found; Kafka is the worker's to tell."""

    def __init__(self, pool: "Pool", store: ObjectStore, bucket: str) -> None:
        self._pool = pool
        self._store = store
        self._bucket = bucket
        self.not_ready: str | None = None

    async def watch(self) -> None:
        """Looks again and again."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Asks PostgreSQL and S3 once."""
        try:
            async with asyncio.timeout(DEADLINE):
                await ping(self._pool)
                missing = await self._store.missing_buckets([self._bucket])
        except (MediagateError, TimeoutError) as error:
            self.not_ready = str(error) or "PostgreSQL or S3 does not answer"
        else:
            self.not_ready = f"S3: no bucket {self._bucket}" if missing else None
