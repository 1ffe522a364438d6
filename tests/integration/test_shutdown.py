"""Workers that are told to stop at odd moments: they end cleanly, and soon."""

import signal
from pathlib import Path
from uuid import uuid4

import pytest

from mediagate.events import Outcome
from mediagate.lag import lag
from mediagate.settings import Settings, SinksSettings, StreamsSettings, WorkerSettings
from mediagate.storage import S3
from mediagate.topics import Topics
from tests.integration.sinks.kafka import Kafka
from tests.integration.sinks.scene import decision
from tests.integration.streams.broker import Broker
from tests.services import Services
from tests.uploads import upload
from tests.watched import watched
from tests.worker_process import Worker

COUNT = 40


@pytest.fixture(params=["streams", "sinks"])
def module(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def own_settings(module: str, settings: Settings) -> WorkerSettings:
    model = StreamsSettings if module == "streams" else SinksSettings
    own = {
        f"{module}_group": uuid4().hex,
        "image_max_wait": 300,
        "image_batch_size": 10,
        "sinks_concurrency": 4,
    }
    return model.model_validate(settings.model_dump() | own)


@pytest.fixture
async def topic(module: str, own_settings: WorkerSettings, topics: Topics) -> str:
    """The topic that holds the worker's work."""
    events = [upload(own_settings.temp_bucket) for _ in range(COUNT)]
    if isinstance(own_settings, StreamsSettings):
        await Broker(own_settings, topics).send(events)
        return topics.upload_completed_image.name
    assert isinstance(own_settings, SinksSettings)
    await Kafka(own_settings, topics).decide([decision(event.data, Outcome.APPROVED) for event in events])
    return topics.approved.name


async def uncommitted(settings: WorkerSettings, module: str, topic: str) -> int:
    group = settings.streams_group if module == "streams" else settings.sinks_group
    return sum((await lag(settings.kafka_bootstrap_servers, group, [topic])).values())


async def test_further_signals_do_not_disturb_a_drain(
    module: str, own_settings: WorkerSettings, topic: str
) -> None:
    async with watched(module, own_settings, "slow") as worker:
        await worker.works()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            worker.signal(number)
        code, output = await worker.ended()

    assert (code, "Traceback" in output) == (0, False), output
    assert 0 < await uncommitted(own_settings, module, topic) < COUNT


async def test_a_worker_that_joins_can_be_stopped(
    module: str, own_settings: WorkerSettings, topic: str
) -> None:
    async with watched(module, own_settings, "work") as silent:
        await silent.works()
        silent.signal(signal.SIGSTOP)  # a member that does not answer holds up whoever joins
        async with watched(module, own_settings, "nothing") as joining:
            await joining.says("Starting")
            joining.signal(signal.SIGTERM)
            code, output = await joining.ended()

    assert (code, "Traceback" in output) == (0, False), output
    assert await uncommitted(own_settings, module, topic) == COUNT


async def test_a_process_that_starts_can_be_stopped(
    module: str, own_settings: WorkerSettings, topic: str, s3: S3, services: Services, tmp_path: Path
) -> None:
    async with Worker(module, own_settings, services, tmp_path).running() as process:
        await process.until("/livez", lambda status, text: status == 200)
        process.signal(signal.SIGTERM)
        code, output = await process.ended()

    assert (code, "Traceback" in output) == (0, False), output
