"""The streams process while its scanner is away, or lies: nothing is decided, and everybody is told."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc  # type: ignore[import-untyped]
import pytest

from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3
from mediagate.topics import Topics
from streams.worker import SHUTDOWN_PATIENCE
from tests import samples
from tests.integration.streams.broker import Broker
from tests.services import Services
from tests.uploads import stored
from tests.vision_server import VisionServer, safe_search, vision_server
from tests.worker_process import Running, Worker

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROUTE = '[{"scanner": "vision"}]'
IMPATIENCE = {
    "IMAGE_MAX_WAIT": "200",
    "BREAKER_FAILURES": "2",
    "BREAKER_PAUSE": "5",
    "VISION_ATTEMPTS": "1",
}
DISTRUSTED = 'mediagate_scanner_distrusted{scanner="vision"} 1'
CLOSED, OPENED = (f'mediagate_breaker_state{{scanner="vision"}} {state}' for state in (0, 2))


@dataclass
class Scene:
    """A running worker whose only scanner is away."""

    vision: VisionServer
    process: Running
    broker: Broker
    bucket: str


@asynccontextmanager
async def working(
    services: Services, settings: Settings, topics: Topics, folder: Path, vision: VisionServer, **own: str
) -> AsyncIterator[Scene]:
    group = {"streams_group": f"streams-{uuid4().hex}"}
    streams_settings = StreamsSettings.model_validate(settings.model_dump() | group)
    worker = Worker("streams", streams_settings, services, folder)
    environment = IMPATIENCE | {"IMAGE_ROUTES": ROUTE, "VISION_ENDPOINT": vision.address} | own
    async with worker.running(**environment) as process:
        await process.ready()
        yield Scene(vision, process, Broker(streams_settings, topics), settings.temp_bucket)


@pytest.fixture
async def scene(
    services: Services, s3: S3, settings: Settings, topics: Topics, tmp_path: Path
) -> AsyncIterator[Scene]:
    async with vision_server() as vision:
        vision.failures.extend([grpc.StatusCode.UNAVAILABLE] * 100_000)
        async with working(services, settings, topics, tmp_path, vision) as scene:
            yield scene


async def test_nothing_is_decided_while_the_scanner_is_away(
    scene: Scene, topics: Topics, outside_client: "S3Client"
) -> None:
    events = [stored(outside_client, scene.bucket, samples.png(64 + number)) for number in range(3)]
    await scene.broker.send(events)

    missing = await scene.process.until("/readyz", lambda status, text: "left alone" in text)
    metrics = await scene.process.until("/metrics", lambda status, text: OPENED in text)

    why = "vision is left alone after: vision: UNAVAILABLE"
    assert missing == f"images wait: 3 items are not judged: {why}\n"
    assert 'mediagate_stream_paused{media_type="image"} 1.0' in metrics
    assert await scene.broker.uncommitted() == 3
    for topic in (topics.approved, topics.rejected, topics.held, topics.dead_letter):
        assert await scene.broker.count(topic.name) == 0

    scene.vision.failures.clear()
    decided = await scene.broker.decided({event.subject for event in events})
    await scene.process.ready()
    metrics = await scene.process.until("/metrics", lambda status, text: CLOSED in text)

    assert sorted(decided) == sorted(event.subject for event in events)
    assert 'mediagate_stream_paused{media_type="image"} 0.0' in metrics


async def test_the_worker_stops_while_the_scanner_is_away(scene: Scene, outside_client: "S3Client") -> None:
    await scene.broker.send([stored(outside_client, scene.bucket, samples.png())])
    await scene.process.until("/readyz", lambda status, text: "images wait" in text)

    scene.process.signal(signal.SIGTERM)

    async with asyncio.timeout(SHUTDOWN_PATIENCE / 2):  # nobody waits for a window that waits itself
        code, output = await scene.process.ended()
    assert (code, await scene.broker.uncommitted()) == (0, 1), output


async def test_a_scanner_that_calls_its_canary_safe_publishes_nothing(
    services: Services,
    s3: S3,
    settings: Settings,
    topics: Topics,
    tmp_path: Path,
    outside_client: "S3Client",
) -> None:
    async with vision_server() as vision:
        vision.changes = lambda answers: [safe_search() for _ in answers]
        canary = json.dumps({"vision": str(UNSAFE_PICTURE)})
        async with working(services, settings, topics, tmp_path, vision, CANARY_FILES=canary) as scene:
            await scene.process.until("/metrics", lambda status, text: DISTRUSTED in text)
            await scene.broker.send([stored(outside_client, scene.bucket, samples.png())])
            missing = await scene.process.until("/readyz", lambda status, text: "images wait" in text)

            assert "vision calls its canary safe" in missing
            assert await scene.broker.uncommitted() == 1
            assert await scene.broker.count(topics.approved.name) == 0
            assert len(vision.requests) == 1, "the canary alone"
