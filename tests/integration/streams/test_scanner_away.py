"""The streams process while its scanner is away: nothing is decided, everybody is told, one probe ends it."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc  # type: ignore[import-untyped]
import pytest

from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3
from mediagate.topics import Topics
from tests import samples
from tests.integration.streams.broker import Broker
from tests.services import Services
from tests.uploads import stored
from tests.vision_server import vision_server
from tests.worker_process import Worker

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROUTE = '[{"scanner": "vision"}]'
IMPATIENCE = {
    "IMAGE_MAX_WAIT": "200",
    "BREAKER_FAILURES": "2",
    "BREAKER_PAUSE": "5",
    "VISION_ATTEMPTS": "1",
}
CLOSED, OPENED = (f'mediagate_breaker_state{{scanner="vision"}} {state}' for state in (0, 2))


@pytest.fixture
def streams_settings(settings: Settings) -> StreamsSettings:
    return StreamsSettings.model_validate(settings.model_dump() | {"streams_group": f"streams-{uuid4().hex}"})


async def test_nothing_is_decided_while_the_scanner_is_away(
    services: Services,
    s3: S3,
    streams_settings: StreamsSettings,
    topics: Topics,
    outside_client: "S3Client",
    tmp_path: Path,
) -> None:
    broker = Broker(streams_settings, topics)
    events = [
        stored(outside_client, streams_settings.temp_bucket, samples.png(64 + number)) for number in range(3)
    ]
    worker = Worker("streams", streams_settings, services, tmp_path)
    async with vision_server() as vision:
        vision.failures.extend([grpc.StatusCode.UNAVAILABLE] * 100_000)
        environment = IMPATIENCE | {"IMAGE_ROUTES": ROUTE, "VISION_ENDPOINT": vision.address}
        async with worker.running(**environment) as process:
            await process.ready()
            await broker.send(events)

            missing = await process.until("/readyz", lambda status, text: "left alone" in text)
            metrics = await process.until("/metrics", lambda status, text: OPENED in text)

            assert missing == (
                "images wait: 3 items are not judged: vision is left alone after: vision: UNAVAILABLE\n"
            )
            assert 'mediagate_stream_paused{media_type="image"} 1.0' in metrics
            assert await broker.uncommitted() == 3
            for topic in (topics.approved, topics.rejected, topics.held, topics.dead_letter):
                assert await broker.count(topic.name) == 0

            vision.failures.clear()
            decided = await broker.decided({event.subject for event in events})
            await process.ready()
            metrics = await process.until("/metrics", lambda status, text: CLOSED in text)

            assert sorted(decided) == sorted(event.subject for event in events)
            assert 'mediagate_stream_paused{media_type="image"} 0.0' in metrics
            assert await asyncio.to_thread(process.get, "/livez") == (200, "ok\n")


async def test_the_worker_stops_while_the_scanner_is_away(
    services: Services,
    s3: S3,
    streams_settings: StreamsSettings,
    topics: Topics,
    outside_client: "S3Client",
    tmp_path: Path,
) -> None:
    broker = Broker(streams_settings, topics)
    worker = Worker("streams", streams_settings, services, tmp_path)
    async with vision_server() as vision:
        vision.failures.extend([grpc.StatusCode.UNAVAILABLE] * 100_000)
        environment = IMPATIENCE | {"IMAGE_ROUTES": ROUTE, "VISION_ENDPOINT": vision.address}
        async with worker.running(**environment) as process:
            await process.ready()
            await broker.send([stored(outside_client, streams_settings.temp_bucket, samples.png())])
            await process.until("/readyz", lambda status, text: "images wait" in text)
            process.signal(signal.SIGTERM)
            code, output = await process.ended()
    assert (code, await broker.uncommitted()) == (0, 1), output
