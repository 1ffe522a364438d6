"""PostgreSQL: the pool, and the named queries of the .sql files."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiosql
import asyncpg

from mediagate.errors import StopError, TransientError

COMMAND_TIMEOUT = 15.0
CONNECT_TIMEOUT = 10.0
ACQUIRE_DEADLINE = 15.0
"""Seconds that a connection of the pool is waited for."""

EACH_TIME_ANEW = {"plan_cache_mode": "force_custom_plan"}
"""A plan kept from when a table was small reads all of it, until PostgreSQL has analysed it again."""

UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a session that ends in the middle of an operation confuses asyncpg
    OSError,
    TimeoutError,
    asyncpg.OperatorInterventionError,
)
"""What asyncpg raises while the server is away, restarting or ending our session."""

_PASSING = (
    *UNAVAILABLE,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)


@contextmanager
def meanings() -> Iterator[None]:
    """Raises what asyncpg does as TransientError where it may pass, else as StopError."""
    try:
        yield
    except _PASSING as error:
        raise TransientError(f"PostgreSQL: {str(error) or type(error).__name__}") from error
    except asyncpg.PostgresError as error:
        raise StopError(f"PostgreSQL: {error}") from error


def load_queries(path: Path) -> Any:
    """The named queries of one .sql file, for asyncpg; aiosql makes them methods at run time."""
    return aiosql.from_path(path, "asyncpg")


async def connect(url: str, size: int) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool whose json columns are Python values; raises TransientError where the server does not answer."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                command_timeout=COMMAND_TIMEOUT,
                timeout=CONNECT_TIMEOUT,
                init=_set_codecs,
                reset=_leave_as_it_is,
                server_settings=EACH_TIME_ANEW,
            )
    except (*UNAVAILABLE, asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError) as error:
        raise TransientError(f"PostgreSQL does not answer: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def session(pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[Any]:
    """A connection whose advisory locks and settings end with it; only here may either be taken."""
    connection = await pool.acquire(timeout=ACQUIRE_DEADLINE)
    try:
        yield connection
    finally:
        await _end_session(pool, connection)


async def _end_session(pool: "asyncpg.Pool[asyncpg.Record]", connection: Any) -> None:
    ended = False
    try:
        with suppress(*UNAVAILABLE):  # PostgreSQL ends what a session holds with its connection, too
            await connection.reset(timeout=COMMAND_TIMEOUT)
            ended = True
    finally:
        if not ended:
            with suppress(asyncpg.InterfaceError):  # asyncpg has taken it back already
                connection.terminate()
        await pool.release(connection)


async def _leave_as_it_is(connection: Any) -> None:
    """Spares a round trip: single statements and transactions leave nothing behind."""


async def _set_codecs(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
