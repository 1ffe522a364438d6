"""The cap on dead letters: a stream stops instead of draining everything there, until it is resumed."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from mediagate.events import OutgoingRecord
from mediagate.media import MediaType
from mediagate.metrics import BRAKES, PAUSED
from mediagate.publisher import KafkaPublisher
from mediagate.settings import Settings, StreamsSettings
from mediagate.testing.scanner import ScriptedScanner
from mediagate.topics import Topics
from streams import scanning
from streams.arrivals import Arrival
from streams.scanning import WindowScan
from tests.integration.streams.broker import Broker
from tests.integration.streams.scene import Scene
from tests.services import Services
from tests.uploads import upload
from tests.worker_process import Running, Worker

DEADLINE = 20.0
STOPPED = (
    "images wait: 60% of the last 10 records were dead letters:"
    " see `mediagate dlq list`, then `mediagate brakes resume image dead_letter`"
)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's word is heard soon."""
    monkeypatch.setattr(scanning, "RESUME_CHECK", 0.02)


def capped(scene: Scene) -> WindowScan:
    """More than half dead letters among the last ten records are too many."""
    return scene.scan(ScriptedScanner(name="local"), share=0.5, letters=10)


def window(scene: Scene, bad: int, good: int = 0) -> list[Arrival]:
    return [scene.received(b"k", b"\xff") for _ in range(bad)] + [
        scene.arrival(scene.upload()) for _ in range(good)
    ]


async def answered(scene: Scene, scan: WindowScan, arrivals: Sequence[Arrival]) -> tuple[int, int]:
    """Dead letters and decisions."""
    async with asyncio.timeout(DEADLINE):
        records = await scan.decide(arrivals)
    letters = sum(record.topic == scene.topics.dead_letter.name for record in records)
    return letters, len(records) - letters


async def until_paused(scan: WindowScan) -> None:
    async with asyncio.timeout(DEADLINE):
        while scan.not_ready is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def is_held(
    scan: WindowScan, deciding: Coroutine[None, None, tuple[int, int]]
) -> "asyncio.Task[tuple[int, int]]":
    """The window's task, once it waits for an operator."""
    task = asyncio.create_task(deciding)
    await until_paused(scan)
    assert not task.done()
    return task


async def resume(scene: Scene) -> None:
    await scene.pool.execute("update brakes set resumed_at = now()")


async def test_the_window_that_shows_it_is_held_whole_until_an_operator_resumes(scene: Scene) -> None:
    scan = capped(scene)
    assert await answered(scene, scan, window(scene, bad=4, good=3)) == (4, 3)

    held = await is_held(scan, answered(scene, scan, window(scene, bad=2, good=1)))

    assert scan.not_ready == STOPPED
    assert scan.is_paused(MediaType.IMAGE)
    assert not scan.is_paused(MediaType.VIDEO)
    (row,) = await scene.brake_rows()
    assert (row["media_type"], row["outcome"], row["share"], row["high"], row["decisions"]) == (
        "image", "dead_letter", 0.6, 0.5, 10,
    )  # fmt: skip
    assert BRAKES.labels("image", "dead_letter")._value.get() == 1
    assert PAUSED.labels("image")._value.get() == 1
    await resume(scene)
    assert await held == (2, 1)
    assert scan.not_ready is None
    assert BRAKES.labels("image", "dead_letter")._value.get() == 0
    assert PAUSED.labels("image")._value.get() == 0


async def test_after_resuming_the_count_begins_behind_the_held_window(scene: Scene) -> None:
    scan = capped(scene)
    held = await is_held(scan, answered(scene, scan, window(scene, bad=25)))
    await resume(scene)
    assert await held == (25, 0), "however long the window: else nobody could ever go on"
    assert await answered(scene, scan, window(scene, bad=9)) == (9, 0)
    again = await is_held(scan, answered(scene, scan, window(scene, bad=1)))
    again.cancel()
    assert len(await scene.brake_rows()) == 2


async def test_few_records_or_a_low_share_never_stop_a_stream(scene: Scene) -> None:
    scan = capped(scene)
    assert await answered(scene, scan, window(scene, bad=9)) == (9, 0)
    scan = capped(scene)
    for _ in range(8):
        assert await answered(scene, scan, window(scene, bad=5, good=5)) == (5, 5)
    assert await scene.brake_rows() == []


