"""A disk under S3 that is really full: uploads and the sinks' copies fail, and go on when there is room."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from devstack.stack import Stack
from devstack.state import State
from mediagate.settings import Settings
from tests.faults.fleet import POLL
from tests.faults.proof import uploads_coming_in
from tests.faults.small_disk import LimitedS3, SmallS3, may_mount
from tests.faults.stage import PATIENCE, Stage
from tests.faults.uploads import chance, uploads

TAKEN_IN = 20
COPY_REFUSED = b"S3 CopyObject: InternalError"


@pytest.fixture
def small_s3(stack: Stack, tmp_path: Path) -> Iterator[SmallS3 | LimitedS3]:
    """In the place of the stack's own, with the same keys."""
    kind = SmallS3 if may_mount(tmp_path) else LimitedS3
    small = kind(tmp_path, State(tmp_path / "state.json"))
    small.access_key_id, small.secret_access_key = stack.s3.access_key_id, stack.s3.secret_access_key
    small.choose_ports(set())
    small.start()
    yield small
    small.stop()


@pytest.fixture
async def settings(settings: Settings, small_s3: SmallS3 | LimitedS3) -> Settings:
    """The test's own, on that S3."""
    return settings.model_copy(update={"s3_endpoint_url": small_s3.endpoint_url})


async def test_a_full_disk_under_s3(stage: Stage, small_s3: SmallS3 | LimitedS3) -> None:
    random = chance("full disk")
    async with stage.workers(streams=1, sinks=0), AsyncExitStack() as held:
        await stage.take_in(islice(uploads(random), TAKEN_IN), random)
        small_s3.fill()
        async with uploads_coming_in(stage, "more"):
            stage.sinks.append(await held.enter_async_context(stage.worker("sinks", 0).running()))
            await stage.sinks[0].ready()
            await a_copy_is_refused(stage)
            with pytest.raises(ClientError, match="InternalError"):
                await asyncio.to_thread(put, stage)
            small_s3.clear()


async def a_copy_is_refused(stage: Stage) -> None:
    """Once the sinks say so."""
    log = stage.directory / "sinks-0.log"
    async with asyncio.timeout(PATIENCE):
        while COPY_REFUSED not in log.read_bytes():  # noqa: ASYNC110 - only the log tells
            await asyncio.sleep(POLL)


def put(stage: Stage) -> None:
    stage.client.put_object(Bucket=stage.settings.temp_bucket, Key="uploads/one-more", Body=b"x")
