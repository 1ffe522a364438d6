"""Dead letters that tests make, and what is read of a topic."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from mediagate.dead_letters import dead_letter
from mediagate.errors import DeadLetterError
from mediagate.events import OutgoingRecord
from mediagate.publisher import KafkaPublisher
from mediagate.topics import Topics

DEADLINE = 40.0


def letter(
    topics: Topics,
    *,
    topic: str | None = None,
    reason: str = "invalid_data",
    error: str = "size: Field required",
    key: bytes | None = b"key",
    value: bytes | None = b"{}",
    headers: Sequence[tuple[str, bytes]] = (),
    offset: int = 41,
) -> OutgoingRecord:
    """A dead letter, of the images' topic unless another is named."""
    return dead_letter(
        topics.dead_letter.name,
        DeadLetterError(reason, error),
        topic=topic or topics.upload_completed_image.name,
        partition=3,
        offset=offset,
        key=key,
        value=value,
        headers=headers,
    )


async def bury(servers: str, *letters: OutgoingRecord) -> list[str]:
    """Sends dead letters; their positions as PARTITION:OFFSET."""
    async with KafkaPublisher(servers, "test") as publisher:
        return [where.split(":", 1)[1] for where in await publisher.deliver(letters)]


async def read(servers: str, topic: str, count: int) -> list[ConsumerRecord]:
    """So many records of a topic, from its beginning."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(DEADLINE):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def size(servers: str, topic: str) -> int:
    """Records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


def record_of(
    sent: OutgoingRecord, partition: int = 2, offset: int = 17, timestamp: int = 1_900_000_000_000
) -> ConsumerRecord:
    """What a consumer would get."""
    return ConsumerRecord(
        sent.topic, partition, offset, timestamp, 0, sent.key, sent.value, 0, 0, 0, tuple(sent.headers)
    )