async def test_good_records_alone_do_not_stop_a_stream(scene: Scene) -> None:
    scan = capped(scene)
    assert await answered(scene, scan, window(scene, bad=9)) == (9, 0)
    assert await answered(scene, scan, window(scene, bad=0, good=1)) == (0, 1)


async def test_every_other_worker_stops_too(scene: Scene) -> None:
    first, second = capped(scene), capped(scene)
    held = await is_held(first, answered(scene, first, window(scene, bad=10)))
    waiting = await is_held(second, answered(scene, second, window(scene, bad=0, good=2)))
    await resume(scene)
    assert await held == (10, 0)
    assert await waiting == (0, 2)


async def test_a_database_that_is_away_is_waited_for(scene: Scene) -> None:
    scan = capped(scene)
    await scene.pool.execute(
        "insert into brakes (media_type, outcome, share, low, high, decisions, engaged_at) "
        "values ('image', 'dead_letter', 1, 0, 0.5, 10, now())"
    )
    await scene.pool.execute("alter table brakes rename to gone")
    await scene.pool.execute(
        "create view brakes as select * from gone where pg_terminate_backend(pg_backend_pid())"
    )
    waiting = await is_held(scan, answered(scene, scan, window(scene, bad=1)))
    assert "PostgreSQL" in str(scan.not_ready)
    # At one stroke: a table that is not there is worth no other try.
    await scene.pool.execute("drop view brakes; delete from gone; alter table gone rename to brakes")
    assert await waiting == (1, 0)


@pytest.fixture
def worker_settings(settings: Settings) -> StreamsSettings:
    return StreamsSettings.model_validate(settings.model_dump() | {"streams_group": f"streams-{uuid4().hex}"})


@pytest.fixture
def broker(worker_settings: StreamsSettings, topics: Topics) -> Broker:
    return Broker(worker_settings, topics)


@pytest.fixture
def worker(worker_settings: StreamsSettings, services: Services, tmp_path: Path) -> Worker:
    return Worker("streams", worker_settings, services, tmp_path)


SOON = {
    "IMAGE_MAX_WAIT": "300",
    "VIDEO_MAX_WAIT": "300",
    "DEAD_LETTER_WINDOW": "80",
    "SCANNER_PROCESSES": "1",
}


@pytest.mark.usefixtures("s3")
async def test_a_stream_of_poison_stops_for_good_and_the_others_go_on(
    worker_settings: StreamsSettings, services: Services, topics: Topics, broker: Broker, worker: Worker
) -> None:
    poison = [
        OutgoingRecord(topics.upload_completed_image.name, None, b"%d" % number, []) for number in range(200)
    ]
    async with KafkaPublisher(services.kafka_bootstrap_servers, "test") as publisher:
        await publisher.publish(poison)

    async with worker.running(**SOON) as first:
        await stopped(first)
        sent = await broker.count(topics.dead_letter.name)
        assert 0 < sent < 80
        await broker.send([upload(worker_settings.temp_bucket, "video/mp4")])
        await broker.read(topics.held.name, lambda seen: len(seen) == 1)
        first.signal(signal.SIGTERM)
        code, output = await first.ended()
        assert code == 0, output
        assert "brake engaged: a stream stops" in output
    assert await broker.uncommitted() == len(poison) - sent

    async with worker.running(**SOON) as second:
        await stopped(second)
        assert await broker.count(topics.dead_letter.name) == sent
        await resumed_until_done(worker_settings, broker, topics, len(poison))
        await second.ready()
        second.signal(signal.SIGTERM)
        code, output = await second.ended()
        assert code == 0, output
    assert await broker.uncommitted() == 0
    letters = await broker.read(topics.dead_letter.name, lambda seen: len(seen) == len(poison))
    assert {letter.value for letter in letters} == {record.value for record in poison}


async def stopped(process: Running) -> None:
    await process.until("/readyz", lambda status, text: status == 503 and "brakes resume image" in text)


async def resumed_until_done(settings: StreamsSettings, broker: Broker, topics: Topics, letters: int) -> None:
    """An operator who resumes each time that the stream stops again."""
    connection = await asyncpg.connect(str(settings.database_url))
    try:
        async with asyncio.timeout(DEADLINE):
            while await broker.count(topics.dead_letter.name) < letters:
                await connection.execute("update brakes set resumed_at = now() where resumed_at is null")
                await asyncio.sleep(0.2)
    finally:
        await connection.close()
