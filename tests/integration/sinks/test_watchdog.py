"""A sinks worker that is stuck ends by itself, and the next one carries on; one that is idle does not end."""

import asyncio
import signal
from uuid import uuid4

import pytest

from mediagate.events import Outcome
from mediagate.settings import Settings, SinksSettings
from mediagate.topics import Topics
from tests.integration.sinks.kafka import Kafka
from tests.integration.sinks.scene import decision
from tests.uploads import upload
from tests.watched import TIMEOUT, patient, watched


@pytest.fixture
def sinks_settings(settings: Settings) -> SinksSettings:
    own = {"sinks_group": f"sinks-{uuid4().hex}", "watchdog_timeout": TIMEOUT}
    return SinksSettings.model_validate(settings.model_dump() | own)


@pytest.fixture
async def kafka(sinks_settings: SinksSettings, topics: Topics) -> Kafka:
    """With 20 decisions."""
    kafka = Kafka(sinks_settings, topics)
    await kafka.decide(
        [decision(upload(sinks_settings.temp_bucket).data, Outcome.APPROVED) for _ in range(20)]
    )
    return kafka


@pytest.mark.parametrize("wedged", ["work", "fetcher"])
async def test_a_stuck_worker_ends_and_the_next_one_carries_on(
    sinks_settings: SinksSettings, kafka: Kafka, topics: Topics, wedged: str
) -> None:
    async with watched("sinks", sinks_settings, wedged) as stuck:
        code, output = await stuck.ended()

    assert code == 1
    assert f"stuck: {topics.approved.name}, partition " in output
    assert await kafka.uncommitted() == 20
    async with watched("sinks", patient(sinks_settings), "nothing") as next_one:
        await next_one.works()
        next_one.signal(signal.SIGTERM)
        assert (await next_one.ended())[0] == 0
    assert await kafka.uncommitted() < 20


async def test_an_idle_worker_goes_on(sinks_settings: SinksSettings, kafka: Kafka) -> None:
    async with watched("sinks", sinks_settings, "nothing") as idle:
        await idle.works()
        assert await idle.outlives(2 * TIMEOUT)
        idle.signal(signal.SIGTERM)
        assert (await idle.ended())[0] == 0
    assert await kafka.uncommitted() == 0


async def test_one_decision_that_hangs_ends_the_worker_though_others_are_carried_out(
    sinks_settings: SinksSettings, kafka: Kafka, topics: Topics
) -> None:
    async with watched("sinks", sinks_settings, "first") as stuck:
        await stuck.works()
        ended = asyncio.create_task(stuck.ended())
        while not ended.done():
            more = [decision(upload(sinks_settings.temp_bucket).data, Outcome.APPROVED) for _ in range(8)]
            await kafka.decide(more)
            await asyncio.wait({ended}, timeout=1)
        code, output = ended.result()

    assert code == 1
    assert f"mediagate sinks: stuck: {topics.approved.name}, partition " in output
    assert f"was not carried out within {TIMEOUT:g} s" in output
    assert await kafka.uncommitted() > 0
