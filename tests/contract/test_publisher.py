"""Every Publisher keeps these promises."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from mediagate.errors import TransientError
from mediagate.events import OutgoingRecord
from mediagate.publisher import BATCH_BYTES, KafkaPublisher, Publisher
from mediagate.testing.publisher import InMemoryPublisher
from mediagate.topics import Topic, Topics
from tests.services import Services


@dataclass
class Subject:
    publisher: Publisher
    topic: str
    stored: Callable[[], Awaitable[Sequence[OutgoingRecord]]]


async def read_all(bootstrap_servers: str, topic: Topic) -> list[OutgoingRecord]:
    records = await fetch_all(bootstrap_servers, topic)
    return [OutgoingRecord(topic.name, record.key, record.value, record.headers) for record in records]


async def fetch_all(bootstrap_servers: str, topic: Topic) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                records += (await consumer.getmany(partition, timeout_ms=1000)).get(partition, [])
        return records
    finally:
        await consumer.stop()


def record(topic: str, key: str, value: str) -> OutgoingRecord:
    return OutgoingRecord(
        topic, key.encode(), value.encode(), [("ce_id", value.encode()), ("n", b"\x00\xff")]
    )


class PublisherContract:
    async def test_records_of_a_key_arrive_in_order(self, subject: Subject) -> None:
        keys = [str(uuid4()) for _ in range(5)]
        sent = [record(subject.topic, key, f"{key}-{number}") for number in range(20) for key in keys]

        await subject.publisher.publish(sent[:50])
        await subject.publisher.publish(sent[50:])

        stored = await subject.stored()
        assert len(stored) == len(sent)
        for key in keys:
            values = [r.value for r in stored if r.key == key.encode()]
            assert values == [f"{key}-{number}".encode() for number in range(20)]

    async def test_headers_and_empty_values_arrive_as_they_were_sent(self, subject: Subject) -> None:
        headers = [("ce_id", b"1"), ("traceparent", b"00-x"), ("ce_id", b"2"), ("raw", b"\x00\xff")]
        tombstone = OutgoingRecord(subject.topic, b"key", None, headers)

        await subject.publisher.publish([tombstone])

        (stored,) = await subject.stored()
        assert (stored.key, stored.value, list(stored.headers)) == (b"key", None, headers)

    async def test_a_record_without_key_and_value_arrives(self, subject: Subject) -> None:
        nothing = OutgoingRecord(subject.topic, None, None, [("ce_id", b"1")])

        await subject.publisher.publish([nothing])

        (stored,) = await subject.stored()
        assert (stored.key, stored.value, list(stored.headers)) == (None, None, [("ce_id", b"1")])

    async def test_records_with_and_without_parts_arrive_together(self, subject: Subject) -> None:
        sent = [
            OutgoingRecord(subject.topic, key, value, [])
            for key in (None, b"k")
            for value in (None, b"", b"v")
        ]

        await subject.publisher.publish(sent)

        stored = [(each.key, each.value) for each in await subject.stored()]
        assert sorted(map(repr, stored)) == sorted(repr((each.key, each.value)) for each in sent)

    async def test_records_larger_than_a_batch_arrive(self, subject: Subject) -> None:
        values = [b"x" * size for size in (BATCH_BYTES + 1, 10, BATCH_BYTES // 2, BATCH_BYTES // 2, 10)]

        await subject.publisher.publish([OutgoingRecord(subject.topic, b"k", value, []) for value in values])

        assert [each.value for each in await subject.stored()] == values

    async def test_nothing_to_publish_is_no_error(self, subject: Subject) -> None:
        await subject.publisher.publish([])

        assert list(await subject.stored()) == []

    async def test_what_cannot_be_stored_raises_a_transient_error(self, subject: Subject) -> None:
        with pytest.raises(TransientError):
            await subject.publisher.publish([record("no-such-topic", "key", "value")])

    async def test_a_failure_leaves_the_publisher_usable(self, subject: Subject) -> None:
        with pytest.raises(TransientError):
            await subject.publisher.publish([record("no-such-topic", "key", "value")])

        await subject.publisher.publish([record(subject.topic, "key", "value")])

        assert [r.value for r in await subject.stored()] == [b"value"]


class TestInMemoryPublisher(PublisherContract):
    @pytest.fixture
    def subject(self) -> Subject:
        publisher = InMemoryPublisher(["approved"])

        async def stored() -> Sequence[OutgoingRecord]:
            return publisher.of_topic("approved")

        return Subject(publisher, "approved", stored)

    async def test_a_broker_that_is_away_raises_a_transient_error(self) -> None:
        publisher = InMemoryPublisher()
        publisher.available = False

        with pytest.raises(TransientError):
            await publisher.publish([record("any", "key", "value")])
        assert publisher.records == []


class TestKafkaPublisher(PublisherContract):
    @pytest.fixture
    async def subject(self, services: Services, topics: Topics) -> AsyncIterator[Subject]:
        servers, topic = services.kafka_bootstrap_servers, topics.approved
        async with KafkaPublisher(servers, "contract", deadline=2) as publisher:
            yield Subject(publisher, topic.name, lambda: read_all(servers, topic))

    @pytest.mark.parametrize("count", [1, 2])
    async def test_a_record_goes_to_the_partition_that_it_names(
        self, services: Services, topics: Topics, count: int
    ) -> None:
        topic = topics.approved
        last = topic.partitions - 1
        sent = [OutgoingRecord(topic.name, str(number).encode(), b"v", [], last) for number in range(count)]
        async with KafkaPublisher(services.kafka_bootstrap_servers, "contract", deadline=2) as publisher:
            places = await publisher.deliver(sent)

        assert places == [f"{topic.name}:{last}:{offset}" for offset in range(count)]

    async def test_it_says_where_records_stand(self, services: Services, topics: Topics) -> None:
        servers, topic = services.kafka_bootstrap_servers, topics.approved
        sent = [record(topic.name, str(number), str(number)) for number in range(20)]
        async with KafkaPublisher(servers, "contract", deadline=2) as publisher:
            places = [*await publisher.deliver(sent[:19]), *await publisher.deliver(sent[19:])]

        stored = {
            f"{topic.name}:{each.partition}:{each.offset}": each.value
            for each in await fetch_all(servers, topic)
        }
        assert [stored[place] for place in places] == [each.value for each in sent]

    async def test_a_broker_that_is_away_raises_a_transient_error(self, unused_port: int) -> None:
        with pytest.raises(TransientError, match="Kafka does not answer"):
            await KafkaPublisher(f"127.0.0.1:{unused_port}", "contract", deadline=2).start()

    @pytest.fixture
    def unused_port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
            return port
