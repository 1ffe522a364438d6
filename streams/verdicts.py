"""Known bytes: what a scanner said of them, kept by (sha256, scanner, model version), and scans under way."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from mediagate.database import load_queries, meanings, session
from mediagate.scanners import Scanned

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CLAIM_PATIENCE = 60.0
"""Seconds that another worker's scan of the same bytes is waited for, before they are scanned once more."""
QUERIES = load_queries(Path(__file__).with_name("verdicts.sql"))


@dataclass(frozen=True, slots=True)
class Known:
    """A kept verdict."""

    sha256: str
    scanner: str
    model_version: str
    scanned: Scanned


class Verdicts:
    """The table, on a pool; calls raise TransientError where the server is away."""

    def __init__(
        self, database: "Pool", now: Callable[[], datetime], patience: float = CLAIM_PATIENCE
    ) -> None:
        self._database = database
        self._now = now
        self._patience = patience

    async def known(self, hashes: Collection[str], versions: Mapping[str, str]) -> list[Known]:
        """The verdicts of these scanners, at these model versions, on these bytes."""
        if not hashes or not versions:
            return []
        with meanings():
            rows = QUERIES.known(
                self._database, hashes=list(hashes), scanners=list(versions), versions=list(versions.values())
            )
            return [
                Known(row["sha256"], row["scanner"], row["model_version"], Scanned(row["scores"]))
                async for row in rows
            ]

    async def store(self, scanner: str, model_version: str, verdicts: Mapping[str, Scanned]) -> None:
        """Keeps what the scanner said, by SHA-256; what is there already stays."""
        with meanings():
            await QUERIES.store(
                self._database,
                hashes=list(verdicts),
                scanner=scanner,
                model_version=model_version,
                scores=[dict(verdict.scores) for verdict in verdicts.values()],
                now=self._now(),
            )

    async def forget(self, scanner: str, age: timedelta) -> None:
        """Drops what the scanner said within that time: it was not to be trusted."""
        with meanings():
            await QUERIES.forget(self._database, scanner=scanner, since=self._now() - age)

    @asynccontextmanager
    async def claimed(self, scanner: str, hashes: Collection[str]) -> AsyncIterator[frozenset[str]]:
        """Those of the hashes that no other worker is having scanned; meanwhile none will begin to."""
        if not hashes:
            yield frozenset()
            return
        names = {_claim(scanner, sha256): sha256 for sha256 in hashes}
        async with AsyncExitStack() as stack:
            with meanings():
                connection = await stack.enter_async_context(session(self._database))
                ours = [names[row["name"]] async for row in QUERIES.claim(connection, names=list(names))]
            yield frozenset(ours)

    async def until_free(self, scanner: str, sha256: str) -> bool:
        """Waits while another worker has these bytes scanned; False where that takes too long."""
        with meanings():
            async with session(self._database) as connection:
                try:
                    await connection.execute(
                        QUERIES.await_claim.sql, _claim(scanner, sha256), timeout=self._patience
                    )
                except TimeoutError:
                    return False
        return True


def _claim(scanner: str, sha256: str) -> str:
    return f"scan:{scanner}:{sha256}"
