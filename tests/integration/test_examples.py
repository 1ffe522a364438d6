"""examples/ on a real broker: one sends an upload, the other keeps the latest news, each once."""

import ast
import asyncio
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import stamina
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from mediagate.event_examples import FINISHED_AT, PUBLISHED, QUARANTINED
from mediagate.events import Event, EventModel, EventType, OutgoingRecord, encode, event_id
from mediagate.lag import lag
from mediagate.media import MediaType
from mediagate.publisher import KafkaPublisher
from mediagate.topics import Topics
from streams.arrivals import receiver
from tests.services import Services

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DEADLINE = 60.0
GROUP = "example-downstream"


@asynccontextmanager
async def example(
    name: str, services: Services, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The example as a process, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        str(ROOT / "examples" / name),
        *arguments,
        env={"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": services.kafka_bootstrap_servers},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def lines(process: asyncio.subprocess.Process, count: int) -> list[str]:
    assert process.stdout is not None
    return [(await process.stdout.readline()).decode().rstrip() for _ in range(count)]


def news(
    kind: EventType, topics: Topics, media_id: UUID | None = None, cause: str = "final", second: int = 0
) -> OutgoingRecord:
    """An upload, else one of its own, that was published or quarantined then."""
    media_id = media_id or uuid4()
    time = FINISHED_AT + timedelta(seconds=second)
    template: EventModel = PUBLISHED if kind is EventType.PUBLISHED else QUARANTINED
    data = template.model_copy(update={"media_id": media_id, "key": f"{media_id} {cause}"})
    event = Event(event_id(kind, media_id, cause), kind, "/test", time, str(media_id), data)
    return encode(event, topics.of_event(kind).name)


def row(record: OutgoingRecord) -> tuple[str, str, str]:
    """What the consumer keeps of it."""
    data = json.loads(record.value or b"")
    return data["media_id"], data["bucket"], data["key"]


def kept(database: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(database)) as connection:
        return sorted(connection.execute("select media_id, bucket, key from media"))


async def all_is_committed(services: Services, topics: Sequence[str]) -> None:
    async for attempt in stamina.retry_context(
        on=AssertionError, attempts=None, timeout=DEADLINE, wait_initial=0.1, wait_max=1.0, wait_jitter=0
    ):
        with attempt:
            assert not any((await lag(services.kafka_bootstrap_servers, GROUP, list(topics))).values())


async def send(services: Services, records: Sequence[OutgoingRecord]) -> None:
    async with KafkaPublisher(services.kafka_bootstrap_servers, "test") as publisher:
        await publisher.publish(records)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_short_and_knows_nothing_of_mediagate(path: Path) -> None:
    source = path.read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imports}

    assert len(source.splitlines()) <= 40
    assert {module.partition(".")[0] for module in modules} <= {*sys.stdlib_module_names, "aiokafka"}


async def test_what_the_upstream_publisher_sends_is_an_upload(
    services: Services, topics: Topics, tmp_path: Path
) -> None:
    photo = tmp_path / "cat.jpg"
    photo.write_bytes(b"a picture")
    topic = topics.upload_completed_image.name
    arguments = (topic, str(photo), "media-temp", "uploads/cat", '"0123"')

    for _ in range(2):
        async with example("upstream_publisher.py", services, *arguments) as process:
            (media_id,) = await lines(process, 1)
            assert await process.wait() == 0

    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=services.kafka_bootstrap_servers, auto_offset_reset="earliest"
    )
    async with asyncio.timeout(DEADLINE), consumer:
        records = [await consumer.getone() for _ in range(2)]
    receive = receiver(MediaType.IMAGE, frozenset({"media-temp"}))
    arrivals = [receive(record, 1) for record in records]
    assert [arrival.fault for arrival in arrivals] == [None, None]
    first, second = (arrival.event for arrival in arrivals)
    assert first is not None
    assert second is not None
    assert first.id == second.id
    assert arrivals[0].tp == arrivals[1].tp == TP(topic, records[0].partition)
    assert first.data.media_id == UUID(media_id)
    assert first.data.sha256 == hashlib.sha256(b"a picture").hexdigest()
    assert (first.data.mime_type, first.data.size) == ("image/jpeg", 9)


async def test_the_downstream_consumer_keeps_each_event_once_across_a_kill(
    services: Services, topics: Topics, tmp_path: Path
) -> None:
    names = [topics.published.name, topics.quarantined.name]
    database = tmp_path / "media.sqlite"
    kinds = (EventType.PUBLISHED, EventType.QUARANTINED)
    before, after = ([news(kind, topics) for kind in kinds for _ in range(3)] for _ in range(2))

    await send(services, [*before, *before])
    async with example("downstream_consumer.py", services, str(database), *names) as process:
        await lines(process, len(before))
        process.kill()
    await send(services, [*before, *after])
    async with example("downstream_consumer.py", services, str(database), *names):
        await all_is_committed(services, names)

    assert kept(database) == sorted(map(row, [*before, *after]))


async def test_the_downstream_consumer_goes_on_where_it_had_committed(
    services: Services, topics: Topics, tmp_path: Path
) -> None:
    names = [topics.published.name, topics.quarantined.name]
    before, after = ([news(EventType.PUBLISHED, topics)] for _ in range(2))

    await send(services, before)
    async with example("downstream_consumer.py", services, str(tmp_path / "media.sqlite"), *names):
        await all_is_committed(services, names)
    await send(services, after)
    async with example("downstream_consumer.py", services, str(tmp_path / "empty.sqlite"), *names):
        await all_is_committed(services, names)

    assert kept(tmp_path / "empty.sqlite") == list(map(row, after))


@pytest.mark.parametrize("late", [0, 1, 2])
async def test_the_downstream_consumer_keeps_the_latest_end_in_whatever_order_it_reads(
    services: Services, topics: Topics, tmp_path: Path, late: int
) -> None:
    names, media_id = [topics.published.name, topics.quarantined.name], uuid4()
    kinds = (EventType.PUBLISHED, EventType.QUARANTINED, EventType.PUBLISHED)
    ends = [news(kind, topics, media_id, str(time), time) for time, kind in enumerate(kinds)]
    order = [*(end for end in ends if end is not ends[late]), ends[late]]

    async with example("downstream_consumer.py", services, str(tmp_path / "media.sqlite"), *names) as process:
        for end in order:
            await send(services, [end])
            await lines(process, 1)
        await all_is_committed(services, names)

    assert kept(tmp_path / "media.sqlite") == [row(ends[-1])]
