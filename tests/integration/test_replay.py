"""Replays on real Kafka, PostgreSQL and S3: what is selected, published, and gone on with."""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mediagate.database import connect
from mediagate.errors import ConfigurationError, StopError, TransientError
from mediagate.events import Event, EventType, OutgoingRecord, UploadCompleted, decode, encode
from mediagate.media import MediaType
from mediagate.offsets import shown
from mediagate.replay import Tally
from mediagate.replay.options import Options
from mediagate.replay.run import SELECTION, Replay
from mediagate.replay.session import Session, open_session
from mediagate.settings import Settings, StreamsSettings
from mediagate.storage import S3, CopySource
from mediagate.topics import Topics
from tests.replays import NOW, causes, copies, header, insert, publish, publish_records, read, rows
from tests.uploads import stored, upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Events = Sequence[Event[UploadCompleted]]
Open = Callable[..., AbstractAsyncContextManager[Session]]


@pytest.fixture
def topic(topics: Topics) -> str:
    return topics.upload_completed_image.name


@pytest.fixture
def servers(settings: Settings) -> str:
    return settings.kafka_bootstrap_servers


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    async with await connect(database_url, 2) as pool:
        yield pool


@pytest.fixture
def session(settings: Settings, topics: Topics) -> Open:
    """Opens what a command works on."""
    own = StreamsSettings.model_validate(settings.model_dump())
    media_types = {topics.upload_completed(each).name: each for each in MediaType}

    @asynccontextmanager
    async def opened(stop: asyncio.Event | None = None) -> AsyncIterator[Session]:
        async with open_session(own, media_types, stop or asyncio.Event()) as opened:
            yield opened

    return opened


async def counted(session: Open, topic: str, **options: Any) -> tuple[Replay, Tally]:
    """What a dry run finds."""
    async with session() as opened:
        replay, _ = await opened.find(uuid4(), wanted(topic, **options))
        return replay, await opened.count(replay, lambda _: None)


async def executed(session: Open, topic: str, **options: Any) -> tuple[Replay, int]:
    async with session() as opened:
        replay, _ = await opened.find(uuid4(), wanted(topic, **options))
        return replay, await carried_out(opened, replay)


async def carried_out(
    opened: Session,
    replay: Replay,
    advance: Callable[[int], None] = lambda _: None,
    rate: int | None = None,
) -> int:
    return await opened.carry_out(replay, rate, "olga", 7, advance)


def wanted(topic: str, **options: Any) -> Any:
    given: dict[str, Any] = {"topic": [topic], "from_offset": 0} | options
    return Options(**given).wanted([topic])


def uploads(settings: Settings, count: int) -> Events:
    return [upload(settings.temp_bucket) for _ in range(count)]


def ids(events: Events) -> list[str]:
    return [event.id for event in events]


async def test_a_dry_run_counts_and_publishes_nothing(
    session: Open, settings: Settings, servers: str, topic: str, database: Any
) -> None:
    events = uploads(settings, 10)
    states = ["published", "quarantined", "needs_review", "unscannable", "approved", "queued", "queued"]
    for event, state in zip(events, states, strict=False):
        await insert(database, event.data, state)
    await publish(servers, topic, events)
    before = await read(servers, topic)

    replay, tally = await counted(session, topic)

    assert replay.selection.events == tally.selected.total() == 10
    assert tally.states == Counter(states) + Counter(unknown=3)
    assert tally.settled == Counter(states[:5])
    assert (tally.scans, tally.known) == (Counter(queued=2, unknown=3), Counter())
    by_partition = Counter(record.partition for record in before)
    assert {partition.partition: n for partition, n in tally.selected.items() if n} == by_partition
    assert await read(servers, topic) == before
    assert await rows(str(settings.database_url), "select * from operator_actions") == []


async def test_what_the_newest_model_has_judged_is_known(
    session: Open, settings: Settings, servers: str, topic: str, database: Any
) -> None:
    events = [
        event._replace(data=event.data.model_copy(update={"sha256": f"{number:064x}"}))
        for number, event in enumerate(uploads(settings, 4))
    ]
    for number, event in enumerate(events[:3]):
        await insert(database, event.data, "queued", verified=number != 1)
    verdicts = [(0, "new"), (1, "new"), (3, "new"), (2, "old")]
    for age, (number, version) in enumerate(verdicts):
        await database.execute(
            "insert into verdicts values ($1, 'local', $2, '{}', $3::timestamptz - $4 * interval '1 hour')",
            f"{number:064x}",
            version,
            NOW,
            age,
        )
    await publish(servers, topic, events)

    _, tally = await counted(session, topic)

    # One has an old verdict, one bytes that S3 did not verify, one has no row to say whether it did.
    assert (tally.scans, tally.known) == (Counter(queued=2, unknown=1), Counter(queued=1))


