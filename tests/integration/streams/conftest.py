"""A scene for each test of the way to a decision."""

from collections.abc import AsyncIterator, Iterator

import pytest
import stamina

from mediagate.database import connect
from mediagate.policy import load_policy
from mediagate.topics import load_topics
from tests.conftest import ROOT
from tests.integration.streams.scene import Scene


@pytest.fixture
async def scene(database_url: str) -> AsyncIterator[Scene]:
    pool = await connect(database_url, 5)
    yield Scene(pool, load_topics(ROOT / "topics.yaml"), load_policy(ROOT / "policy.yaml"))
    await pool.close()


@pytest.fixture
def no_backoff() -> Iterator[None]:
    """Retries follow each other at once."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield
