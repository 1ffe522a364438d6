"""The sinks' collaborators on real PostgreSQL and S3."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import pytest

from mediagate.database import connect
from mediagate.settings import Settings, SinksSettings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics, load_topics
from sinks.effects import Effects
from sinks.records import Records, SharedSession
from tests.integration.sinks.crashes import CrashAfter, Crashing
from tests.integration.sinks.kafka import Kafka
from tests.integration.sinks.scene import Scene
from tests.services import Services
from tests.worker_process import Worker

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    pool = await connect(database_url, 10)
    yield pool
    await pool.close()


@pytest.fixture
def scene(
    settings: Settings, outside_client: "S3Client", pool: "asyncpg.Pool[asyncpg.Record]", s3: S3
) -> Scene:
    return Scene(settings, outside_client, pool)


@pytest.fixture
def declared(topics_file: object, settings: Settings) -> Topics:
    """The test's topics, which are on no broker."""
    return load_topics(settings.topics_file)


@pytest.fixture
def publisher() -> InMemoryPublisher:
    return InMemoryPublisher()


@pytest.fixture
def now() -> Callable[[], datetime]:
    return lambda: datetime.now(UTC)


@pytest.fixture
def effects(
    scene: Scene, declared: Topics, s3: S3, publisher: InMemoryPublisher, now: Callable[[], datetime]
) -> Effects:
    return Effects(scene.settings, declared, SharedSession(scene.pool).records_of, s3, publisher, now)


@pytest.fixture
def crashing(
    scene: Scene, declared: Topics, s3: S3, publisher: InMemoryPublisher, now: Callable[[], datetime]
) -> Crashing:
    shared = SharedSession(scene.pool)

    def make(steps: int) -> Effects:
        crash = CrashAfter(steps)

        @asynccontextmanager
        async def records(media_id: UUID) -> AsyncIterator[Records]:
            async with shared.records_of(media_id) as real:
                yield crash.wrap(real)

        return Effects(scene.settings, declared, records, crash.wrap(s3), crash.wrap(publisher), now)

    return make


@pytest.fixture
def sinks_settings(settings: Settings) -> SinksSettings:
    return SinksSettings.model_validate(settings.model_dump() | {"sinks_group": f"sinks-{uuid4().hex}"})


@pytest.fixture
def kafka(sinks_settings: SinksSettings, topics: Topics) -> Kafka:
    return Kafka(sinks_settings, topics)


@pytest.fixture
def sinks(sinks_settings: SinksSettings, services: Services, tmp_path: Path) -> Worker:
    return Worker("sinks", sinks_settings, services, tmp_path)
