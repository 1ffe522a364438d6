"""A streams worker that is stuck ends by itself, and the next one decides; one that waits does not end."""

import asyncio
import signal
from datetime import timedelta
from uuid import uuid4

import pytest

from mediagate.settings import Settings, StreamsSettings
from mediagate.topics import Topics
from tests.integration.streams.broker import Broker
from tests.uploads import upload
from tests.watched import IMPATIENCE, TIMEOUT, patient, watched


@pytest.fixture
def worker_settings(settings: Settings) -> StreamsSettings:
    own = {"streams_group": f"streams-{uuid4().hex}", "image_max_wait": 300, "image_batch_size": 10}
    return StreamsSettings.model_validate(settings.model_dump() | own | IMPATIENCE)


@pytest.fixture
def broker(worker_settings: StreamsSettings, topics: Topics) -> Broker:
    return Broker(worker_settings, topics)


@pytest.fixture
async def uploads(broker: Broker, worker_settings: StreamsSettings) -> set[str]:
    """media_ids of 20 uploads that were published."""
    events = [upload(worker_settings.temp_bucket) for _ in range(20)]
    await broker.send(events)
    return {event.subject for event in events}


@pytest.mark.parametrize("wedged", ["work", "fetcher", "thread"])
async def test_a_stuck_worker_ends_and_the_next_one_decides(
    worker_settings: StreamsSettings, broker: Broker, uploads: set[str], topics: Topics, wedged: str
) -> None:
    async with watched("streams", worker_settings, wedged) as stuck:
        code, output = await stuck.ended()

    assert code == 1
    assert f"stuck: {topics.upload_completed_image.name}, partition " in output
    assert ("Traceback" in output, "Timeout" in output) == (False, wedged == "thread")
    assert await broker.uncommitted() == len(uploads)
    async with watched("streams", patient(worker_settings), "nothing") as next_one:
        assert set(await broker.decided(uploads)) == uploads
        next_one.signal(signal.SIGTERM)
        assert (await next_one.ended())[0] == 0
    assert await broker.uncommitted() == 0


async def test_a_worker_whose_event_loop_stands_still_ends_and_says_where(
    worker_settings: StreamsSettings, broker: Broker, uploads: set[str]
) -> None:
    async with watched("streams", worker_settings, "loop") as hung:
        code, output = await hung.ended()

    assert code == 1
    assert "Timeout" in output
    assert "in decide" in output
    assert await broker.uncommitted() == len(uploads)


async def test_a_paused_worker_goes_on_and_drops_its_window_when_it_is_told_to_stop(
    worker_settings: StreamsSettings, broker: Broker, uploads: set[str]
) -> None:
    async with watched("streams", worker_settings, "pause") as paused:
        await paused.works()
        assert await paused.outlives(2 * TIMEOUT)
        paused.signal(signal.SIGTERM)
        assert (await paused.ended())[0] == 0
    assert await broker.uncommitted() == len(uploads)


async def test_an_idle_worker_goes_on(
    worker_settings: StreamsSettings, broker: Broker, uploads: set[str]
) -> None:
    async with watched("streams", worker_settings, "nothing") as idle:
        await broker.decided(uploads)
        assert await idle.outlives(2 * TIMEOUT)
        idle.signal(signal.SIGTERM)
        assert (await idle.ended())[0] == 0


async def test_a_worker_takes_over_from_a_stuck_one_and_does_not_end_with_it(
    worker_settings: StreamsSettings, broker: Broker
) -> None:
    # Joining a group takes two members longer than one; and the heir must see the other stuck for longer than
    # it would be patient with itself.
    longer, longest = (
        worker_settings.model_copy(update={"watchdog_timeout": timedelta(seconds=times * TIMEOUT)})
        for times in (2, 3)
    )
    wanted: set[str] = set()

    async def uploads_until(works: asyncio.Task[None]) -> None:
        while not works.done():
            more = [upload(worker_settings.temp_bucket) for _ in range(8)]
            await broker.send(more)
            wanted.update(event.subject for event in more)
            await asyncio.wait({works}, timeout=1)
        works.result()

    async with watched("streams", longer, "nothing") as heir:
        await uploads_until(asyncio.create_task(heir.works()))
        # Only now: a stuck one that is there first would have the other wait for its window while that joins.
        async with watched("streams", longest, "work") as stuck:
            await uploads_until(asyncio.create_task(stuck.works()))
            assert (await stuck.ended())[0] == 1
        assert set(await broker.decided(wanted)) == wanted
        heir.signal(signal.SIGTERM)
        assert (await heir.ended())[0] == 0
    assert await broker.uncommitted() == 0
