"""Whether the dependencies answer, each within a short deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka.errors import KafkaError

from gateway.jobs import Jobs
from mediagate.database import UNAVAILABLE
from mediagate.errors import MediagateError
from mediagate.storage import ObjectStore
from mediagate.topics import TopicAdmin, Topics

CHECK_DEADLINE = 3.0

Check = Callable[[], Awaitable[str | None]]
"""Returns what is missing, or nothing; raises where the dependency does not answer."""

log = structlog.get_logger(__name__)


async def missing_dependencies(checks: Mapping[str, Check]) -> dict[str, str]:
    """What is wrong, per dependency that is not all there."""
    found = await asyncio.gather(*(_outcome(name, check) for name, check in checks.items()))
    return {name: wrong for name, wrong in zip(checks, found, strict=True) if wrong is not None}


def dependency_checks(
    jobs: Jobs, store: ObjectStore, bucket: str, admin: TopicAdmin, topics: Topics
) -> dict[str, Check]:
    """The gateway's own dependencies."""

    async def kafka() -> str | None:
        needed = {topics.upload_completed_image.name, topics.upload_completed_video.name}
        missing = sorted(needed.intersection(await admin.missing(topics)))
        return f"topics are missing: {', '.join(missing)}" if missing else None

    async def postgresql() -> None:
        await jobs.ping()

    async def s3() -> str | None:
        missing = await store.missing_buckets([bucket])
        return f"buckets are missing: {', '.join(missing)}" if missing else None

    return {"kafka": kafka, "postgresql": postgresql, "s3": s3}


async def _outcome(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_DEADLINE):
            return await check()
    except (MediagateError, KafkaError, *UNAVAILABLE) as error:
        log.warning("dependency not ready", dependency=name, error=f"{type(error).__name__}: {error}")
        return "does not answer"
