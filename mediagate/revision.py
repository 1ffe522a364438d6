"""Whether the database has the newest revision; without Alembic, which would cost each process 27 MiB."""

import asyncio
from pathlib import Path

import asyncpg

from mediagate.errors import TransientError

VERSIONS = Path(__file__).parent / "migrations" / "versions"
DEADLINE = 15.0


def newest() -> str:
    """The revision that `mediagate migrate` brings a database to: files are named by their revision."""
    return max(path.stem.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


async def is_current(url: str) -> bool:
    """Whether the database is at the newest revision; raises TransientError where it does not answer."""
    try:
        async with asyncio.timeout(DEADLINE):
            return await _revision(url) == newest()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise TransientError(f"PostgreSQL does not answer: {cause}") from error


async def _revision(url: str) -> str | None:
    connection = await asyncpg.connect(url)
    try:
        found: str | None = await connection.fetchval("select version_num from alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()
    return found
