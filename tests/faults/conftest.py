"""One embedded stack for the whole lane; a stage, and groups, of each test's own."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import stamina

from devstack.stack import Stack
from mediagate.settings import Settings
from mediagate.storage import S3
from mediagate.topics import Topics
from tests.faults.stage import HOST, Stage, staged
from tests.services import Services, services_of
from tests.worker_process import environment_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

collect_ignore_glob = [] if "FAULTS" in os.environ else ["test_*.py"]
"""A lane of its own: `make test-faults` sets FAULTS."""


@pytest.fixture(scope="session", autouse=True)
def no_word_of_retries() -> None:
    """A service that is away is what this lane is about."""
    stamina.instrumentation.set_on_retry_hooks([])


@pytest.fixture(scope="session")
def kafka_listener() -> Iterator[socket.socket]:
    """Where the proxy of the broker listens, which the broker tells its clients."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, kafka_listener: socket.socket) -> Iterator[Stack]:
    """Services that can be killed."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.kafka.proxy_port = kafka_listener.getsockname()[1]
    with stack:
        yield stack


@pytest.fixture(scope="session")
def services(stack: Stack) -> Services:
    """The same, as the other fixtures want them."""
    return services_of(stack.endpoints().environment())


@pytest.fixture
async def stage(
    stack: Stack,
    services: Services,
    settings: Settings,
    topics: Topics,
    s3: S3,
    outside_client: "S3Client",
    tmp_path: Path,
    kafka_listener: socket.socket,
) -> AsyncIterator[Stage]:
    """Everything but workers."""
    groups = {"streams_group": f"streams-{uuid4().hex}", "sinks_group": f"sinks-{uuid4().hex}"}
    own = Settings.model_validate(settings.model_dump() | groups)
    environment = environment_of(own, services)
    async with staged(stack, own, topics, outside_client, tmp_path, environment, kafka_listener) as stage:
        yield stage
