"""The window agents on a real broker: every record is answered, and none is committed before that."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from mediagate.dead_letters import dead_letter
from mediagate.errors import StopError
from mediagate.events import OutgoingRecord
from mediagate.publisher import KafkaPublisher
from mediagate.settings import Settings, StreamsSettings
from mediagate.topics import Topics
from streams.arrivals import Arrival
from streams.worker import StreamsWorker
from tests.integration.streams.broker import DEADLINE, Broker
from tests.uploads import upload


class Decider:
    """Approves everything, through a gate that the test holds."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.windows: list[int] = []

    async def __call__(self, arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        self.windows.append(len(arrivals))
        self.entered.set()
        await self.gate.wait()
        return [self._answer(arrival) for arrival in arrivals]

    def _answer(self, arrival: Arrival) -> OutgoingRecord:
        record = arrival.record
        if arrival.event is None:
            assert arrival.fault is not None
            return dead_letter(
                self._topics.dead_letter.name,
                arrival.fault,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
        return OutgoingRecord(self._topics.approved.name, arrival.event.subject.encode(), b"{}", [])


@pytest.fixture
def worker_settings(settings: Settings) -> StreamsSettings:
    return StreamsSettings.model_validate(
        settings.model_dump()
        | {"streams_group": f"streams-{uuid4().hex}", "image_max_wait": 300, "video_max_wait": 300}
    )


@pytest.fixture
def broker(worker_settings: StreamsSettings, topics: Topics) -> Broker:
    return Broker(worker_settings, topics)


@asynccontextmanager
async def working(
    settings: StreamsSettings,
    topics: Topics,
    scratch: Path,
    decide: Callable[..., Awaitable[Sequence[OutgoingRecord]]],
) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that runs, and is drained at the end."""
    stop = asyncio.Event()
    async with KafkaPublisher(settings.kafka_bootstrap_servers, "test") as publisher:
        worker = StreamsWorker(settings, topics, publisher, decide, scratch)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield running
        finally:
            stop.set()
            await asyncio.wait({running}, timeout=DEADLINE)


async def test_decides_every_upload_and_commits(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    events = [upload(worker_settings.temp_bucket) for _ in range(120)]
    events += [upload(worker_settings.temp_bucket, "video/mp4") for _ in range(12)]
    await broker.send(events)
    decider = Decider(topics)
    async with working(worker_settings, topics, tmp_path, decider) as running:
        decided = await broker.decided({event.subject for event in events})
    running.result()
    assert len(decided) == len(events)
    assert max(decider.windows) <= 50
    assert await broker.uncommitted() == 0


async def test_commits_nothing_while_a_window_is_being_scanned(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    events = [upload(worker_settings.temp_bucket) for _ in range(3)]
    await broker.send(events)
    decider = Decider(topics)
    decider.gate.clear()
    async with working(worker_settings, topics, tmp_path, decider) as running:
        async with asyncio.timeout(DEADLINE):
            await decider.entered.wait()
        assert await broker.uncommitted() == 3
        decider.gate.set()
    running.result()
    assert await broker.uncommitted() == 0


async def test_a_group_without_commits_is_set_back_to_the_beginning(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    events = [upload(worker_settings.temp_bucket) for _ in range(3)]
    await broker.send(events)
    decider, stop = Decider(topics), asyncio.Event()
    decider.gate.clear()
    async with KafkaPublisher(worker_settings.kafka_bootstrap_servers, "test") as publisher:
        worker = StreamsWorker(worker_settings, topics, publisher, decider, tmp_path)
        running = asyncio.create_task(worker.run(stop))
        async with asyncio.timeout(DEADLINE):
            await decider.entered.wait()
        await worker._app.consumer.perform_seek()  # as Faust does when a rebalance overtakes a poll
        decider.gate.set()
        records = await broker.read(topics.approved.name, lambda seen: len(seen) == 2 * len(events))
        stop.set()
        await running
    assert {record.key for record in records} == {event.subject.encode() for event in events}


async def test_a_record_that_fits_no_contract_goes_to_the_dead_letter_topic(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    good = upload(worker_settings.temp_bucket)
    foreign = upload("somebody-elses-bucket")
    nested = b"[" * 100_000
    await broker.send_raw(topics.upload_completed_image.name, b"\xff\x00garbage")
    await broker.send_raw(topics.upload_completed_image.name, nested)
    await broker.send([foreign, good])
    async with working(worker_settings, topics, tmp_path, Decider(topics)) as running:
        await broker.decided({good.subject})
        letters = await broker.read(topics.dead_letter.name, lambda seen: len(seen) == 3)
    running.result()
    headers = {letter.value: dict(letter.headers) for letter in letters}
    garbage = headers[b"\xff\x00garbage"]
    assert garbage["dead-letter-topic"] == topics.upload_completed_image.name.encode()
    assert garbage["dead-letter-attempts"] == b"1"
    assert garbage["dead-letter-partition"].isdigit()
    assert garbage["dead-letter-offset"].isdigit()
    assert headers[nested]["dead-letter-reason"] == b"not_a_cloud_event"
    foreign_value = foreign.data.model_dump_json().encode()
    assert headers[foreign_value]["dead-letter-reason"] == b"source_bucket_not_allowed"
    assert json.loads(foreign_value)["media_id"] == foreign.subject
    assert await broker.uncommitted() == 0


async def test_only_an_order_to_scan_again_names_a_bucket_of_mediagates_own(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    plain, asked = (upload(worker_settings.buckets["post"]) for _ in range(2))
    asked = asked._replace(data=asked.data.model_copy(update={"rescan": True}))
    foreign = upload("somebody-elses-bucket")
    foreign = foreign._replace(data=foreign.data.model_copy(update={"rescan": True}))
    await broker.send([plain, foreign, asked])
    async with working(worker_settings, topics, tmp_path, Decider(topics)):
        assert await broker.decided({asked.subject}) == [asked.subject]
        letters = await broker.read(topics.dead_letter.name, lambda seen: len(seen) == 2)
    assert {letter.key for letter in letters} == {plain.subject.encode(), foreign.subject.encode()}


async def test_a_failure_stops_the_worker_and_acknowledges_nothing(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    async def broken(_: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        raise StopError("the scanner answered nonsense")

    await broker.send([upload(worker_settings.temp_bucket)])
    async with working(worker_settings, topics, tmp_path, broken) as running:
        await asyncio.wait({running}, timeout=DEADLINE)
    with pytest.raises(StopError, match="nonsense"):
        running.result()
    assert await broker.uncommitted() == 1


async def test_two_workers_share_the_work_and_a_leaving_one_loses_nothing(
    worker_settings: StreamsSettings, topics: Topics, tmp_path: Path, broker: Broker
) -> None:
    first, second = Decider(topics), Decider(topics)
    events = [upload(worker_settings.temp_bucket) for _ in range(400)]
    async with working(worker_settings, topics, tmp_path / "1", first) as staying:
        await broker.send(events[:200])
        await broker.decided({event.subject for event in events[:100]})
        async with working(worker_settings, topics, tmp_path / "2", second) as leaving:
            await broker.send(events[200:])
            await broker.decided({event.subject for event in events[:300]})
        leaving.result()
        decided = await broker.decided({event.subject for event in events})
    staying.result()
    assert {UUID(media_id) for media_id in decided} == {event.data.media_id for event in events}
    assert await broker.uncommitted() == 0
