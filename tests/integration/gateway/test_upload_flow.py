"""From a request to an event, on real Kafka, PostgreSQL and S3."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg

from gateway.app import create_app
from gateway.auth import Authenticator, SharedSecret
from gateway.jobs import Jobs
from mediagate.events import EventType, UploadCompleted, decode, event_id
from mediagate.settings import GatewaySettings
from mediagate.storage import S3, ObjectHead
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics
from tests.integration.gateway.events import read_topic
from tests.integration.gateway.uploader import SECRET, Uploader, put, serving

CONTENT = b"not a picture, but bytes all the same"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_an_upload_becomes_one_event(
    alice: Uploader,
    gateway_settings: GatewaySettings,
    topics: Topics,
    pool: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    answer = await alice.request_upload(CONTENT, file_name="../../etc/holi\nday.jpg")
    media_id = UUID(answer["media_id"])
    assert set(answer["upload"]["headers"]) == {
        "Content-Type",
        "Content-Length",
        "Content-MD5",
        "x-amz-checksum-sha256",
        "If-None-Match",
    }
    assert (await alice.get(f"/media/{media_id}"))[1]["state"] == "awaiting_upload"

    assert await put(answer["upload"], CONTENT) == 200
    status, completed = await alice.complete(media_id, traceparent=TRACE)

    assert (status, completed) == (202, {"media_id": str(media_id), "state": "queued"})
    (record,) = await read_topic(gateway_settings, topics.upload_completed_image)
    event = decode(record.key, record.value, record.headers, UploadCompleted, EventType.UPLOAD_COMPLETED)
    row = await pool.fetchrow("select * from media_jobs where media_id = $1", media_id)
    assert row is not None
    assert (row["state"], row["checksum_verified"], row["attempts"]) == ("queued", True, 1)
    assert row["event_published_at"] is not None
    assert (event.id, event.source) == (
        event_id(EventType.UPLOAD_COMPLETED, media_id, "1"),
        "/mediagate/gateway",
    )
    assert (event.traceparent, event.time) == (TRACE, row["queued_at"])
    assert (event.data.etag, event.data.size) == (row["etag"], len(CONTENT))
    assert (event.data.bucket, event.data.key) == (gateway_settings.temp_bucket, f"uploads/{media_id}")
    assert (event.data.file_name, event.data.user_id) == ("holiday.jpg", "alice")


async def test_videos_have_a_topic_of_their_own(
    alice: Uploader, gateway_settings: GatewaySettings, topics: Topics
) -> None:
    media_id = await alice.upload(CONTENT, mime_type="video/mp4", file_name="a.mp4")

    assert (await alice.complete(media_id))[0] == 202

    assert len(await read_topic(gateway_settings, topics.upload_completed_video)) == 1
    assert await read_topic(gateway_settings, topics.upload_completed_image) == []


class LateS3(S3):
    """Whose HEAD comes once `meanwhile` has happened, and the object was moved away."""

    meanwhile: Callable[[], Awaitable[object]]

    async def head(self, bucket: str, key: str) -> ObjectHead | None:
        await self.meanwhile()
        await self.delete(bucket, key)
        return await super().head(bucket, key)


async def test_a_completion_that_another_overtook_gets_the_same_answer(
    alice: Uploader,
    gateway_settings: GatewaySettings,
    topics: Topics,
    pool: "asyncpg.Pool[asyncpg.Record]",
    memory_publisher: InMemoryPublisher,
) -> None:
    media_id = await alice.upload(CONTENT)
    store = LateS3(gateway_settings)
    store.meanwhile = lambda: alice.complete(media_id)
    app = create_app(
        settings=gateway_settings,
        authenticator=Authenticator(SharedSecret(SECRET)),
        jobs=Jobs(pool),
        store=store,
        publisher=memory_publisher,
        topics=topics,
        checks={},
    )
    async with serving(app) as client:
        answer = await Uploader(client, "alice").complete(media_id)
    store.close()

    assert answer == (202, {"media_id": str(media_id), "state": "queued"})
    assert memory_publisher.records == []


async def test_a_repeated_completion_gets_the_same_answer_and_no_second_event(
    alice: Uploader, gateway_settings: GatewaySettings, topics: Topics
) -> None:
    media_id = await alice.upload(CONTENT)

    answers = [await alice.complete(media_id) for _ in range(3)]

    assert answers == [(202, {"media_id": str(media_id), "state": "queued"})] * 3
    assert len(await read_topic(gateway_settings, topics.upload_completed_image)) == 1


async def test_completing_before_the_upload_is_a_conflict(alice: Uploader) -> None:
    answer = await alice.request_upload(CONTENT)

    status, problem = await alice.complete(answer["media_id"])

    assert (status, problem["title"]) == (409, "Conflict")


async def test_an_unknown_upload_is_not_found(alice: Uploader) -> None:
    assert (await alice.complete(uuid4()))[0] == 404
    assert (await alice.get(f"/media/{uuid4()}"))[0] == 404
