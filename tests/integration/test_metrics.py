"""/metrics of real workers: what waits, what is open, what is old; and that it falls."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mediagate.database import connect
from mediagate.events import Outcome
from mediagate.settings import Settings, SinksSettings, StreamsSettings
from mediagate.storage import S3
from mediagate.topics import Topics
from tests.integration.sinks.kafka import Kafka
from tests.integration.sinks.scene import NOW, Scene, decision
from tests.integration.streams.broker import Broker
from tests.services import Services
from tests.uploads import upload
from tests.worker_process import Running, Worker

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WINDOW = 4
PATIENT = {"IMAGE_BATCH_SIZE": str(WINDOW), "IMAGE_MAX_WAIT": "300000", "WATCHDOG_TIMEOUT": "600"}


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [each for family in text_string_to_metric_families(text) for each in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the series that have these labels; None where there is none."""
        values = [
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None

    def partitions(self, topic: str) -> set[str]:
        """Those that lag is known of."""
        return {
            sample.labels["partition"]
            for sample in self._samples
            if sample.name == "kafka_consumergroup_lag" and sample.labels["topic"] == topic
        }


async def until(process: Running, as_wanted: Callable[[Metrics], bool]) -> Metrics:
    """The first scrape that is as wanted."""
    return Metrics(await process.until("/metrics", lambda _, text: as_wanted(Metrics(text))))


@pytest.fixture
async def scene(
    settings: Settings, database_url: str, outside_client: "S3Client", s3: S3
) -> AsyncIterator[Scene]:
    pool = await connect(database_url, 3)
    yield Scene(settings, outside_client, pool)
    await pool.close()


@pytest.fixture
def own_settings(settings: Settings) -> Mapping[str, object]:
    groups = {"streams_group": f"streams-{uuid4().hex}", "sinks_group": f"sinks-{uuid4().hex}"}
    return settings.model_dump() | groups


async def test_streams_show_lag_windows_and_ages(
    scene: Scene, own_settings: Mapping[str, object], topics: Topics, services: Services, tmp_path: Path
) -> None:
    settings = StreamsSettings.model_validate(own_settings)
    lag = {"consumergroup": settings.streams_group, "topic": topics.upload_completed_image.name}
    await scene.insert(upload(settings.temp_bucket).data, "approved")
    await scene.pool.execute("update media_jobs set decided_at = created_at")
    broker = Broker(settings, topics)
    *first, last = [upload(settings.temp_bucket) for _ in range(WINDOW)]

    async with Worker("streams", settings, services, tmp_path).running(**PATIENT) as process:
        await process.ready()
        sent = time.time()
        await broker.send(first)
        seen = await until(
            process, lambda metrics: metrics.value("kafka_consumergroup_lag", **lag) == len(first)
        )
        assert seen.value("mediagate_window_open_items", media_type="image") == len(first)
        assert (
            0
            < (seen.value("mediagate_window_open_age_seconds", media_type="image") or 0)
            < time.time() - sent
        )
        assert seen.value("mediagate_window_open_items", media_type="video") == 0
        assert seen.value("mediagate_window_open_age_seconds", media_type="video") == 0
        assert seen.value("mediagate_last_window_timestamp_seconds") is None
        assert len(seen.partitions(lag["topic"])) == topics.upload_completed_image.partitions
        old = seen.value("mediagate_oldest_job_seconds", state="approved")
        assert old == pytest.approx(time.time() - NOW.timestamp(), abs=60)
        others = ("awaiting_upload", "queued", "rejected")
        assert [seen.value("mediagate_oldest_job_seconds", state=state) for state in others] == [0, 0, 0]

        await broker.send([last])
        seen = await until(process, lambda metrics: metrics.value("kafka_consumergroup_lag", **lag) == 0)
        assert seen.value("mediagate_window_open_items", media_type="image") == 0
        finished = seen.value("mediagate_last_window_timestamp_seconds", media_type="image")
        assert sent < (finished or 0) < time.time()


async def test_a_worker_shows_the_lag_of_its_own_partitions_alone(
    scene: Scene, own_settings: Mapping[str, object], topics: Topics, services: Services, tmp_path: Path
) -> None:
    settings = StreamsSettings.model_validate(own_settings)
    worker = Worker("streams", settings, services, tmp_path)
    topic = topics.upload_completed_image

    async with worker.running(**PATIENT) as first:
        await until(first, lambda metrics: len(metrics.partitions(topic.name)) == topic.partitions)
        async with worker.running(**PATIENT) as second:
            there = await until(second, lambda metrics: bool(metrics.partitions(topic.name)))
            here = await until(first, lambda metrics: bool(metrics.partitions(topic.name)))
            both = here.partitions(topic.name), there.partitions(topic.name)
            assert len(both[0] | both[1]) == topic.partitions
            assert not both[0] & both[1]


async def test_sinks_show_the_lag_of_decisions(
    scene: Scene, own_settings: Mapping[str, object], topics: Topics, services: Services, tmp_path: Path
) -> None:
    settings = SinksSettings.model_validate(own_settings)
    event = decision(scene.upload(), Outcome.APPROVED)
    lag = {"consumergroup": settings.sinks_group, "topic": topics.approved.name}

    async with Worker("sinks", settings, services, tmp_path).running() as process:
        await process.ready()
        async with scene.pool.acquire() as lock:
            await lock.execute("select pg_advisory_lock(hashtextextended($1, 0))", str(event.data.media_id))
            await Kafka(settings, topics).decide([event])
            seen = await until(process, lambda metrics: metrics.value("kafka_consumergroup_lag", **lag) == 1)
            assert seen.value("mediagate_effects_total") is None
            await lock.execute("select pg_advisory_unlock_all()")
        seen = await until(process, lambda metrics: metrics.value("kafka_consumergroup_lag", **lag) == 0)
        assert seen.value("mediagate_effects_total", effect="published") == 1
