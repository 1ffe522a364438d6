"""Decisions share a session; each still has its upload to itself, and its own faults."""

import asyncio

import asyncpg
import pytest

from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import Inspection, Outcome
from mediagate.jobs import State
from sinks.effects import Effects
from sinks.records import SharedSession, records_of
from tests.integration.sinks.scene import NOW, Scene, decision

PATIENCE = 5.0


async def holders(scene: Scene) -> set[int]:
    """The sessions that hold an upload's lock now."""
    rows = await scene.pool.fetch(
        "select pid from pg_locks where locktype = 'advisory' and granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return {row["pid"] for row in rows}


async def until_nothing_is_locked(scene: Scene) -> None:
    async with asyncio.timeout(PATIENCE):
        while await holders(scene):  # noqa: ASYNC110 - only PostgreSQL tells
            await asyncio.sleep(0.01)


async def test_uploads_are_locked_in_one_session_and_given_back(scene: Scene) -> None:
    shared = SharedSession(scene.pool)
    first, second = scene.upload(), scene.upload()

    async with shared.records_of(first.media_id):
        async with shared.records_of(second.media_id):
            assert len(await holders(scene)) == 1
        async with asyncio.timeout(PATIENCE), records_of(scene.pool, second.media_id):
            pass

    await until_nothing_is_locked(scene)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_upload_is_one_decisions_at_a_time(scene: Scene, elsewhere: bool) -> None:
    shared, upload = SharedSession(scene.pool), scene.upload()
    other = SharedSession(scene.pool) if elsewhere else shared
    entered = asyncio.Event()

    async def enter() -> None:
        async with other.records_of(upload.media_id):
            entered.set()

    async with shared.records_of(upload.media_id):
        entering = asyncio.create_task(enter())
        async with asyncio.timeout(PATIENCE):
            while not await scene.pool.fetchval("select exists (select from pg_locks where not granted)"):  # noqa: ASYNC110 - only PostgreSQL tells
                await asyncio.sleep(0.01)
        assert not entered.is_set()
    await asyncio.wait_for(entering, PATIENCE)
    await until_nothing_is_locked(scene)


async def test_a_session_that_ends_is_replaced(scene: Scene) -> None:
    shared, first, second = SharedSession(scene.pool), scene.upload(), scene.upload()

    with pytest.raises(TransientError):
        async with shared.records_of(first.media_id) as records:
            await scene.pool.fetch("select pg_terminate_backend(unnest($1::int[]))", await holders(scene))
            await records.check_lock()

    async with shared.records_of(second.media_id) as records:
        await records.check_lock()
    async with asyncio.timeout(PATIENCE), records_of(scene.pool, first.media_id):
        pass


async def test_a_decision_that_cannot_be_stored_fails_alone(scene: Scene, effects: Effects) -> None:
    uploads = [scene.upload(file_name=f"{number}.jpg") for number in range(6)]
    far_too_wide = Inspection(mime_type="image/png", width=2**40, height=1)
    events = [
        decision(upload, Outcome.APPROVED, inspection=far_too_wide if number == 3 else None)
        for number, upload in enumerate(uploads)
    ]

    states = await asyncio.gather(*map(effects.carry_out, events), return_exceptions=True)

    failed = states.pop(3)
    assert isinstance(failed, DeadLetterError)
    assert states == [State.PUBLISHED] * 5


async def test_a_decision_on_other_bytes_fails_alone(scene: Scene, effects: Effects) -> None:
    uploads = [scene.upload(file_name=f"{number}.jpg") for number in range(4)]
    await scene.insert(uploads[1].model_copy(update={"etag": '"other"'}))

    states = await asyncio.gather(
        *(effects.carry_out(decision(upload, Outcome.REJECTED)) for upload in uploads),
        return_exceptions=True,
    )

    assert isinstance(states.pop(1), DeadLetterError)
    assert states == [State.QUARANTINED] * 3


async def test_one_round_of_statements_carries_out_many(scene: Scene) -> None:
    shared = SharedSession(scene.pool)
    uploads = [scene.upload(file_name=f"{number}.jpg") for number in range(20)]
    statements: list[str] = []

    async with shared.records_of(uploads[0].media_id) as first:
        session = first._session
        async with session.alone() as connection:
            real: asyncpg.Connection[asyncpg.Record] = connection._con
            real.add_query_logger(lambda query: statements.append(query.query))
        events = [decision(upload, Outcome.APPROVED) for upload in uploads]
        jobs = await asyncio.gather(*(session.decide((event, NOW)) for event in events))

    assert [job.state for job in jobs] == [State.APPROVED] * 20
    assert sum("update media_jobs" in query for query in statements) == 1
