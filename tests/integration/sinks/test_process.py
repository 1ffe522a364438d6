"""The process on real Kafka, PostgreSQL and S3: every decision ends, whatever happens to the process."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from mediagate.events import Decision, Event, Outcome
from mediagate.topics import Topics
from tests.integration.sinks.kafka import Kafka
from tests.integration.sinks.scene import Scene, decision
from tests.services import Services
from tests.worker_process import DEADLINE, Worker


def decisions(scene: Scene, count: int) -> list[Event[Decision]]:
    """Uploads and their decisions: mostly approvals, all of one file name."""
    outcomes = [Outcome.APPROVED, Outcome.APPROVED, Outcome.REJECTED, Outcome.APPROVED]
    return [
        decision(scene.upload(body=f"body {number}".encode()), outcomes[number % len(outcomes)])
        for number in range(count)
    ]


async def check_that_all_ended_once(scene: Scene, events: Sequence[Event[Decision]]) -> None:
    ends = set()
    for event in events:
        media_id, rejected = event.data.media_id, event.data.outcome is Outcome.REJECTED
        assert await scene.state(media_id) == ("quarantined" if rejected else "published")
        row = await scene.row("system_reports" if rejected else "media_items", media_id)
        assert row is not None
        head = scene.client.head_object(Bucket=row["bucket"], Key=row["key"])
        assert head["Metadata"] == {"media-id": str(media_id)}
        ends.add((row["bucket"], row["key"]))
    assert {(bucket, key) for bucket, keys in scene.everywhere().items() for key in keys} == ends
    assert len(ends) == len(events)
    assert scene.keys(scene.settings.temp_bucket) == []


async def test_carries_out_what_it_reads_and_drains_when_it_is_told_to(
    scene: Scene, kafka: Kafka, sinks: Worker
) -> None:
    events = decisions(scene, 60)
    held = decision(scene.upload(), Outcome.NEEDS_REVIEW)
    await kafka.decide([held, *events])

    async with sinks.running() as process:
        told = await kafka.told(len(events))
        assert process.get("/livez") == (200, "ok\n")
        assert process.get("/readyz") == (200, "ok\n")
        assert "mediagate_effects_total" in process.get("/metrics")[1]
        process.signal(signal.SIGTERM)
        code, output = await process.ended()

    assert (code, "Traceback" in output) == (0, False), output
    assert all(len(records) == 1 for records in told.values())
    assert await scene.state(held.data.media_id) == "needs_review"
    scene.client.delete_object(Bucket=held.data.upload.bucket, Key=held.data.upload.key)
    await check_that_all_ended_once(scene, events)
    assert await kafka.uncommitted() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_what_one_process_leaves_the_next_one_ends(
    scene: Scene, kafka: Kafka, sinks: Worker, number: signal.Signals
) -> None:
    events = decisions(scene, 120)
    await kafka.decide(events)

    for seen in (1, 40):
        async with sinks.running() as process:
            await process.ready()  # the one before may have told so many already
            await kafka.told(seen)
            process.signal(number)
            code, output = await process.ended()
            assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL), output
    async with sinks.running() as process:
        await process.ready()
        told = await kafka.told(len(events))
        await kafka.settled()
        process.signal(signal.SIGTERM)
        code, output = await process.ended()

    assert code == 0, output
    await check_that_all_ended_once(scene, events)
    assert await kafka.uncommitted() == 0
    for records in told.values():
        assert len({(dict(record.headers)["ce_id"], record.value) for record in records}) == 1


async def test_two_processes_share_the_work(scene: Scene, kafka: Kafka, sinks: Worker) -> None:
    events = decisions(scene, 120)

    async with sinks.running() as staying:
        await kafka.decide(events[:40])
        await kafka.told(10)
        async with sinks.running() as leaving:
            await leaving.ready()
            await kafka.decide(events[40:80])
            await kafka.told(60)
            leaving.signal(signal.SIGKILL)
            await leaving.ended()
        await kafka.decide(events[80:])
        await kafka.told(len(events))
        staying.signal(signal.SIGTERM)
        code, output = await staying.ended()

    assert code == 0, output
    await check_that_all_ended_once(scene, events)
    assert await kafka.uncommitted() == 0


async def test_what_is_no_decision_goes_to_the_dead_letter_topic(
    scene: Scene, kafka: Kafka, sinks: Worker, topics: Topics
) -> None:
    (event,) = decisions(scene, 1)
    for partition in range(topics.approved.partitions):
        await kafka.send(topics.approved.name, b"key %d" % partition, b"\xff garbage", partition)
    await kafka.send(topics.held.name, b"tombstone", None)
    await kafka.decide([event])

    async with sinks.running() as process:
        await kafka.told(1)
        letters = await kafka.read([topics.dead_letter.name], topics.approved.partitions + 1)
        process.signal(signal.SIGTERM)
        code, output = await process.ended()

    assert code == 0, output
    (tombstone,) = letters.pop("tombstone")
    assert tombstone.value is None
    assert dict(tombstone.headers)["dead-letter-reason"] == b"no_value"
    assert {record.value for (record,) in letters.values()} == {b"\xff garbage"}
    for (record,) in letters.values():
        headers = dict(record.headers)
        assert headers["dead-letter-topic"] == topics.approved.name.encode()
        assert (headers["odd"], headers["x"]) == (None, b"\xff")
    await check_that_all_ended_once(scene, [event])
    assert await kafka.uncommitted() == 0


async def test_a_bucket_that_vanishes_ends_the_process_and_acknowledges_nothing(
    scene: Scene, kafka: Kafka, sinks: Worker
) -> None:
    (event,) = decisions(scene, 1)
    bucket = scene.settings.buckets["post"]

    async with sinks.running() as process:
        (other,) = [decision(scene.upload(linked_to_type="comment"), Outcome.APPROVED)]
        await kafka.decide([other])
        await kafka.told(1)
        scene.client.delete_bucket(Bucket=bucket)
        await kafka.decide([event])
        code, output = await process.ended()

    assert code == 1
    assert output.splitlines()[-1] == "mediagate sinks: S3 CopyObject: NoSuchBucket"
    assert "Traceback" not in output
    assert await kafka.uncommitted() == 1
    scene.client.create_bucket(Bucket=bucket)
    async with sinks.running():
        await kafka.told(2)
    await check_that_all_ended_once(scene, [event, other])


async def start_up(sinks: Worker, **environment: str) -> str:
    async with sinks.running(**environment) as process:
        code, output = await process.ended()
    assert code == 1
    *logged, line = output.splitlines()
    assert all(entry.startswith("{") for entry in logged), output
    return line


async def test_says_in_one_line_why_it_cannot_start(
    scene: Scene, topics: Topics, sinks: Worker, services: Services, tmp_path: Path
) -> None:
    other_topics = tmp_path / "other.yaml"
    other_topics.write_text(scene.settings.topics_file.read_text().replace(topics.held.name, "no.such-topic"))
    away = "postgresql://nobody@127.0.0.1:9/nothing"

    lines = await asyncio.gather(
        start_up(sinks, TOPICS_FILE=str(other_topics)),
        start_up(sinks, DATABASE_URL=services.database_url),
        start_up(sinks, DATABASE_URL=away),
        start_up(sinks, QUARANTINE_BUCKET="no-such-bucket"),
        start_up(sinks, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9"),
        start_up(sinks, S3_ENDPOINT_URL="http://127.0.0.1:9"),
        start_up(sinks, SINKS_CONCURRENCY="none"),
    )

    wanted = [
        "mediagate sinks: Kafka has no topic no.such-topic",
        "mediagate sinks: the database is not at the newest revision",
        "mediagate sinks: PostgreSQL does not answer",
        "mediagate sinks: S3 has no bucket no-such-bucket",
        "mediagate sinks: Kafka does not answer",
        "mediagate sinks: S3 does not answer",
        "mediagate sinks: settings: SINKS_CONCURRENCY",
    ]
    for line, start in zip(lines, wanted, strict=True):
        assert line.startswith(start)


async def test_a_port_that_is_taken_is_one_line(scene: Scene, topics: Topics, sinks: Worker) -> None:
    async with asyncio.timeout(DEADLINE):
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        line = await start_up(sinks, SINKS_PORT=str(port))

    assert line == f"mediagate sinks: cannot listen on 127.0.0.1:{port}: Address already in use"


async def test_a_process_that_slept_past_its_session_does_no_harm(
    scene: Scene, kafka: Kafka, sinks: Worker
) -> None:
    events = decisions(scene, 200)

    async with sinks.running() as sleeper, sinks.running() as other:
        await sleeper.ready()
        await other.ready()
        await kafka.decide(events)
        await kafka.told(20)
        sleeper.signal(signal.SIGSTOP)
        await kafka.told(len(events))
        sleeper.signal(signal.SIGCONT)
        await sleeper.ready()
        for process in (sleeper, other):
            process.signal(signal.SIGTERM)
            code, output = await process.ended()
            assert code == 0, output

    await check_that_all_ended_once(scene, events)
    assert await kafka.uncommitted() == 0


async def test_a_database_that_ends_every_session_delays_and_loses_nothing(
    scene: Scene, kafka: Kafka, sinks: Worker
) -> None:
    events = decisions(scene, 100)
    await kafka.decide(events)

    async with sinks.running() as process:
        for seen in (1, 30, 60):
            await kafka.told(seen)
            await scene.pool.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid() and query like '%media_%'"
            )
        await kafka.told(len(events))
        await kafka.settled()
        process.signal(signal.SIGTERM)
        code, output = await process.ended()

    assert code == 0, output
    await check_that_all_ended_once(scene, events)
    assert await kafka.uncommitted() == 0
