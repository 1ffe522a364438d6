"""Metrics of what stands in PostgreSQL."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from mediagate.errors import StopError
from mediagate.events import Outcome
from mediagate.jobs import UNFINISHED
from mediagate.media import MediaType
from mediagate.settings import Settings
from streams import gauges
from streams.brakes import Brakes
from streams.gauges import StoredGauges
from tests.integration.sinks.scene import Scene as Jobs
from tests.integration.streams.scene import USUAL, Scene
from tests.uploads import upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEADLINE = 30.0


@pytest.fixture
def jobs(scene: Scene, settings: Settings, outside_client: "S3Client") -> Jobs:
    return Jobs(settings, outside_client, scene.pool)


@pytest.fixture
def stored(scene: Scene) -> StoredGauges:
    brakes = Brakes(scene.pool, USUAL, 10, now=lambda: NOW)
    return StoredGauges(scene.pool, brakes.show, now=lambda: NOW)


async def put(jobs: Jobs, state: str, created: timedelta, queued: timedelta, decided: timedelta) -> None:
    event = upload()
    await jobs.insert(event.data, state)
    await jobs.pool.execute(
        "update media_jobs set created_at = $2, queued_at = $3, decided_at = $4 where media_id = $1",
        event.data.media_id,
        NOW - created,
        NOW - queued,
        NOW - decided,
    )


def ages() -> Mapping[str, float | None]:
    name = "mediagate_oldest_job_seconds"
    return {state: REGISTRY.get_sample_value(name, {"state": state}) for state in sorted(UNFINISHED)}


def brake(media_type: MediaType, outcome: Outcome) -> float | None:
    labels = {"media_type": media_type.value, "outcome": outcome.value}
    return REGISTRY.get_sample_value("mediagate_brake_engaged", labels)


async def test_a_job_is_as_old_as_its_state(jobs: Jobs, stored: StoredGauges) -> None:
    for factor in (1, 2):
        for state in ("awaiting_upload", "queued", "approved", "published", "needs_review"):
            await put(
                jobs, state, created=30 * HOUR * factor, queued=2 * HOUR * factor, decided=HOUR * factor
            )

    await stored.show()

    assert ages() == {"awaiting_upload": 216000, "queued": 14400, "approved": 7200, "rejected": 0}


async def test_what_is_done_is_no_longer_shown(jobs: Jobs, stored: StoredGauges) -> None:
    await put(jobs, "rejected", 3 * HOUR, 2 * HOUR, HOUR)
    await stored.show()
    assert ages()["rejected"] == 3600
    await jobs.pool.execute("update media_jobs set state = 'quarantined'")
    await stored.show()
    assert ages() == dict.fromkeys(sorted(UNFINISHED), 0)


async def test_it_shows_brakes_that_another_worker_engaged_and_an_operator_resumed(
    jobs: Jobs, stored: StoredGauges
) -> None:
    await stored.show()
    assert [brake(MediaType.VIDEO, outcome) for outcome in (Outcome.APPROVED, Outcome.REJECTED)] == [0, 0]
    await jobs.pool.execute(
        "insert into brakes (media_type, outcome, share, low, high, decisions, engaged_at)"
        " values ('video', 'rejected', 1, 0, 0.5, 10, now())"
    )
    await stored.show()
    assert brake(MediaType.VIDEO, Outcome.REJECTED) == 1
    await jobs.pool.execute("update brakes set resumed_at = now()")
    await stored.show()
    assert brake(MediaType.VIDEO, Outcome.REJECTED) == 0


async def test_while_postgresql_is_away_nothing_is_shown(
    jobs: Jobs, stored: StoredGauges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "INTERVAL", 0.05)
    await put(jobs, "queued", 3 * HOUR, 2 * HOUR, HOUR)
    await stored.show()
    await jobs.pool.execute("alter table media_jobs rename to gone")
    with pytest.raises(StopError, match="media_jobs"):
        await stored.show()

    looking = asyncio.create_task(stored.run())
    await until(dict.fromkeys(sorted(UNFINISHED)))
    await jobs.pool.execute("alter table gone rename to media_jobs")
    await until({"approved": 0, "awaiting_upload": 0, "queued": 7200, "rejected": 0})
    looking.cancel()


async def until(wanted: Mapping[str, float | None]) -> None:
    async with asyncio.timeout(DEADLINE):
        while ages() != wanted:  # noqa: ASYNC110 - as a scrape does
            await asyncio.sleep(0.02)
