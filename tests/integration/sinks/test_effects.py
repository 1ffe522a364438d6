"""What each decision leaves behind in PostgreSQL, S3 and the news."""

import asyncio
from typing import Any

import pytest

from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import (
    EventType,
    Inspection,
    Outcome,
    OutgoingRecord,
    Published,
    Quarantined,
    UploadCompleted,
    decode,
    event_id,
)
from mediagate.jobs import State
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics
from sinks.effects import Effects
from tests.integration.sinks.scene import Scene, decision

FINAL = [Outcome.APPROVED, Outcome.REJECTED]
ENDS = {Outcome.APPROVED: State.PUBLISHED, Outcome.REJECTED: State.QUARANTINED}


def ids(records: list[OutgoingRecord]) -> set[bytes]:
    return {dict(record.headers)["ce_id"] for record in records}


@pytest.mark.parametrize(
    ("linked_to_type", "bucket", "key"),
    [
        ("post", "posts-media", "photo.jpg"),
        ("opportunity", "opportunities-media", "photo.jpg"),
        ("profile_picture", "users-media", "profile_picture/photo.jpg"),
        ("project", "talent-profiles-media", "project/photo.jpg"),
        ("anything_else", "default-bucket", "anything_else/photo.jpg"),
    ],
)
async def test_an_approved_upload_is_published(
    scene: Scene,
    effects: Effects,
    declared: Topics,
    publisher: InMemoryPublisher,
    linked_to_type: str,
    bucket: str,
    key: str,
) -> None:
    upload = scene.upload(linked_to_type=linked_to_type)
    await scene.insert(upload)

    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    ((stands_in, keys),) = scene.everywhere().items()
    assert stands_in.endswith(f"-{bucket}")
    assert keys == [key]
    assert scene.read(stands_in, key) == b"a picture"
    head = scene.client.head_object(Bucket=stands_in, Key=key)
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"media-id": str(upload.media_id)})
    item = await scene.row("media_items", upload.media_id)
    assert item is not None
    assert item.pop("created_at") is not None
    assert item == {
        "media_id": upload.media_id,
        "user_id": "alice",
        "linked_to_type": linked_to_type,
        "linked_to_id": "7",
        "file_name": "photo.jpg",
        "mime_type": "image/png",
        "file_size": 9,
        "sha256": upload.sha256,
        "width": 640,
        "height": 480,
        "duration": None,
        "bucket": stands_in,
        "key": key,
    }
    (record,) = publisher.records
    assert record.topic == declared.published.name
    news = decode(record.key, record.value, record.headers, Published, EventType.PUBLISHED)
    cause = decision(upload, Outcome.APPROVED)
    assert (news.id, news.source) == (
        event_id(EventType.PUBLISHED, upload.media_id, "final"),
        "/mediagate/sinks",
    )
    assert (news.causation_id, news.traceparent) == (cause.id, cause.traceparent)
    assert (news.data.bucket, news.data.key, news.data.width) == (stands_in, key, 640)


async def test_a_video_keeps_its_duration(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher
) -> None:
    upload = scene.upload(file_name="a.mp4", mime_type="video/mp4")
    seen = Inspection(mime_type="video/mp4", width=1280, height=720, duration=12.5)

    await effects.carry_out(decision(upload, Outcome.APPROVED, inspection=seen))

    item = await scene.row("media_items", upload.media_id)
    assert item is not None
    assert item["duration"] == 12.5


