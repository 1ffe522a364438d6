"""Metrics of what stands in PostgreSQL: on every worker, whichever of them changed it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from mediagate import metrics
from mediagate.database import ACQUIRE_DEADLINE, load_queries, meanings
from mediagate.errors import MediagateError
from mediagate.jobs import UNFINISHED

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("gauges.sql"))
INTERVAL = 15.0
"""Seconds between two looks."""

log = structlog.get_logger("streams.gauges")


class StoredGauges:
    """Shows the oldest job of every non-terminal state, and brakes; nothing while PostgreSQL is away."""

    def __init__(
        self, database: "Pool", show_brakes: Callable[[], Awaitable[None]], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._show_brakes = show_brakes
        self._now = now

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            try:
                await self.show()
            except MediagateError as error:
                log.warning("metrics of PostgreSQL are not known", error=str(error))
                metrics.OLDEST_JOB.clear()
                metrics.BRAKES.clear()
            await asyncio.sleep(INTERVAL)

    async def show(self) -> None:
        """Looks once; raises TransientError where PostgreSQL does not answer."""
        with meanings():
            async with asyncio.timeout(ACQUIRE_DEADLINE):
                since = await self._oldest()
                await self._show_brakes()
        for state in UNFINISHED:
            # A function: between two looks the job grows older.
            metrics.OLDEST_JOB.labels(state).set_function(partial(self._age, since.get(state)))

    async def _oldest(self) -> Mapping[str, datetime]:
        rows = QUERIES.oldest_per_state(self._database)
        return {row["state"]: row["since"] async for row in rows}

    def _age(self, since: datetime | None) -> float:
        return max(0.0, (self._now() - since).total_seconds()) if since else 0.0
