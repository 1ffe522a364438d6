"""Rows of the benchmarks' uploads, by the same numbers as their events."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from benchmarks.stream.broker import upload
from mediagate.jobs import State

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

COLUMNS = (
    *("media_id", "user_id", "file_name", "file_size", "mime_type", "sha256", "md5", "linked_to_type"),
    *("linked_to_id", "bucket", "key", "etag", "checksum_verified", "state", "decision", "attempts"),
    *("created_at", "queued_at", "event_published_at"),
)


PLACES = ", ".join(f"${number}" for number in range(1, len(COLUMNS) + 1))
INSERT = f"insert into media_jobs ({', '.join(COLUMNS)}) values ({PLACES})"  # noqa: S608
POOL_SIZE = 32
APART = timedelta(milliseconds=1)


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator["Pool"]:
    """Tables without any rows of uploads."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=POOL_SIZE) as pool:
        await pool.execute("truncate media_jobs cascade")
        yield pool


async def insert(
    pool: "Pool",
    numbers: Sequence[int],
    state: State,
    since: datetime,
    *,
    decision: str | None = None,
    published: bool = False,
    attempts: int = 1,
) -> None:
    """Rows in a state, completed one after the other from a time on."""
    await pool.copy_records_to_table(
        "media_jobs",
        columns=COLUMNS,
        records=[
            _row(number, state, since + index * APART, decision, published=published, attempts=attempts)
            for index, number in enumerate(numbers)
        ],
    )


async def insert_completed(pool: "Pool", number: int, completed_at: datetime) -> None:
    """One queued row, as cheaply as the gateway makes it."""
    await pool.execute(INSERT, *_row(number, State.QUEUED, completed_at, None, published=False, attempts=1))


def _row(
    number: int, state: State, completed_at: datetime, decision: str | None, *, published: bool, attempts: int
) -> tuple[Any, ...]:
    of = vars(upload(number))
    said = {
        "file_size": of["size"],
        "checksum_verified": True,
        "state": state.value,
        "decision": decision,
        "attempts": attempts,
        "created_at": completed_at,
        "queued_at": completed_at,
        "event_published_at": completed_at if published else None,
    }
    return tuple(said[name] if name in said else of[name] for name in COLUMNS)