async def test_a_rejected_upload_is_quarantined_and_reported(
    scene: Scene, effects: Effects, declared: Topics, publisher: InMemoryPublisher
) -> None:
    upload = scene.upload()
    await scene.insert(upload)

    assert await effects.carry_out(decision(upload, Outcome.REJECTED)) is State.QUARANTINED

    quarantine = scene.settings.quarantine_bucket
    assert scene.everywhere() == {quarantine: [str(upload.media_id)]}
    report = await scene.row("system_reports", upload.media_id)
    assert report is not None
    assert report.pop("created_at") is not None
    assert report == {
        "media_id": upload.media_id,
        "reason": "nsfw",
        "reasons": ["nsfw", "blocked"],
        "scores": {"nsfw": 0.5},
        "scanner": "local",
        "model_version": "m1",
        "policy_version": "p1",
        "bucket": quarantine,
        "key": str(upload.media_id),
    }
    assert await scene.row("media_items", upload.media_id) is None
    (record,) = publisher.records
    assert record.topic == declared.quarantined.name
    news = decode(record.key, record.value, record.headers, Quarantined, EventType.QUARANTINED)
    assert news.id == event_id(EventType.QUARANTINED, upload.media_id, "final")
    assert (news.data.bucket, news.data.key, news.data.reasons) == (
        quarantine,
        str(upload.media_id),
        ("nsfw", "blocked"),
    )


@pytest.mark.parametrize(
    ("outcome", "state", "finished"),
    [
        (Outcome.NEEDS_REVIEW, State.NEEDS_REVIEW, False),
        (Outcome.UNSCANNABLE, State.UNSCANNABLE, True),
    ],
)
async def test_a_held_upload_stays_where_it_is(
    scene: Scene,
    effects: Effects,
    publisher: InMemoryPublisher,
    outcome: Outcome,
    state: State,
    finished: bool,
) -> None:
    upload = scene.upload()
    await scene.insert(upload)

    assert await effects.carry_out(decision(upload, outcome)) is state

    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    assert job["state"] == state
    assert job["decision"]["reasons"] == list(decision(upload, outcome).data.reasons)
    assert (job["decided_at"] is not None, job["finished_at"] is not None) == (True, finished)
    assert scene.everywhere() == {scene.settings.temp_bucket: [upload.key]}
    assert publisher.records == []


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_an_upload_that_never_passed_the_gateway_gets_its_row(
    scene: Scene, effects: Effects, outcome: Outcome
) -> None:
    upload = scene.upload()

    state = await effects.carry_out(decision(upload, outcome))

    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    assert job["state"] == state
    assert (job["user_id"], job["sha256"], job["etag"]) == ("alice", upload.sha256, upload.etag)
    assert job["event_published_at"] is not None


async def test_a_completion_that_was_never_noted_is_no_obstacle(scene: Scene, effects: Effects) -> None:
    upload = scene.upload()
    await scene.insert(upload, "awaiting_upload")
    await scene.pool.execute("update media_jobs set etag = null, queued_at = null")

    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    assert job["etag"] == upload.etag


async def test_an_expired_upload_stays_expired(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher
) -> None:
    upload = scene.upload()
    await scene.insert(upload, "expired")

    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.EXPIRED

    assert scene.everywhere() == {scene.settings.temp_bucket: [upload.key]}
    assert publisher.records == []


@pytest.mark.parametrize("outcome", FINAL)
async def test_a_repeated_decision_repeats_only_the_news(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher, outcome: Outcome
) -> None:
    upload = scene.upload()
    event = decision(upload, outcome)
    await effects.carry_out(event)
    before = (await scene.row("media_jobs", upload.media_id), scene.everywhere())

    assert await effects.carry_out(event) is ENDS[outcome]

    assert (await scene.row("media_jobs", upload.media_id), scene.everywhere()) == before
    first, second = publisher.records
    assert first == second


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("first", list(Outcome))
@pytest.mark.parametrize("second", list(Outcome))
async def test_the_first_decision_wins(
    scene: Scene,
    effects: Effects,
    publisher: InMemoryPublisher,
    first: Outcome,
    second: Outcome,
    at_once: bool,
) -> None:
    upload = scene.upload()
    await scene.insert(upload)
    events = [decision(upload, first), decision(upload, second, cause="2")]

    if at_once:
        await asyncio.gather(*(effects.carry_out(event) for event in events * 2))
    else:
        for event in events * 2:
            await effects.carry_out(event)

    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    won = Outcome(job["decision"]["outcome"])
    assert won in ({first, second} if at_once else {first})
    assert job["state"] == ENDS.get(won, won)
    assert (await scene.row("media_items", upload.media_id) is not None) == (won is Outcome.APPROVED)
    assert (await scene.row("system_reports", upload.media_id) is not None) == (won is Outcome.REJECTED)
    assert sum(len(keys) for keys in scene.everywhere().values()) == 1
    assert len(ids(publisher.records)) == (won in FINAL)


