"""What a connection of the pool leaves behind for whoever has it next."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from mediagate.database import connect, session

LOCK = "select pg_try_advisory_lock(1)"
HELD = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with await connect(database_url, 1) as pool:
        yield pool


async def backend(connection: Any) -> int:
    pid: int = await connection.fetchval("select pg_backend_pid()")
    return pid


async def test_a_session_leaves_no_locks_and_settings(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    async with session(pool) as connection:
        first = await backend(connection)
        assert await connection.fetchval(LOCK)
        await connection.execute("set statement_timeout = 4711")

    assert await pool.fetchval(HELD) == 0
    assert await pool.fetchval("show statement_timeout") != "4711ms"
    assert await backend(pool) == first


async def test_a_session_that_fails_leaves_no_locks(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with session(pool) as connection:
            assert await connection.fetchval(LOCK)
            await connection.execute("select nothing_of_that_name")

    assert await pool.fetchval(HELD) == 0


async def test_a_session_whose_connection_breaks_is_replaced(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    async with session(pool) as connection:
        broken = await backend(connection)
        connection.terminate()

    assert await backend(pool) != broken


async def test_a_statement_that_is_cut_short_leaves_its_connection_usable(
    pool: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    with pytest.raises(TimeoutError):
        await pool.execute("select pg_sleep(60)", timeout=0.05)

    assert await pool.fetchval("select 1") == 1


async def test_a_transaction_that_fails_is_undone(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("create table made (id int)")
            await connection.execute("select nothing_of_that_name")

    assert await pool.fetchval("select to_regclass('made')") is None


async def test_statements_are_planned_for_tables_as_they_are(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    async with pool.acquire() as connection:
        await connection.execute("create temporary table known (id int primary key)")
        await connection.execute("insert into known select generate_series(1, 50)")
        await connection.execute("analyze known")
        await connection.execute("prepare look as select id from known where id = $1")
        for _ in range(10):
            await connection.execute("execute look(1)")
        await connection.execute("insert into known select generate_series(51, 50_000)")
        plan = await connection.fetch("explain execute look(1)")

    assert "Index" in plan[0][0]


async def test_nor_does_the_end_of_a_session_change_that(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    async with session(pool):
        pass

    assert await pool.fetchval("show plan_cache_mode") == "force_custom_plan"
