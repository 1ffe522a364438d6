"""Fixtures of every test lane: real services, a database and topics of a test's own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import boto3
import hypothesis
import pytest
import stamina
import yaml
from botocore.client import Config
from pydantic import SecretStr

from mediagate.migrations import migrate
from mediagate.settings import Settings
from mediagate.storage import S3
from mediagate.topics import TopicAdmin, Topics, load_topics
from tests.services import Services, running_services

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parent.parent

pytest.register_assert_rewrite("tests.faults.proof")

hypothesis.settings.register_profile("tests", deadline=None)  # no test is about time that really passes
hypothesis.settings.load_profile("tests")

os.environ["MODAL_CONFIG_PATH"] = "/nonexistent"  # read once, when modal is imported: nobody's own account


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Kafka, PostgreSQL and S3, as MEDIAGATE_TEST_SERVICES says: embedded, containers or external."""
    with running_services(
        os.environ.get("MEDIAGATE_TEST_SERVICES"), tmp_path_factory.mktemp("services")
    ) as running:
        yield running


@pytest.fixture(scope="session")
def template_database(services: Services) -> Iterator[str]:
    """The name of a migrated database that tests clone."""
    name = f"template_{uuid4().hex}"
    asyncio.run(_execute(services.database_url, f'create database "{name}"'))
    asyncio.run(migrate(services.database_url_of(name)))
    yield name
    asyncio.run(drop_database(services.database_url, name))


@pytest.fixture
async def empty_database_url(services: Services) -> AsyncIterator[str]:
    """A database of the test's own with nothing in it."""
    name = f"empty_{uuid4().hex}"
    await _execute(services.database_url, f'create database "{name}"')
    yield services.database_url_of(name)
    await drop_database(services.database_url, name)


@pytest.fixture
async def database_url(services: Services, template_database: str) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own."""
    name = f"test_{uuid4().hex}"
    await _execute(services.database_url, f'create database "{name}" template "{template_database}"')
    yield services.database_url_of(name)
    await drop_database(services.database_url, name)


@pytest.fixture
def topics_file(tmp_path: Path) -> Path:
    """topics.yaml with every topic under a name of the test's own."""
    prefix = uuid4().hex[:12]
    declared = yaml.safe_load((ROOT / "topics.yaml").read_text())
    for topic in declared.values():
        topic["name"] = f"{prefix}.{topic['name']}"
    path = tmp_path / "topics.yaml"
    path.write_text(yaml.safe_dump(declared))
    return path


@pytest.fixture
async def topics(services: Services, topics_file: Path) -> Topics:
    """The test's own topics, made on the broker."""
    topics = load_topics(topics_file)
    async with TopicAdmin(services.kafka_bootstrap_servers) as admin:
        await admin.apply(await admin.plan(topics))
    return topics


@pytest.fixture
async def settings(services: Services, database_url: str, topics_file: Path) -> Settings:
    """What the three processes share, on the test's own database, topics and buckets."""
    prefix = uuid4().hex[:12]
    return Settings.model_validate(
        {
            "kafka_bootstrap_servers": services.kafka_bootstrap_servers,
            "database_url": database_url,
            "s3_endpoint_url": services.s3_endpoint_url,
            "aws_access_key_id": SecretStr(services.aws_access_key_id),
            "aws_secret_access_key": SecretStr(services.aws_secret_access_key),
            "aws_region": services.aws_region,
            "topics_file": topics_file,
            "temp_bucket": f"{prefix}-media-temp",
            "quarantine_bucket": f"{prefix}-media-quarantine",
            "buckets": {
                kind: f"{prefix}-{name}"
                for kind, name in Settings.model_fields["buckets"].get_default().items()
            },
            "default_bucket": f"{prefix}-default-bucket",
        }
    )


@pytest.fixture
async def s3(settings: Settings) -> AsyncIterator[S3]:
    """The real object store with the test's own buckets."""
    store = S3(settings)
    await store.create_buckets(settings.all_buckets())
    yield store
    store.close()


@pytest.fixture
def outside_client(settings: Settings) -> "Iterator[S3Client]":
    """An S3 client that shares nothing with the code under test."""
    assert settings.aws_access_key_id is not None
    assert settings.aws_secret_access_key is not None
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.aws_region,
        aws_access_key_id=settings.aws_access_key_id.get_secret_value(),
        aws_secret_access_key=settings.aws_secret_access_key.get_secret_value(),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    yield client
    client.close()


@stamina.retry(on=asyncpg.InsufficientPrivilegeError, timeout=30)
async def drop_database(server_url: str, name: str) -> None:
    """Drops a test's database; waits for the server's own autovacuum, which only it may end."""
    await _execute(server_url, f'drop database "{name}" with (force)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