@pytest.mark.parametrize("outcome", FINAL)
@pytest.mark.parametrize("vanished", [True, False])
async def test_bytes_that_were_not_scanned_go_nowhere(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher, outcome: Outcome, vanished: bool
) -> None:
    upload = scene.upload()
    await scene.insert(upload)
    if vanished:
        scene.client.delete_object(Bucket=upload.bucket, Key=upload.key)
    else:
        scene.put(upload.key, b"a_picture")

    for _ in range(2):
        assert await effects.carry_out(decision(upload, outcome)) is State.UNSCANNABLE

    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    assert job["decision"]["outcome"] == "unscannable"
    assert job["decision"]["reasons"][0] == "object_changed"
    assert (job["destination_bucket"], job["destination_key"]) == (None, None)
    assert job["finished_at"] is not None
    assert scene.everywhere() == ({} if vanished else {upload.bucket: [upload.key]})
    assert publisher.records == []


async def test_an_own_copy_is_enough_when_the_upload_is_gone(scene: Scene, effects: Effects) -> None:
    upload = scene.upload()
    scene.client.delete_object(Bucket=upload.bucket, Key=upload.key)
    bucket = scene.settings.buckets["post"]
    scene.client.put_object(
        Bucket=bucket, Key="photo.jpg", Body=b"a picture", Metadata={"media-id": str(upload.media_id)}
    )

    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    assert scene.everywhere() == {bucket: ["photo.jpg"]}


async def test_a_decision_on_other_bytes_than_the_jobs_is_a_dead_letter(
    scene: Scene, effects: Effects
) -> None:
    upload = scene.upload()
    await scene.insert(upload)
    other = UploadCompleted.model_validate(upload.model_dump() | {"key": scene.upload().key})

    with pytest.raises(DeadLetterError, match=r"upload_differs: upload\.key"):
        await effects.carry_out(decision(other, Outcome.APPROVED))

    assert await scene.state(upload.media_id) == "queued"


@pytest.mark.parametrize(
    "fault",
    [{"key": "a\x00b"}, {"size": 2**70}, {"linked_to_id": "\x80"}],
    ids=["null character", "too large", "fine after all"],
)
async def test_what_the_database_cannot_store_is_a_dead_letter(
    scene: Scene, effects: Effects, fault: dict[str, Any]
) -> None:
    upload = UploadCompleted.model_validate(scene.upload().model_dump() | fault)
    if "linked_to_id" in fault:
        assert await effects.carry_out(decision(upload, Outcome.NEEDS_REVIEW)) is State.NEEDS_REVIEW
        return
    with pytest.raises(DeadLetterError, match="invalid_data"):
        await effects.carry_out(decision(upload, Outcome.APPROVED))


async def test_a_database_that_ends_our_session_is_worth_another_try(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher
) -> None:
    upload = scene.upload()
    await scene.pool.execute(
        "create function away() returns trigger language plpgsql as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$"
    )
    await scene.pool.execute("create trigger away before insert on media_items execute function away()")

    with pytest.raises(TransientError, match="PostgreSQL"):
        await effects.carry_out(decision(upload, Outcome.APPROVED))
    assert await scene.state(upload.media_id) == "approved"
    await scene.pool.execute("drop trigger away on media_items")
    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    assert len(publisher.records) == 1
