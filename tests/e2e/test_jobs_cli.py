"""`mediagate jobs` by hand, on real Kafka, PostgreSQL and S3; the sinks carry out what it sends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import stamina

from mediagate.database import connect
from mediagate.events import (
    EVENT_MODELS,
    Decision,
    Event,
    EventType,
    Outcome,
    UploadCompleted,
    decode,
    encode,
    event_id,
)
from mediagate.publisher import KafkaPublisher
from mediagate.settings import Settings, SinksSettings
from mediagate.storage import S3
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topic, Topics
from sinks.effects import Effects
from sinks.records import records_of
from tests.dead_letters import bury, letter, read, size
from tests.e2e.answers import Command, Ended, lines, refused
from tests.e2e.conftest import Run
from tests.integration.sinks.scene import NOW, Scene, decision
from tests.services import Services
from tests.worker_process import Worker

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Decide = Callable[[UploadCompleted, Outcome], Awaitable[None]]
DEADLINE = 60.0
HOSTILE = "\x1b[2J\x07[red]x[/red]\u202e"
AT_ITS_END = "it is at its end; `mediagate replay --force-rescan` has it scanned anew"


@pytest.fixture
async def scene(settings: Settings, outside_client: "S3Client", s3: S3) -> AsyncIterator[Scene]:
    pool = await connect(str(settings.database_url), 5)
    yield Scene(settings, outside_client, pool)
    await pool.close()


@pytest.fixture
def decide(scene: Scene, topics: Topics, s3: S3) -> Decide:
    """Carries a decision out, in this very process."""
    records, publisher = partial(records_of, scene.pool), InMemoryPublisher()
    effects = Effects(scene.settings, topics, records, s3, publisher, lambda: datetime.now(UTC))

    async def carry_out(upload: UploadCompleted, outcome: Outcome) -> None:
        await effects.carry_out(decision(upload, outcome))

    return carry_out


@pytest.fixture
async def sinks(scene: Scene, services: Services, topics: Topics, tmp_path: Path) -> AsyncIterator[None]:
    """A running worker."""
    own = SinksSettings.model_validate(scene.settings.model_dump() | {"sinks_group": f"sinks-{uuid4().hex}"})
    async with Worker("sinks", own, services, tmp_path).running() as process:
        await process.ready()
        yield


@pytest.fixture
def servers(services: Services) -> str:
    return services.kafka_bootstrap_servers


@pytest.fixture
def command(run: Run, servers: str, topics_file: Path, database_url: str) -> Command:
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "TOPICS_FILE": str(topics_file),
        "DATABASE_URL": database_url,
        "LOGNAME": "ana",
    }
    return lambda *arguments, **more: asyncio.to_thread(
        run, "jobs", *map(str, arguments), **environment | more
    )


async def said(ended: Ended, warned: str = "") -> str:
    finished = await ended
    assert finished.stderr == warned
    assert finished.returncode == bool(warned)
    return finished.stdout


async def until(scene: Scene, media_id: UUID, state: str) -> None:
    async for attempt in stamina.retry_context(
        on=AssertionError, attempts=None, timeout=DEADLINE, wait_initial=0.1, wait_max=0.2, wait_jitter=0
    ):
        with attempt:
            assert await scene.state(media_id) == state


async def events(servers: str, topic: Topic, count: int) -> list[Event[Any]]:
    assert topic.event is not None
    records = await read(servers, topic.name, count)
    return [
        decode(each.key, each.value, each.headers, EVENT_MODELS[topic.event], topic.event) for each in records
    ]


async def causes_of_news(servers: str, topics: Topics, count: int) -> set[str | None]:
    """What brought about the ends that were told, once there are so many; any may be told twice."""
    told: dict[str, str | None] = {}
    async with asyncio.timeout(DEADLINE):
        while len(told) < count:
            for topic in (topics.published, topics.quarantined):
                for event in await events(servers, topic, await size(servers, topic.name)):
                    told[event.id] = event.causation_id
    assert len(told) == count
    return set(told.values())


async def actions(scene: Scene, media_id: UUID) -> list[Any]:
    return await scene.pool.fetch(
        "select * from operator_actions where subject = $1 order by id", str(media_id)
    )


@pytest.mark.usefixtures("sinks")
@pytest.mark.parametrize("first", [Outcome.APPROVED, Outcome.REJECTED])
async def test_a_verdict_is_overridden_both_ways(
    scene: Scene, command: Command, servers: str, topics: Topics, first: Outcome
) -> None:
    upload = scene.upload()
    media_id, public = upload.media_id, (scene.settings.buckets["post"], "photo.jpg")
    quarantine = (scene.settings.quarantine_bucket, str(media_id))
    ways = [("reject", quarantine, "quarantined"), ("approve", public, "published")]
    if first is Outcome.REJECTED:
        ways.reverse()
    event = decision(upload, first)
    async with KafkaPublisher(servers, "test") as publisher:
        await publisher.publish([encode(event, topics.of_event(event.type).name)])
    await until(scene, media_id, ways[1][2])
    before = ways[1][1]

    for verdict, (bucket, key), state in ways:
        override = ("override", verdict, media_id, "--reason", f"[b]{verdict}[/b]", "--operator", "bo")
        assert f"{state}, from {'/'.join(before)}" in " ".join(lines(await said(command(*override))))
        assert len(await actions(scene, media_id)) == ways.index((verdict, (bucket, key), state))
        assert (await said(command(*override, "--execute"))).endswith("Sent to the sinks: 1 job.\n")
        await until(scene, media_id, state)
        before = (bucket, key)

        assert scene.read(bucket, key) == b"a picture"
        assert [len(scene.keys(each)) for each in {public[0], quarantine[0]} - {bucket}] == [0]
        item, report = [await scene.row(table, media_id) for table in ("media_items", "system_reports")]
        assert (item is None, report is None) == (state == "quarantined", state == "published")

    asked = await events(servers, topics.overrides, 2)
    assert [(each.data.verdict, each.data.operator) for each in asked] == [(way[0], "bo") for way in ways]
    assert await causes_of_news(servers, topics, 3) == {event.id, *(each.id for each in asked)}
    assert await size(servers, topics.dead_letter.name) == 0
    shown = await said(command("show", media_id))
    assert f"override    {ways[1][0]} by bo" in shown
    for row, (verdict, *_) in zip(await actions(scene, media_id), ways, strict=True):
        assert (row["operator"], row["action"]) == ("bo", "jobs.override")
        assert row["details"]["to"].startswith(topics.overrides.name)
        assert f"bo  override {verdict}: [b]{verdict}[/b]\n" in f"{shown}\n"


async def test_what_can_never_work_is_left_out_and_the_rest_is_done(
    scene: Scene, command: Command, decide: Decide, servers: str, topics: Topics
) -> None:
    waiting, queued, published = scene.upload("a.jpg"), scene.upload("b.jpg"), scene.upload("c.jpg")
    await scene.insert(waiting, "awaiting_upload")
    await scene.insert(queued)
    await decide(published, Outcome.APPROVED)
    unknown = uuid4()
    ids = [waiting.media_id, queued.media_id, unknown, published.media_id, published.media_id]

    shown = await said(
        command("override", "approve", *ids, "--reason", "fine", "--execute"),
        f"{waiting.media_id} is left out: the upload is awaiting_upload: there is nothing to approve\n"
        f"{queued.media_id} is left out: the upload is queued, its bytes were never understood\n"
        f"{unknown} is left out: there is no such job\n",
    )

    assert f"{published.media_id} published stays published, whatever a rescan says" in lines(shown)
    assert shown.endswith("Sent to the sinks: 1 job.\n")
    (event,) = await events(servers, topics.overrides, 1)
    assert (event.data.media_id, event.data.operator) == (published.media_id, "ana")
    assert await size(servers, topics.overrides.name) == 1
    assert [await actions(scene, each) for each in (waiting.media_id, queued.media_id, unknown)] == [
        [],
        [],
        [],
    ]


async def test_a_queued_job_gets_one_more_event(
    scene: Scene, command: Command, servers: str, topics: Topics
) -> None:
    upload, images = scene.upload(), topics.upload_completed_image
    await scene.insert(upload)
    await scene.pool.execute("update media_jobs set attempts = 1, event_published_at = null")

    dry = await said(command("retry", upload.media_id))
    assert f"{upload.media_id} queued its event is sent again, as number 2" in lines(dry)
    assert dry.endswith("Dry run: nothing is changed. --execute sends 1 job on.\n")
    assert await size(servers, images.name) == 0
    await said(command("retry", upload.media_id, "--execute"))

    (event,) = await events(servers, images, 1)
    assert event.id == event_id(EventType.UPLOAD_COMPLETED, upload.media_id, "2")
    assert event.data == upload
    job = await scene.row("media_jobs", upload.media_id)
    assert job is not None
    assert (job["attempts"], job["state"]) == (2, "queued")
    assert job["event_published_at"] is not None
    (action,) = await actions(scene, upload.media_id)
    assert (action["operator"], action["action"]) == ("ana", "jobs.retry")
    assert action["details"]["event"] == event.id


@pytest.mark.usefixtures("sinks")
async def test_a_job_whose_decision_was_lost_gets_it_again(
    scene: Scene, command: Command, decide: Decide, servers: str, topics: Topics
) -> None:
    upload = scene.upload()
    await decide(upload, Outcome.NEEDS_REVIEW)
    stored = decision(upload, Outcome.APPROVED)
    await scene.pool.execute(
        "update media_jobs set state = 'approved', decision = decision || '{\"outcome\": \"approved\"}'"
        " || jsonb_build_object('event_id', cast($1 as text))",
        stored.id,
    )

    await said(command("retry", upload.media_id, "--execute"))
    await until(scene, upload.media_id, "published")

    (event,) = await events(servers, topics.approved, 1)
    assert (event.id, event.causation_id) == (stored.id, stored.causation_id)
    assert set(Decision.model_fields) == set(event.data.model_dump())


async def test_an_unscannable_job_is_scanned_anew_where_it_stands(
    scene: Scene, command: Command, decide: Decide, servers: str, topics: Topics
) -> None:
    upload = scene.upload(mime_type="video/mp4")
    await decide(upload, Outcome.UNSCANNABLE)

    await said(command("retry", upload.media_id, "--execute"))

    (event,) = await events(servers, topics.upload_completed_video, 1)
    assert event.data == upload.model_copy(update={"rescan": True})
    assert event.causation_id == decision(upload, Outcome.UNSCANNABLE).causation_id != event.id


async def test_jobs_that_nothing_helps_are_left_out(scene: Scene, command: Command, decide: Decide) -> None:
    whys = {
        Outcome.APPROVED: AT_ITS_END,
        Outcome.REJECTED: AT_ITS_END,
        Outcome.NEEDS_REVIEW: "it waits for a human; `mediagate jobs override` decides",
    }
    warned = []
    for outcome, why in whys.items():
        upload = scene.upload(f"{outcome}.jpg")
        await decide(upload, outcome)
        warned.append((upload.media_id, why))
    expired = scene.upload("expired.jpg")
    await scene.insert(expired, "expired")
    warned.append((expired.media_id, "nothing was uploaded in time"))

    retry = command("retry", *(media_id for media_id, _ in warned), "--execute")

    assert await said(retry, "".join(f"{each} is left out: {why}\n" for each, why in warned)) == ""


async def test_jobs_are_listed_the_longest_waiting_first_with_counts(
    scene: Scene, command: Command, decide: Decide
) -> None:
    old, young, video, held = (
        scene.upload(f"{n}.jpg", mime_type=f"{n}/png") for n in ["image"] * 2 + ["video"] * 2
    )
    for upload in (young, old, video):
        await scene.insert(upload)
    await decide(held, Outcome.NEEDS_REVIEW)
    await decide(scene.upload(), Outcome.APPROVED)
    since = {
        old: timedelta(days=2, hours=3, minutes=4),
        young: timedelta(minutes=5),
        video: timedelta(days=1),
    }
    for upload, age in since.items():
        await scene.pool.execute(
            "update media_jobs set queued_at = now() - $2::interval, created_at = now() - $2, user_id = $3"
            " where media_id = $1",
            *(upload.media_id, age, f"user {age.days}"),
        )

    def listed(text: str) -> list[UUID]:
        known = {str(each.media_id): each.media_id for each in (old, young, video, held)}
        return [known[line.split()[0]] for line in lines(text) if line and line.split()[0] in known]

    shown = await said(command("list"))
    assert listed(shown) == [old.media_id, video.media_id, young.media_id, held.media_id]
    assert "2 d 3 h" in shown
    assert {"queued 3", "needs_review 1", "all 4"} <= set(lines(shown))
    assert "published" not in shown
    fewer = await said(command("list", "--limit", "1"))
    assert listed(fewer) == [old.media_id]
    assert {"queued 3", "needs_review 1", "Shown are 1 of 4."} <= set(lines(fewer))
    assert "all 5" in lines(await said(command("list", "--all")))
    for options, expected in (
        (["--state", "needs_review", "--state", "published"], [held]),
        (["--older-than", "PT12H"], [old, video]),
        (["--media-type", "video"], [video, held]),
        (["--user-id", "user 1"], [video]),
        (["--since", "P1DT12H", "--until", "PT1H"], [video]),
    ):
        found = listed(await said(command("list", *options)))
        assert found == [each.media_id for each in expected], options
    assert await said(command("list", "--state", "expired")) == "No such jobs.\n"


async def test_a_job_is_shown_with_what_it_waits_for_and_its_dead_letters(
    scene: Scene, command: Command, decide: Decide, servers: str, topics: Topics
) -> None:
    upload = scene.upload()
    await scene.insert(upload)
    await scene.pool.execute("update media_jobs set attempts = 2")
    media_id = str(upload.media_id)
    (position,) = await bury(servers, letter(topics, key=media_id.encode(), reason="wrong_topic"))
    await bury(servers, letter(topics))

    shown = lines(await said(command("show", media_id)))

    assert "why no decision so far" in shown
    assert "upload sent 2 times" in shown
    assert f"stands at {upload.bucket}/{upload.key}" in shown
    (of_letter,) = [line for line in shown if "wrong_topic" in line]
    assert of_letter.endswith(f"{position} open wrong_topic")
    assert not any("invalid_data" in line for line in shown)
    away = lines(await said(command("show", media_id, "--bootstrap-server", "127.0.0.1:1")))
    assert "why no decision so far" in away
    assert any(line.startswith("letters not known: Kafka does not answer") for line in away)

    await decide(upload, Outcome.REJECTED)
    shown = lines(await said(command("show", media_id)))
    first = decision(upload, Outcome.REJECTED)
    assert {
        "why nsfw; blocked",
        "score 0.500 nsfw",
        f"decision {first.id}",
        f"decided {first.causation_id}",
    } <= set(shown)
    assert f"news {event_id(EventType.QUARANTINED, upload.media_id, 'final')}" in shown
    assert f"stands at {scene.settings.quarantine_bucket}/{media_id}" in shown


async def test_hostile_content_is_escaped(scene: Scene, command: Command, decide: Decide) -> None:
    upload = scene.upload()
    await decide(upload, Outcome.NEEDS_REVIEW)
    await scene.pool.execute(
        "update media_jobs set file_name = $1, user_id = $1, key = $1, mime_type = $1, linked_to_type = $1,"
        " decision = decision || jsonb_build_object('reasons', jsonb_build_array(cast($1 as text)),"
        " 'scanner', cast($1 as text), 'scores', jsonb_build_object($1, 0.5))",
        HOSTILE,
    )
    await scene.pool.execute(
        "insert into operator_actions (at, operator, action, subject, details)"
        " values ($1, $2, 'jobs.override', $3, jsonb_build_object('reason', cast($2 as text)))",
        *(NOW, HOSTILE, str(upload.media_id)),
    )

    listed = await said(command("list"))
    shown = await said(command("show", upload.media_id))
    planned = await said(command("override", "reject", upload.media_id, "--reason", "x"))

    for text in (listed, shown, planned):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "[red]x[/red]" in "".join(text.split())


async def test_what_is_not_clear_is_one_line(command: Command) -> None:
    media_id = uuid4()
    override = ("override", "reject", media_id)
    reason = "--reason: say why, in one line of at most 500 characters"
    for text in (" ", "a\nb", "x" * 501):
        assert await refused(command(*override, "--reason", text)) == reason
    assert await refused(command(*override, "--reason", "x", "--operator", "a\tb")) == (
        "--operator: a name in one line of at most 255 characters"
    )
    assert await refused(command("retry", media_id, "--dry-run", "--execute")) == (
        "--dry-run and --execute exclude each other"
    )
    assert (
        await refused(command("list", "--all", "--state", "queued")) == "--state and --all exclude each other"
    )
    assert await refused(command("list", "--older-than", "soon")) == (
        "--older-than: 'soon' is no duration such as P1DT2H30M"
    )
    assert await refused(command("show", media_id)) == f"there is no job {media_id}"
    assert await refused(command("retry", media_id)) == f"{media_id} is left out: there is no such job"
    away = await refused(command("list", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing"))
    assert away.startswith("PostgreSQL")
