"""A consumer of another client library, written from docs/events.md alone, on every declared topic."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from confluent_kafka import Consumer, Message
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from mediagate.event_examples import EXAMPLES, MEDIA_ID, dead_letter_example
from mediagate.events import OutgoingRecord
from mediagate.publisher import KafkaPublisher
from mediagate.topics import Topic, Topics, load_topics
from tests.services import Services

ROOT = Path(__file__).parents[2]
PARTS = list(load_topics(ROOT / "topics.yaml").model_dump())
DEADLINE = 60.0
DEAD_LETTER_HEADERS = {
    f"dead-letter-{name}" for name in ("topic", "partition", "offset", "reason", "error", "attempts")
}


@dataclass(frozen=True)
class Read:
    """A record as an outside consumer sees it."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: Mapping[str, str]
    value: Any

    @property
    def ce_id(self) -> str:
        return self.headers["ce_id"]


def as_read(message: Message) -> Read:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    key, value, headers = message.key(), message.value(), message.headers()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    assert isinstance(key, bytes)
    assert isinstance(value, bytes)
    assert isinstance(headers, list)
    texts = {name: content.decode() for name, content in headers if isinstance(content, bytes)}
    assert len(texts) == len(headers), "no header comes twice, or without a value"
    return Read(topic, partition, offset, key.decode(), texts, json.loads(value))


@contextmanager
def consumer(services: Services, group: str, topic: str) -> Iterator[Consumer]:
    client = Consumer(
        {
            "bootstrap.servers": services.kafka_bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    client.subscribe([topic])
    try:
        yield client
    finally:
        client.close()


def read(services: Services, topic: str, count: int, group: str | None = None) -> list[Read]:
    """The next records of a topic for a group, committed once they are read."""
    found: list[Read] = []
    end = monotonic() + DEADLINE
    with consumer(services, group or uuid4().hex, topic) as client:
        while len(found) < count:
            assert monotonic() < end, f"{len(found)} of {count} records of {topic}"
            message = client.poll(1.0)
            if message is None:
                continue
            assert message.error() is None, message.error()
            found.append(as_read(message))
        client.commit(asynchronous=False)
    return found


def record_of(part: str, topics: Topics) -> tuple[Topic, OutgoingRecord]:
    """The topic of that part, and the record that docs/events.md shows for it."""
    topic: Topic = getattr(topics, part)
    example = (
        EXAMPLES[topic.event] if topic.event else dead_letter_example(topics.upload_completed_image.name)
    )
    return topic, OutgoingRecord(topic.name, example.key, example.value, example.headers)


def of_upload(record: OutgoingRecord, media_id: UUID, ce_id: str) -> OutgoingRecord:
    """The same record of another upload, as another event."""
    assert record.value is not None
    headers = [
        (
            name,
            ce_id.encode() if name == "ce_id" else str(media_id).encode() if name == "ce_subject" else text,
        )
        for name, text in record.headers
    ]
    value = record.value.replace(str(MEDIA_ID).encode(), str(media_id).encode())
    return OutgoingRecord(record.topic, str(media_id).encode(), value, headers)


async def send(services: Services, *records: OutgoingRecord) -> None:
    async with KafkaPublisher(services.kafka_bootstrap_servers, "test") as publisher:
        for record in records:
            await publisher.publish([record])


@cache
def printed_schema(event_type: str) -> Any:
    """What `mediagate events schema` prints."""
    command = [sys.executable, "-m", "mediagate", "events", "schema", event_type]
    return json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)


def described(part: str) -> tuple[Any, Any]:
    """The schemas of a topic's headers and value in asyncapi.yaml; no value's where it may be anything."""
    document = yaml.safe_load((ROOT / "asyncapi.yaml").read_text())

    def follow(node: Any) -> Any:
        while "$ref" in node:
            target = document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node

    channel = document["channels"][part]
    (message,) = (follow(each) for each in channel["messages"].values())
    headers = {**follow(message["headers"]), "components": document["components"]}
    payload = message.get("payload")
    return headers, payload and {**payload, "components": document["components"]}


def check(schema: Any, instance: Any) -> None:
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(instance)


@pytest.mark.parametrize("part", PARTS)
async def test_a_record_of_every_topic_is_as_the_documents_say(
    part: str, topics: Topics, services: Services
) -> None:
    topic, sent = record_of(part, topics)
    await send(services, sent)

    (record,) = read(services, topic.name, 1)

    assert sent.key is not None
    assert sent.value is not None
    assert record.key == sent.key.decode() == str(UUID(record.key)) == record.value["media_id"]
    assert record.headers["ce_subject"] == record.key
    assert record.headers["content-type"] == "application/json"
    assert record.value == json.loads(sent.value)
    headers, payload = described(part)
    check(headers, dict(record.headers))
    if topic.event is None:
        assert set(record.headers) >= DEAD_LETTER_HEADERS
        return
    assert record.headers["ce_type"] == topic.event
    check(payload, record.value)
    check(printed_schema(topic.event), record.value)


@pytest.mark.parametrize("part", PARTS)
async def test_events_of_an_upload_come_in_order_and_a_repetition_shows(
    part: str, topics: Topics, services: Services
) -> None:
    topic, example = record_of(part, topics)
    uploads = [uuid4() for _ in range(5)]
    rounds = [[(upload, f"{upload}-{number}") for upload in uploads] for number in range(3)]
    events = [of_upload(example, upload, ce_id) for each in rounds for upload, ce_id in each]
    await send(services, *events, *events[:5])

    records = read(services, topic.name, len(events) + 5)

    for upload in uploads:
        own = [record for record in records if record.key == str(upload)]
        assert [record.ce_id for record in own] == [f"{upload}-{number}" for number in (0, 1, 2, 0)]
        assert len({record.partition for record in own}) == 1
        assert [record.offset for record in own] == sorted(record.offset for record in own)
    once = {record.ce_id: record for record in reversed(records)}
    assert len(once) == len(events)
    for record in records:
        assert (record.value, record.headers) == (once[record.ce_id].value, once[record.ce_id].headers)


async def test_a_group_goes_on_where_it_had_committed(topics: Topics, services: Services) -> None:
    topic, example = record_of("published", topics)
    first, second = (of_upload(example, uuid4(), uuid4().hex) for _ in range(2))
    group = uuid4().hex

    await send(services, first)
    assert keys(read(services, topic.name, 1, group)) == [first.key]
    await send(services, second)
    assert keys(read(services, topic.name, 1, group)) == [second.key]


def keys(records: Sequence[Read]) -> list[bytes]:
    return [record.key.encode() for record in records]
