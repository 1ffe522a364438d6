"""A human's overrides, in every direction, order and repetition: the object and its records follow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import UUID

import pytest

from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import (
    Event,
    EventType,
    Outcome,
    OutgoingRecord,
    Override,
    OverrideVerdict,
    Published,
    Quarantined,
    UploadCompleted,
    decode,
    event_id,
)
from mediagate.jobs import State
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topics
from sinks.effects import Effects
from sinks.jobs import Job
from sinks.records import Records, records_of
from tests.integration.sinks.crashes import Crash, Crashing
from tests.integration.sinks.scene import NOW, Scene, decision, override

APPROVE, REJECT = OverrideVerdict.APPROVE, OverrideVerdict.REJECT
ENDS = {APPROVE: State.PUBLISHED, REJECT: State.QUARANTINED}
KINDS = {APPROVE: EventType.PUBLISHED, REJECT: EventType.QUARANTINED}
OUTCOMES = {APPROVE: Outcome.APPROVED, REJECT: Outcome.REJECTED}
MOST_STEPS = 14


def opposite(verdict: OverrideVerdict) -> OverrideVerdict:
    return REJECT if verdict is APPROVE else APPROVE


def distinct(records: list[OutgoingRecord]) -> list[OutgoingRecord]:
    """The news in their order, without repetitions."""
    return [record for index, record in enumerate(records) if record not in records[:index]]


def ids(records: list[OutgoingRecord]) -> list[str]:
    return [dict(record.headers)["ce_id"].decode() for record in records]


async def rows(scene: Scene, upload: UploadCompleted) -> list[Any]:
    tables = ("media_jobs", "media_items", "system_reports")
    return [await scene.row(table, upload.media_id) for table in tables]


async def check_stands(scene: Scene, upload: UploadCompleted, verdict: OverrideVerdict) -> None:
    """The object is in one place, whole, and the records say the same."""
    job, item, report = await rows(scene, upload)
    public = (scene.settings.buckets["post"], "photo.jpg")
    quarantine = (scene.settings.quarantine_bucket, str(upload.media_id))
    bucket, key = public if verdict is APPROVE else quarantine
    assert job["state"] == ENDS[verdict]
    assert scene.everywhere() == {bucket: [key]}
    assert scene.read(bucket, key) == b"a picture"
    home, none = (item, report) if verdict is APPROVE else (report, item)
    assert (home["bucket"], home["key"]) == (bucket, key)
    assert none is None


@pytest.fixture
def upload(scene: Scene) -> UploadCompleted:
    return scene.upload()


@pytest.mark.parametrize("held", [Outcome.NEEDS_REVIEW, Outcome.UNSCANNABLE])
@pytest.mark.parametrize("verdict", list(OverrideVerdict))
async def test_what_waits_for_a_human_goes_where_they_say(
    scene: Scene,
    effects: Effects,
    publisher: InMemoryPublisher,
    upload: UploadCompleted,
    held: Outcome,
    verdict: OverrideVerdict,
) -> None:
    await effects.carry_out(decision(upload, held))

    for _ in range(2):
        assert await effects.override(override(upload, verdict)) is ENDS[verdict]

    await check_stands(scene, upload, verdict)
    assert ids(distinct(publisher.records)) == [
        event_id(KINDS[verdict], upload.media_id, override(upload, verdict).id)
    ]
    assert len(publisher.records) == 2


@pytest.mark.parametrize("verdict", list(OverrideVerdict))
async def test_an_end_is_turned_round_and_back(
    scene: Scene,
    effects: Effects,
    publisher: InMemoryPublisher,
    upload: UploadCompleted,
    verdict: OverrideVerdict,
) -> None:
    back = opposite(verdict)
    await effects.carry_out(decision(upload, OUTCOMES[back]))

    assert await effects.override(override(upload, verdict, 1)) is ENDS[verdict]
    await check_stands(scene, upload, verdict)
    assert await effects.override(override(upload, back, 2)) is ENDS[back]
    await check_stands(scene, upload, back)

    news = distinct(publisher.records)
    causes = ["final", override(upload, verdict, 1).id, override(upload, back, 2).id]
    kinds = [KINDS[back], KINDS[verdict], KINDS[back]]
    assert ids(news) == [
        event_id(kind, upload.media_id, cause) for kind, cause in zip(kinds, causes, strict=True)
    ]
    assert [dict(record.headers)["ce_causationid"].decode() for record in news] == [
        decision(upload, OUTCOMES[back]).id,
        *causes[1:],
    ]
    times = [dict(record.headers)["ce_time"] for record in news]
    assert times == sorted(set(times))


async def test_a_job_that_a_human_sends_on_waits_since_then(
    scene: Scene, effects: Effects, crashing: Crashing, upload: UploadCompleted
) -> None:
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    (published, *_) = await rows(scene, upload)
    with pytest.raises(Crash):
        await crashing(5).override(override(upload, REJECT))  # it is replaced, nothing is copied

    (waiting, *_) = await rows(scene, upload)
    assert waiting["state"] == "rejected"
    assert waiting["decided_at"] > published["finished_at"]


async def test_a_report_has_the_reason_of_the_human_and_the_scores_of_the_scanner(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher, declared: Topics, upload: UploadCompleted
) -> None:
    await effects.carry_out(decision(upload, Outcome.UNSCANNABLE))
    await effects.override(override(upload, REJECT))

    _, _, report = await rows(scene, upload)
    reasons = ["override: reject of minute 0", "truncated"]
    assert (report["reason"], report["reasons"]) == (reasons[0], reasons)
    assert (report["scores"], report["scanner"]) == ({"nsfw": 0.5}, "local")
    (record,) = publisher.of_topic(declared.quarantined.name)
    news = decode(record.key, record.value, record.headers, Quarantined, EventType.QUARANTINED)
    assert (list(news.data.reasons), news.data.scores) == (reasons, {"nsfw": 0.5})


@pytest.mark.parametrize("verdict", list(OverrideVerdict))
async def test_an_override_that_moves_nothing_is_noted_and_tells_nothing_new(
    scene: Scene,
    effects: Effects,
    publisher: InMemoryPublisher,
    upload: UploadCompleted,
    verdict: OverrideVerdict,
) -> None:
    await effects.carry_out(decision(upload, OUTCOMES[verdict]))
    job, *records = await rows(scene, upload)

    for _ in range(2):
        assert await effects.override(override(upload, verdict)) is ENDS[verdict]

    noted, *after = await rows(scene, upload)
    assert noted.pop("override")["id"] == override(upload, verdict).id
    assert job.pop("override") is None
    assert (noted, after) == (job, records)
    assert len(distinct(publisher.records)) == 1


async def test_later_news_of_an_end_is_the_same_when_it_was_only_confirmed(
    effects: Effects, publisher: InMemoryPublisher, upload: UploadCompleted
) -> None:
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    for minute in (1, 2):
        await effects.override(override(upload, REJECT, minute))
    await effects.carry_out(decision(upload, Outcome.APPROVED))

    assert len(distinct(publisher.records)) == 2


@pytest.mark.parametrize("latest", list(OverrideVerdict))
@pytest.mark.parametrize("first", [Outcome.APPROVED, Outcome.REJECTED, Outcome.NEEDS_REVIEW])
async def test_the_latest_override_holds_in_whatever_order_they_come(
    scene: Scene, effects: Effects, upload: UploadCompleted, first: Outcome, latest: OverrideVerdict
) -> None:
    await effects.carry_out(decision(upload, first))
    older, newer = override(upload, opposite(latest), 1), override(upload, latest, 2)

    for event in (newer, older, newer, older, older):
        assert await effects.override(event) is ENDS[latest]
    await effects.carry_out(decision(upload, first))
    await effects.carry_out(decision(upload, OUTCOMES[opposite(latest)], cause="2"))

    await check_stands(scene, upload, latest)


async def test_a_queued_upload_is_rejected_by_a_human_and_stays_so(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher, upload: UploadCompleted
) -> None:
    await scene.insert(upload)

    assert await effects.override(override(upload, REJECT)) is State.QUARANTINED
    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.QUARANTINED
    assert await effects.override(override(upload, REJECT)) is State.QUARANTINED

    await check_stands(scene, upload, REJECT)
    job, _, report = await rows(scene, upload)
    assert job["override"]["operator"] == "bob"
    assert report["reasons"] == ["override: reject of minute 0"]
    assert len(distinct(publisher.records)) == 1


@pytest.mark.parametrize("state", ["queued", "needs_review", "quarantined"])
async def test_bytes_that_were_never_inspected_cannot_be_approved(
    scene: Scene, effects: Effects, upload: UploadCompleted, state: str
) -> None:
    await scene.insert(upload)
    if state != "queued":
        outcome = Outcome.NEEDS_REVIEW if state == "needs_review" else Outcome.REJECTED
        event = decision(upload, outcome)
        unseen = event.data.model_copy(update={"inspection": None})
        await effects.carry_out(Event(event.id, event.type, event.source, event.time, event.subject, unseen))
    before = await rows(scene, upload)

    with pytest.raises(DeadLetterError, match="never_inspected"):
        await effects.override(override(upload, APPROVE))

    assert await rows(scene, upload) == before
    assert await scene.state(upload.media_id) == state


@pytest.mark.parametrize("verdict", list(OverrideVerdict))
@pytest.mark.parametrize("state", ["awaiting_upload", "expired"])
async def test_what_was_never_uploaded_cannot_be_overridden(
    scene: Scene, effects: Effects, upload: UploadCompleted, state: str, verdict: OverrideVerdict
) -> None:
    await scene.insert(upload, state)

    with pytest.raises(DeadLetterError, match=f"nothing_uploaded: the upload is {state}"):
        await effects.override(override(upload, verdict))


async def test_an_override_of_an_unknown_upload_is_a_dead_letter(
    scene: Scene, effects: Effects, upload: UploadCompleted
) -> None:
    with pytest.raises(DeadLetterError, match="unknown_upload"):
        await effects.override(override(upload, REJECT))

    assert await rows(scene, upload) == [None, None, None]


@pytest.mark.parametrize("replaced", [True, False])
async def test_an_object_that_is_not_there_any_more_moves_nowhere(
    scene: Scene, effects: Effects, upload: UploadCompleted, replaced: bool
) -> None:
    await effects.carry_out(decision(upload, Outcome.REJECTED))
    before = await rows(scene, upload)
    bucket, key = scene.settings.quarantine_bucket, str(upload.media_id)
    if replaced:
        scene.client.put_object(Bucket=bucket, Key=key, Body=b"no picture")
    else:
        scene.client.delete_object(Bucket=bucket, Key=key)

    with pytest.raises(DeadLetterError, match="object_changed"):
        await effects.override(override(upload, APPROVE))

    assert await rows(scene, upload) == before
    assert scene.keys(scene.settings.buckets["post"]) == []


async def test_an_object_that_vanishes_on_its_way_leaves_its_public_name_reserved(
    scene: Scene, effects: Effects, crashing: Crashing, upload: UploadCompleted
) -> None:
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    with pytest.raises(Crash):
        await crashing(5).override(override(upload, REJECT))  # it is replaced, nothing is copied
    scene.client.delete_object(Bucket=scene.settings.buckets["post"], Key="photo.jpg")

    assert await effects.override(override(upload, REJECT)) is State.UNSCANNABLE
    other = scene.upload(body=b"a picture")
    await effects.carry_out(decision(other, Outcome.APPROVED))
    await effects.override(override(upload, APPROVE, 1))

    assert scene.keys(scene.settings.buckets["post"]) == [f"photo-{other.media_id.hex[:8]}.jpg"]


async def test_the_public_name_stays_reserved_while_the_object_is_in_quarantine(
    scene: Scene, effects: Effects, publisher: InMemoryPublisher, declared: Topics, upload: UploadCompleted
) -> None:
    other = scene.upload(body=b"another picture")
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    await effects.override(override(upload, REJECT, 1))

    await effects.carry_out(decision(other, Outcome.APPROVED))
    await effects.override(override(upload, REJECT, 1))
    await effects.override(override(upload, APPROVE, 2))

    second = f"photo-{other.media_id.hex[:8]}.jpg"
    bucket = scene.settings.buckets["post"]
    assert scene.everywhere() == {bucket: [second, "photo.jpg"]}
    assert scene.read(bucket, "photo.jpg") == b"a picture"
    assert scene.read(bucket, second) == b"another picture"
    record = publisher.of_topic(declared.published.name)[-1]
    assert decode(record.key, record.value, record.headers, Published, EventType.PUBLISHED).data.key == (
        "photo.jpg"
    )


async def test_an_end_whose_clean_up_was_lost_is_cleaned_up_before_the_object_moves_on(
    scene: Scene, effects: Effects, crashing: Crashing, publisher: InMemoryPublisher, upload: UploadCompleted
) -> None:
    with pytest.raises(Crash):
        await crashing(5).carry_out(decision(upload, Outcome.APPROVED))  # it is published, nothing is deleted
    assert len(scene.keys(scene.settings.temp_bucket)) == 1

    await effects.override(override(upload, REJECT))

    await check_stands(scene, upload, REJECT)
    told = [dict(record.headers)["ce_type"].decode() for record in publisher.records]
    assert told == [EventType.PUBLISHED, EventType.QUARANTINED]


async def test_what_is_on_its_way_arrives_and_then_turns_round(
    scene: Scene, effects: Effects, crashing: Crashing, publisher: InMemoryPublisher, upload: UploadCompleted
) -> None:
    with pytest.raises(Crash):
        await crashing(1).carry_out(decision(upload, Outcome.APPROVED))
    assert await scene.state(upload.media_id) == "approved"

    assert await effects.override(override(upload, REJECT)) is State.QUARANTINED

    await check_stands(scene, upload, REJECT)
    assert len(distinct(publisher.records)) == 2


async def test_who_lost_the_lock_deletes_nothing(
    scene: Scene, declared: Topics, s3: S3, publisher: InMemoryPublisher, effects: Effects
) -> None:
    upload = scene.upload()
    await effects.carry_out(decision(upload, Outcome.APPROVED))
    sessions = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )

    class LosesItsSession(Records):
        async def quarantine(self, *arguments: Any) -> Job:
            job = await super().quarantine(*arguments)
            await scene.pool.execute(sessions)
            return job

    @asynccontextmanager
    async def records(media_id: UUID) -> AsyncIterator[Records]:
        async with records_of(scene.pool, media_id) as real:
            yield LosesItsSession(real._session)

    hung = Effects(scene.settings, declared, records, s3, publisher, now=lambda: NOW)
    with pytest.raises(TransientError):
        await hung.override(override(upload, REJECT))

    assert scene.keys(scene.settings.buckets["post"]) == ["photo.jpg"]
    await effects.override(override(upload, REJECT))
    await check_stands(scene, upload, REJECT)


@pytest.mark.parametrize("newer_first", [False, True])
@pytest.mark.parametrize("verdict", list(OverrideVerdict))
@pytest.mark.parametrize(
    "first", [Outcome.APPROVED, Outcome.REJECTED, Outcome.NEEDS_REVIEW, None], ids=lambda each: str(each)
)
async def test_a_crash_after_every_step_ends_in_the_same_place_once(
    scene: Scene,
    effects: Effects,
    crashing: Crashing,
    publisher: InMemoryPublisher,
    first: Outcome | None,
    verdict: OverrideVerdict,
    newer_first: bool,
) -> None:
    if first is None and verdict is APPROVE:
        verdict = REJECT
    crashed = 0
    for steps in range(1, MOST_STEPS + 1):
        upload = scene.upload(file_name=f"photo{steps}.jpg", body=f"body {steps}".encode())
        await scene.insert(upload)
        if first is not None:
            await effects.carry_out(decision(upload, first))
        publisher.records.clear()
        try:
            await crashing(steps).override(override(upload, verdict, 1))
        except Crash:
            crashed += 1
        last = verdict
        if newer_first and first is not None:
            last = opposite(verdict)
            await effects.override(override(upload, last, 2))
        await effects.override(override(upload, verdict, 1))

        job, item, report = await rows(scene, upload)
        assert job["state"] == ENDS[last]
        home = item if last is APPROVE else report
        assert scene.read(home["bucket"], home["key"]) == f"body {steps}".encode()
        assert sum(len(keys) for keys in scene.everywhere().values()) == 1
        assert (item is None) != (report is None)
        news = distinct(publisher.records)
        assert len(set(ids(news))) == len(news)
        scene.client.delete_object(Bucket=home["bucket"], Key=home["key"])
    assert 4 <= crashed < MOST_STEPS


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_ends_where_the_latest_override_says(
    scene: Scene, effects: Effects, crashing: Crashing, publisher: InMemoryPublisher, seed: int
) -> None:
    random, upload = Random(seed), scene.upload()  # noqa: S311 - a test's choices
    first = decision(upload, random.choice([Outcome.APPROVED, Outcome.REJECTED, Outcome.NEEDS_REVIEW]))
    await effects.carry_out(first)
    sent: list[Event[Override]] = []
    for minute in range(15):
        if not sent or random.random() < 0.6:
            sent.append(override(upload, random.choice(list(OverrideVerdict)), minute))
            event = sent[-1]
        else:
            event = random.choice(sent)
        try:
            await crashing(random.randrange(1, MOST_STEPS)).override(event)
        except Crash:
            await effects.override(event)
        if random.random() < 0.2:
            await effects.carry_out(first)

        await check_stands(scene, upload, sent[-1].data.verdict)
    news = distinct(publisher.records)
    assert len(set(ids(news))) == len(news)
    times = [dict(record.headers)["ce_time"] for record in news]
    assert times == sorted(set(times))
