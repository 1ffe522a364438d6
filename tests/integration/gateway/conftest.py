"""The gateway as it is wired for production, on real services of the test's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
from pydantic import SecretStr

from gateway.app import create_app, wire
from gateway.auth import Authenticator, SharedSecret
from gateway.jobs import Jobs
from mediagate.database import connect
from mediagate.settings import GatewaySettings, Settings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics
from tests.integration.gateway.uploader import SECRET, Client, Uploader, serving


@pytest.fixture
def gateway_settings(settings: Settings) -> GatewaySettings:
    return GatewaySettings.model_validate({**settings.model_dump(), "jwt_secret": SecretStr(SECRET)})


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    pool = await connect(database_url, 5)
    yield pool
    await pool.close()


@pytest.fixture
async def client(gateway_settings: GatewaySettings, topics: Topics, s3: S3) -> AsyncIterator[Client]:
    """A client of the whole gateway."""
    async with AsyncExitStack() as stack:
        app = await wire(gateway_settings, stack)
        async with serving(app) as client:
            yield client


@pytest.fixture
def alice(client: Client) -> Uploader:
    return Uploader(client, "alice")


@pytest.fixture
def bob(client: Client) -> Uploader:
    return Uploader(client, "bob")


@pytest.fixture
def service(client: Client) -> Uploader:
    return Uploader(client, "backend", role="service")


@pytest.fixture
def memory_publisher() -> InMemoryPublisher:
    return InMemoryPublisher()


@pytest.fixture
async def memory_client(
    gateway_settings: GatewaySettings,
    pool: "asyncpg.Pool[asyncpg.Record]",
    s3: S3,
    topics_file: object,
    memory_publisher: InMemoryPublisher,
) -> AsyncIterator[Client]:
    """A client of a gateway whose Kafka is a fake that can be away."""
    from mediagate.topics import load_topics

    app = create_app(
        settings=gateway_settings,
        authenticator=Authenticator(SharedSecret(SECRET)),
        jobs=Jobs(pool),
        store=s3,
        publisher=memory_publisher,
        topics=load_topics(gateway_settings.topics_file),
        checks={},
    )
    async with serving(app) as client:
        yield client