async def test_what_fits_no_contract_is_named_and_left_out(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    good = uploads(settings, 1)
    (event,) = good
    record = encode(event, topic)
    video = upload(settings.temp_bucket, "video/mp4")
    elsewhere = upload("somebody-elses")
    asked = event._replace(data=event.data.model_copy(update={"rescan": True}))
    bad = [
        record._replace(value=b"{}"),
        record._replace(value=b"not JSON"),
        record._replace(headers=[]),
        encode(video, topic),
        encode(elsewhere, topic),
        encode(asked, topic),
    ]
    await publish_records(servers, [record, *bad])

    replay, tally = await counted(session, topic)
    _, published = await executed(session, topic)

    assert tally.reasons == {
        "invalid_data": 2,
        "not_a_cloud_event": 1,
        "wrong_topic": 1,
        "source_bucket_not_allowed": 1,
        "rescan": 1,
    }
    assert tally.left_out.total() == replay.selection.events - 1 == 6
    assert published == 1
    assert causes(await copies(servers, topic)) == ids(good)


async def test_copies_are_as_the_originals_in_the_same_partitions_and_order(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    events = uploads(settings, 50)
    # A publisher may choose partitions in a way of its own.
    odd = [encode(event, topic)._replace(partition=number % 4) for number, event in enumerate(events)]
    await publish_records(servers, odd)
    before = await read(servers, topic)

    _, published = await executed(session, topic)

    after = await copies(servers, topic)
    assert published == 50
    assert [(record.partition, record.key, record.value) for record in after] == [
        (record.partition, record.key, record.value) for record in before
    ]
    assert causes(after) == [header(record, "ce_id") for record in before]
    assert len({header(record, "ce_id") for record in [*before, *after]}) == 100


async def test_who_replays_what_is_written_down(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    await publish(servers, topic, uploads(settings, 3))

    replay, _ = await executed(session, topic)

    url = str(settings.database_url)
    (row,) = await rows(url, "select * from operator_actions")
    assert (row["operator"], row["action"], row["subject"]) == ("olga", "replay", str(replay.id))
    said = row["details"]
    assert SELECTION.validate_python(said["selection"]) == replay.selection
    assert (said["events"], said["published"], said["finished"]) == (7, 3, True)
    assert said["reached"] == {
        shown(span.partition): span.end for span in replay.selection.spans if span.events
    }


async def test_copies_are_not_copied_again(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    events = uploads(settings, 5)
    await publish(servers, topic, events)
    await executed(session, topic)

    _, tally = await counted(session, topic)
    await executed(session, topic)

    assert (tally.selected.total(), tally.reasons) == (5, {"copy": 5})
    assert sorted(causes(await copies(servers, topic))) == sorted(ids(events) * 2)


async def test_uploads_and_states_are_chosen(
    session: Open, settings: Settings, servers: str, topic: str, database: Any
) -> None:
    events = uploads(settings, 6)
    for event, state in zip(events, ["published", "queued", "queued", "needs_review"], strict=False):
        await insert(database, event.data, state)
    await publish(servers, topic, events)

    async def chosen(**options: Any) -> int:
        _, tally = await counted(session, topic, **options)
        assert tally.left_out.total() == 0
        return tally.selected.total()

    assert await chosen(state=["queued"]) == 2
    assert await chosen(state=["queued", "unknown"]) == 4
    assert await chosen(media_id=[events[0].subject, events[5].subject, str(uuid4())]) == 2
    assert await chosen(media_id=[events[0].subject], state=["queued"]) == 0
    assert await chosen(limit=4) == 4

    await executed(session, topic, media_id=[events[1].subject, events[3].subject], state=["queued"])
    assert causes(await copies(servers, topic)) == [events[1].id]


async def test_offsets_and_partitions_are_chosen(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    events = uploads(settings, 20)
    await publish_records(
        servers, [encode(event, topic)._replace(partition=n % 4) for n, event in enumerate(events)]
    )

    await executed(session, topic, partition=[1, 2], from_offset=2, to_offset=4)

    assert causes(await copies(servers, topic)) == [events[number].id for number in (9, 13, 10, 14)]


async def test_times_are_chosen(session: Open, settings: Settings, servers: str, topic: str) -> None:
    events = uploads(settings, 2)
    await publish(servers, topic, events)

    _, before = await counted(session, topic, from_offset=None, from_datetime="2000-01-01T00:00:00")
    _, after = await counted(session, topic, from_offset=None, from_datetime="2200-01-01T00:00:00")
    _, until = await counted(session, topic, to_datetime="2000-01-01T00:00:00")

    assert [tally.selected.total() for tally in (before, after, until)] == [2, 0, 0]


async def test_a_limit_takes_the_same_events_that_were_counted(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    await publish(servers, topic, uploads(settings, 40))
    first = [header(record, "ce_id") for record in await read(servers, topic)][:15]

    _, published = await executed(session, topic, limit=15)

    assert published == 15
    assert causes(await copies(servers, topic)) == first


async def test_what_comes_later_is_no_part_of_it(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    events, later = uploads(settings, 5), uploads(settings, 5)
    await publish(servers, topic, events)
    replay_id = uuid4()
    async with session() as opened:
        replay, _ = await opened.find(replay_id, wanted(topic))
        await publish(servers, topic, later)
        published = await carried_out(opened, replay)

    assert published == 5
    assert sorted(causes(await copies(servers, topic))) == sorted(ids(events))


async def test_an_offset_that_the_log_does_not_have_is_warned_of(session: Open, topic: str) -> None:
    async with session() as opened:
        replay, warnings = await opened.find(uuid4(), wanted(f"{topic}", partition=[0], from_offset=7))

    assert warnings == [f"{topic}:0: offset 7 is after the log's end, 0 is taken"]
    assert replay.selection.events == 0


async def test_a_stopped_replay_goes_on_where_it_was(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    events = uploads(settings, 300)
    await publish(servers, topic, events)
    stop, replay_id = asyncio.Event(), uuid4()
    async with session(stop) as opened:
        replay, _ = await opened.find(replay_id, wanted(topic))
        how = f"stopped. Published: 40 of 300; to go on: mediagate replay --resume {replay_id} --rate 400/s"
        with pytest.raises(StopError, match=re.escape(how)):
            await opened.carry_out(replay, 400, "olga", 300, lambda _: stop.set())
    assert len(await copies(servers, topic)) == 40

    async with session() as opened:
        left, _ = await opened.find(replay_id, None)
        assert left.selection.events == 260
        assert await opened.carry_out(left, None, "oskar", 260, lambda _: None) == 300

    found = await copies(servers, topic)
    assert sorted(causes(found)) == sorted(ids(events))
    actions = await rows(
        str(settings.database_url), "select operator, details from operator_actions order by id"
    )
    assert [(row["operator"], row["details"]["published"]) for row in actions] == [
        ("olga", 40),
        ("oskar", 300),
    ]


async def test_a_limit_holds_for_a_replay_that_was_stopped(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    events = uploads(settings, 100)
    await publish_records(servers, [encode(event, topic)._replace(partition=0) for event in events])
    stop, replay_id = asyncio.Event(), uuid4()
    async with session(stop) as opened:
        replay, _ = await opened.find(replay_id, wanted(topic, limit=60))
        with pytest.raises(StopError):
            await carried_out(opened, replay, lambda _: stop.set(), rate=200)
    async with session() as opened:
        left, _ = await opened.find(replay_id, None)
        assert (await opened.count(left, lambda _: None)).selected.total() == 40
        assert await carried_out(opened, left) == 60

    assert len(set(causes(await copies(servers, topic)))) == 60


async def test_what_was_not_acknowledged_to_us_comes_again_with_the_same_id(
    session: Open, settings: Settings, servers: str, topic: str, database: Any
) -> None:
    """The process was killed after Kafka had the last part, and before PostgreSQL knew."""
    events = uploads(settings, 30)
    await publish_records(servers, [encode(event, topic)._replace(partition=0) for event in events])
    replay, _ = await executed(session, topic, partition=[0])
    said = {"finished": False, "published": 20, "reached": {f"{topic}:0": 20}}
    await database.execute("update operator_actions set details = details || $1", said)

    async with session() as opened:
        left, _ = await opened.find(replay.id, None)
        assert await carried_out(opened, left) == 30

    found = await copies(servers, topic)
    assert causes(found) == ids(events) + ids(events)[20:]
    assert [(r.key, r.value, header(r, "ce_id")) for r in found[30:]] == [
        (r.key, r.value, header(r, "ce_id")) for r in found[20:30]
    ]


async def test_only_what_was_interrupted_goes_on(
    session: Open, settings: Settings, servers: str, topic: str
) -> None:
    await publish(servers, topic, uploads(settings, 2))
    replay, _ = await executed(session, topic)
    unknown = uuid4()

    async with session() as opened:
        with pytest.raises(ConfigurationError, match=f"--resume: there is no replay {unknown}"):
            await opened.find(unknown, None)
        with pytest.raises(ConfigurationError, match="has ended: it published 2 events"):
            await opened.find(replay.id, None)


async def test_a_broker_that_is_away_says_how_to_go_on(
    session: Open, settings: Settings, servers: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(servers, topic, uploads(settings, 2))
    replay_id = uuid4()
    async with session() as opened:
        replay, _ = await opened.find(replay_id, wanted(topic))

        async def away(publisher: object, records: Sequence[OutgoingRecord]) -> None:
            raise TransientError("Kafka did not acknowledge")

        monkeypatch.setattr("mediagate.publisher.KafkaPublisher.publish", away)
        said = f"Published: 0; to go on: mediagate replay --resume {replay_id} --execute"
        with pytest.raises(TransientError, match=said):
            await carried_out(opened, replay)


async def test_a_rescan_names_where_each_object_is_now(
    session: Open,
    settings: Settings,
    servers: str,
    topic: str,
    database: Any,
    s3: S3,
    outside_client: "S3Client",
) -> None:
    events = {
        name: stored(outside_client, settings.temp_bucket, name.encode())
        for name in (
            *("published", "quarantined", "needs_review", "moved", "queued"),
            *("overridden", "gone", "changed", "swapped", "else"),
        )
    }
    public, private = settings.buckets["post"], settings.quarantine_bucket
    for name, event in events.items():
        state = {"overridden": "published", "gone": "published", "changed": "published"}
        state |= {"moved": "needs_review", "swapped": "needs_review", "else": "needs_review"}
        await insert(database, event.data, state.get(name, name))
    places = {
        name: (public, f"{name}.png") for name in ("published", "overridden", "gone", "changed", "moved")
    }
    places["quarantined"] = (private, events["quarantined"].subject)
    for name, place in places.items():
        await move(s3, database, events[name], place, report=name == "quarantined", item=name != "moved")
    await database.execute(
        "update media_jobs set source_bucket = $1, source_key = $2 where media_id = $3",
        *(*places["moved"], events["moved"].data.media_id),
    )
    await database.execute(
        "update media_jobs set override = '{}' where media_id = $1", events["overridden"].data.media_id
    )
    await s3.delete(*places["gone"])
    outside_client.put_object(Bucket=public, Key="changed.png", Body=b"other bytes")
    outside_client.put_object(Bucket=settings.temp_bucket, Key=events["swapped"].data.key, Body=b"SWAPPED")
    elsewhere = events["else"].data.model_copy(update={"key": "another"})
    events["else"] = events["else"]._replace(data=elsewhere)
    await publish(servers, topic, events.values())

    _, tally = await counted(session, topic, force_rescan=True)
    await executed(session, topic, force_rescan=True)

    assert tally.reasons == {"overridden": 1, "object_gone": 1, "object_differs": 3}
    assert (tally.settled.total(), tally.scans.total()) == (0, 5)
    found = {record.key.decode(): record for record in await copies(servers, topic)}
    rescans = {name: found.pop(event.subject) for name, event in events.items() if event.subject in found}
    assert found == {}
    assert rescans.keys() == {"published", "quarantined", "needs_review", "moved", "queued"}
    for name, record in rescans.items():
        data = decode(
            record.key, record.value, record.headers, UploadCompleted, EventType.UPLOAD_COMPLETED
        ).data
        before = events[name].data
        if name == "queued":
            assert data == before
            continue
        bucket, key = places.get(name, (before.bucket, before.key))
        head = await s3.head(bucket, key)
        assert head is not None
        expected = {"bucket": bucket, "key": key, "etag": head.etag, "rescan": True}
        assert data == before.model_copy(update=expected)


async def move(
    s3: S3, database: Any, event: Event[UploadCompleted], place: tuple[str, str], *, report: bool, item: bool
) -> None:
    """Does to an object and its rows what the sinks do."""
    data = event.data
    source = CopySource(data.bucket, data.key, data.etag, data.size)
    await s3.copy(source, *place, {"media-id": event.subject}, "image/png")
    await s3.delete(data.bucket, data.key)
    if report:
        await database.execute(
            """insert into system_reports (media_id, reason, reasons, scores, bucket, key, created_at)
               values ($1, 'r', '[]', '{}', $2, $3, $4)""",
            *(data.media_id, *place, NOW),
        )
    elif item:
        await database.execute(
            """insert into media_items (media_id, user_id, linked_to_type, linked_to_id, file_name, mime_type,
                   file_size, sha256, width, height, bucket, key, created_at)
               values ($1, 'user', 'post', '1', 'a.png', 'image/png', $2, $3, 1, 1, $4, $5, $6)""",
            *(data.media_id, data.size, hashlib.sha256(event.subject.encode()).hexdigest(), *place, NOW),
        )
