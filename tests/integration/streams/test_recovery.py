"""What recovery finds on real rows, objects and topics, and what it leaves alone."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from mediagate.database import connect
from mediagate.errors import TransientError
from mediagate.events import Decision, EventType, Outcome, OutgoingRecord, UploadCompleted, decode
from mediagate.lag import lag
from mediagate.publisher import KafkaPublisher
from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics
from streams.recovery import Recovery

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BYTES = b"not looked at by recovery"
MINUTE = timedelta(minutes=1)

Pool = Any


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, 5)
    yield pool
    await pool.close()


@pytest.fixture
def streams_settings(settings: Settings) -> StreamsSettings:
    groups = {"streams_group": f"streams-{uuid4().hex}", "sinks_group": f"sinks-{uuid4().hex}"}
    return StreamsSettings.model_validate(settings.model_dump() | groups)


@pytest.fixture
def publisher() -> InMemoryPublisher:
    return InMemoryPublisher()


@pytest.fixture
def recovery(
    streams_settings: StreamsSettings, topics: Topics, database: Pool, s3: S3, publisher: InMemoryPublisher
) -> Recovery:
    return Recovery(streams_settings, topics, database, s3, publisher, now=lambda: NOW)


async def insert(database: Pool, settings: Settings, state: str, **columns: Any) -> UUID:
    media_id = uuid4()
    row = {
        "media_id": media_id,
        "user_id": "user",
        "file_name": "a.png",
        "file_size": len(BYTES),
        "mime_type": "image/png",
        "sha256": hashlib.sha256(BYTES).hexdigest(),
        "linked_to_type": "post",
        "linked_to_id": "1",
        "bucket": settings.temp_bucket,
        "key": f"uploads/{media_id}",
        "state": state,
        "created_at": NOW - timedelta(hours=1),
        **columns,
    }
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    insertion = f"insert into media_jobs ({names}) values ({places})"  # noqa: S608
    await database.execute(insertion, *row.values())
    return media_id


def queued(published: timedelta | None, **columns: Any) -> dict[str, Any]:
    """Columns of a queued row whose event was published that long ago, or never."""
    at = NOW - timedelta(hours=1)
    return {
        "etag": '"e"',
        "queued_at": at,
        "event_published_at": None if published is None else NOW - published,
        "attempts": 0 if published is None else 1,
        **columns,
    }


async def row_of(database: Pool, media_id: UUID) -> Any:
    return await database.fetchrow("select * from media_jobs where media_id = $1", media_id)


def upload_of(record: OutgoingRecord) -> UploadCompleted:
    return decode(record.key, record.value, record.headers, UploadCompleted, EventType.UPLOAD_COMPLETED).data


async def test_publishes_a_completion_that_kafka_never_took(
    recovery: Recovery, database: Pool, settings: Settings, publisher: InMemoryPublisher, topics: Topics
) -> None:
    media_id = await insert(database, settings, "queued", **queued(published=None))
    assert await recovery.sweep()
    (record,) = publisher.records
    assert record.topic == topics.upload_completed_image.name
    assert upload_of(record).media_id == media_id
    assert (await row_of(database, media_id))["event_published_at"] == NOW
    await recovery.sweep()
    assert len(publisher.records) == 1


@pytest.mark.parametrize("published", [None, 11 * MINUTE])
async def test_one_sweep_pays_all_that_is_owed_once_and_keeps_what_the_broker_took(
    recovery: Recovery,
    database: Pool,
    settings: Settings,
    publisher: InMemoryPublisher,
    published: timedelta | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.recovery.BATCH", 2)
    same = [await insert(database, settings, "queued", **queued(published)) for _ in range(3)]
    later = [
        await insert(database, settings, "queued", **queued(published), created_at=NOW - minutes * MINUTE)
        for minutes in (59, 58)
    ]
    publish = publisher.publish
    batches: list[int] = []

    async def takes_one_batch(records: Sequence[OutgoingRecord]) -> None:
        publisher.available = not batches
        await publish(records)
        batches.append(len(records))

    monkeypatch.setattr(publisher, "publish", takes_one_batch)
    with pytest.raises(TransientError):
        await recovery.sweep()
    assert batches == [2]
    monkeypatch.setattr(publisher, "publish", publish)
    publisher.available = True
    await recovery.sweep()
    paid = [upload_of(record).media_id for record in publisher.records]
    if published is None:
        assert sorted(paid) == sorted([*same, *later])
    else:  # an attempt that has begun counts: the second batch waits for the cooldown
        assert len(paid) == len(set(paid)) == 3


async def test_a_sweep_leaves_to_the_next_what_workers_do_not_get_to(
    streams_settings: StreamsSettings,
    topics: Topics,
    database: Pool,
    s3: S3,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("streams.recovery.BATCH", "streams.pace.LEAST"):
        monkeypatch.setattr(name, 2)
    for minutes in range(5):
        at = NOW - timedelta(hours=1) + minutes * MINUTE
        await insert(database, settings, "queued", **queued(None), created_at=at)
    hasty = streams_settings.model_copy(update={"recovery_interval": timedelta(milliseconds=1)})
    async with KafkaPublisher(settings.kafka_bootstrap_servers, "test") as real:
        recovery = Recovery(hasty, topics, database, s3, real, now=lambda: NOW)
        paid = []
        for _ in range(2):
            await recovery.sweep()
            paid.append(
                await database.fetchval(
                    "select count(*) from media_jobs where event_published_at is not null"
                )
            )
    assert paid == [4, 5]


async def test_leaves_a_completion_alone_that_the_gateway_may_still_be_publishing(
    recovery: Recovery, database: Pool, settings: Settings, publisher: InMemoryPublisher
) -> None:
    await insert(database, settings, "queued", **queued(None, queued_at=NOW - timedelta(seconds=1)))
    await recovery.sweep()
    assert publisher.records == []


async def test_gives_an_undecided_row_a_fresh_event_after_the_cooldown(
    recovery: Recovery, database: Pool, settings: Settings, publisher: InMemoryPublisher
) -> None:
    old = await insert(database, settings, "queued", **queued(published=11 * MINUTE))
    await insert(database, settings, "queued", **queued(published=9 * MINUTE))
    await insert(database, settings, "published", **queued(published=11 * MINUTE))
    await recovery.sweep()
    assert [upload_of(record).media_id for record in publisher.records] == [old]
    assert (await row_of(database, old))["attempts"] == 2
    await recovery.sweep()
    assert len(publisher.records) == 1


async def test_leaves_undecided_rows_alone_while_their_events_are_still_on_the_broker(
    recovery: Recovery,
    streams_settings: StreamsSettings,
    database: Pool,
    publisher: InMemoryPublisher,
    topics: Topics,
) -> None:
    await insert(database, streams_settings, "queued", **queued(published=11 * MINUTE))
    waiting = OutgoingRecord(topics.upload_completed_image.name, None, b"waiting", [])
    async with KafkaPublisher(streams_settings.kafka_bootstrap_servers, "test") as real:
        await real.publish([waiting])
    behind = await lag(
        streams_settings.kafka_bootstrap_servers, streams_settings.streams_group, [waiting.topic]
    )
    assert sum(behind.values()) == 1
    await recovery.sweep()
    assert publisher.records == []


async def test_gives_up_after_the_cap_and_says_so(
    recovery: Recovery, database: Pool, settings: Settings, publisher: InMemoryPublisher, topics: Topics
) -> None:
    media_id = await insert(database, settings, "queued", **queued(published=11 * MINUTE, attempts=5))
    await recovery.sweep()
    (record,) = publisher.records
    assert record.topic == topics.held.name
    decision = decode(record.key, record.value, record.headers, Decision, EventType.HELD).data
    assert decision.media_id == media_id
    assert decision.outcome is Outcome.UNSCANNABLE
    assert decision.reasons == ("attempts_exhausted",)


async def test_completes_an_upload_that_nobody_completed(
    recovery: Recovery, database: Pool, settings: Settings, s3: S3, publisher: InMemoryPublisher
) -> None:
    media_id = await insert(database, settings, "awaiting_upload")
    s3._client.put_object(Bucket=settings.temp_bucket, Key=f"uploads/{media_id}", Body=BYTES)
    await recovery.sweep()
    row = await row_of(database, media_id)
    assert row["state"] == "queued"
    assert upload_of(publisher.records[0]).etag == row["etag"]


async def test_never_queues_an_object_that_is_not_the_declared_one(
    recovery: Recovery, database: Pool, settings: Settings, s3: S3, publisher: InMemoryPublisher
) -> None:
    media_id = await insert(database, settings, "awaiting_upload")
    s3._client.put_object(Bucket=settings.temp_bucket, Key=f"uploads/{media_id}", Body=b"something else")
    await recovery.sweep()
    assert (await row_of(database, media_id))["state"] == "awaiting_upload"
    assert publisher.records == []


async def test_expires_what_was_never_uploaded(
    recovery: Recovery, database: Pool, settings: Settings
) -> None:
    young = await insert(database, settings, "awaiting_upload")
    old = await insert(database, settings, "awaiting_upload", created_at=NOW - timedelta(hours=25))
    await recovery.sweep()
    assert (await row_of(database, young))["state"] == "awaiting_upload"
    assert (await row_of(database, young))["last_attempt_at"] == NOW
    expired = await row_of(database, old)
    assert expired["state"] == "expired"
    # Noted as looked at before it is expired, it would wait for the cooldown if a crash came between.
    assert expired["last_attempt_at"] is None


@pytest.mark.parametrize(
    ("state", "ended", "is_cleared"),
    [
        ("published", 16 * MINUTE, True),
        ("quarantined", 16 * MINUTE, True),
        ("expired", 16 * MINUTE, True),
        ("published", 14 * MINUTE, False),
        ("needs_review", 16 * MINUTE, False),
        ("unscannable", 16 * MINUTE, False),
        ("awaiting_upload", 16 * MINUTE, False),
        ("queued", 16 * MINUTE, False),
        ("approved", 16 * MINUTE, False),
    ],
)
async def test_clears_away_what_came_by_a_url_after_the_upload_had_ended(
    recovery: Recovery,
    database: Pool,
    settings: Settings,
    s3: S3,
    state: str,
    ended: timedelta,
    is_cleared: bool,
) -> None:
    media_id = await insert(database, settings, state, url_expires_at=NOW - ended)
    await s3.write(settings.temp_bucket, f"uploads/{media_id}", BYTES, "image/png")
    await recovery.sweep()
    assert (await s3.head(settings.temp_bucket, f"uploads/{media_id}") is None) == is_cleared
    assert ((await row_of(database, media_id))["url_expires_at"] is None) == is_cleared


async def test_only_one_worker_sweeps_at_a_time(recovery: Recovery, database: Pool) -> None:
    async with database.acquire() as other:
        assert await other.fetchval("select pg_try_advisory_lock(7261985)")
        assert not await recovery.sweep()
        await other.fetchval("select pg_advisory_unlock(7261985)")
    assert await recovery.sweep()
