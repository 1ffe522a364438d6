"""The block list's table, as operators change it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from mediagate.block_list import Entry, Kind
from mediagate.database import ACQUIRE_DEADLINE, load_queries, meanings

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("table.sql"))
IMPORT_DEADLINE = 1800.0
"""Seconds for all entries of an import."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Imported:
    """How many hashes were new, and how many were on the list before or stood in the import twice."""

    new: int
    known: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as operators see it; matches are items."""

    kind: Kind
    hash: str
    note: str
    added_at: datetime
    suspended_at: datetime | None
    matches_last_hour: int
    matches: int


class BlockListTable:
    """The table, on a pool; calls raise TransientError where the server is away."""

    def __init__(self, database: "Pool") -> None:
        self._database = database

    async def add(self, entries: Iterable[Entry], now: datetime) -> Imported:
        """Adds all of the entries, or none where reading them raises; a known one stays as it is."""
        with meanings():
            async with (
                self._database.acquire(timeout=ACQUIRE_DEADLINE) as connection,
                connection.transaction(),
            ):
                await QUERIES.stage(connection)
                status = await connection.copy_records_to_table(
                    "staged_entries",
                    records=((entry.kind.value, entry.hash, entry.note) for entry in entries),
                    timeout=IMPORT_DEADLINE,
                )
                new = await connection.fetchval(QUERIES.add_staged.sql, now, timeout=IMPORT_DEADLINE)
        return Imported(new, int(status.split()[-1]) - new)

    async def remove(self, kind: Kind | None, digits: str) -> int:
        """Takes the hash off the list, as that kind or as any; how many entries that were."""
        with meanings():
            removed: int = await QUERIES.remove(self._database, kind=kind, hash=digits)
        return removed

    async def resume(self, kind: Kind | None, digits: str, now: datetime) -> int:
        """Has a suspended hash obeyed again, its matches counted anew; how many entries that were."""
        with meanings():
            resumed: int = await QUERIES.resume(self._database, kind=kind, hash=digits, now=now)
        return resumed

    async def size(self, kind: Kind | None, *, suspended: bool) -> int:
        """How many entries there are, of that kind or of all."""
        with meanings():
            size: int = await QUERIES.size(self._database, kind=kind, suspended=suspended)
        return size

    async def newest(self, kind: Kind | None, *, suspended: bool, count: int, now: datetime) -> list[Listed]:
        """At most `count` of these entries, the newest first."""
        with meanings():
            rows = QUERIES.newest(
                self._database, kind=kind, suspended=suspended, count=count, since=now - HOUR
            )
            return [Listed(**{**row, "kind": Kind(row["kind"])}) async for row in rows]
