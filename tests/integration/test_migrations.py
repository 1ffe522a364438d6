"""Migrations on a real PostgreSQL."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mediagate.errors import TransientError
from mediagate.migrations import alembic_config, engine_for, migrate
from mediagate.revision import is_current, newest

ROOT = Path(__file__).parents[2]
MIGRATE = "import asyncio, sys; from mediagate.migrations import migrate; asyncio.run(migrate(sys.argv[1]))"
TABLES = {"alembic_version", "media_jobs", "media_items", "system_reports"}


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_an_empty_database_is_brought_to_the_newest_revision(empty_database_url: str) -> None:
    assert not await is_current(empty_database_url)

    await migrate(empty_database_url)

    assert await is_current(empty_database_url)
    assert await tables(empty_database_url) >= TABLES


def test_the_newest_revision_is_where_alembic_ends() -> None:
    assert newest() == ScriptDirectory.from_config(alembic_config()).get_current_head()


async def test_migrating_again_changes_nothing(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        """insert into media_jobs (media_id, user_id, file_name, file_size, mime_type, sha256, linked_to_type,
               linked_to_id, bucket, key, state, created_at)
           values (gen_random_uuid(), 'a', 'a', 1, 'a', 'a', 'a', 'a', 'a', 'a', 'queued', now())"""
    )

    await migrate(empty_database_url)

    assert await connection.fetchval("select count(*) from media_jobs") == 1
    await connection.close()


async def test_two_may_migrate_at_once(empty_database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, empty_database_url, cwd=ROOT)
        for _ in range(3)
    ]

    async with asyncio.timeout(60):
        codes = [await process.wait() for process in processes]

    assert codes == [0, 0, 0]
    assert await is_current(empty_database_url)


async def test_a_database_of_an_older_revision_is_not_current(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await downgrade(empty_database_url)

    assert not await is_current(empty_database_url)
    await migrate(empty_database_url)
    assert await is_current(empty_database_url)


async def test_a_migration_that_fails_leaves_nothing_half_done(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("create table system_reports (mine integer)")

    with pytest.raises(TransientError, match="cannot be migrated"):
        await migrate(empty_database_url)

    assert "media_jobs" not in await tables(empty_database_url)
    await connection.close()


@pytest.mark.parametrize("call", [migrate, is_current])
async def test_says_that_no_database_answers(call: Callable[[str], Awaitable[object]]) -> None:
    with pytest.raises(TransientError, match="PostgreSQL"):
        await call("postgresql://nobody@127.0.0.1:9/nothing")


async def downgrade(url: str) -> None:
    """Takes back the newest revision."""

    def back(connection: Connection) -> None:
        assert MigrationContext.configure(connection).get_current_revision() is not None
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")

    engine = engine_for(url)
    async with engine.begin() as connection:
        await connection.run_sync(back)
    await engine.dispose()
