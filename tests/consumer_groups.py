"""Consumer groups that tests make of plain consumers, and the records that they read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


async def write(servers: str, partition: TopicPartition, *timestamps_ms: int) -> None:
    """Writes a record for each timestamp."""
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for timestamp_ms in timestamps_ms:
            await producer.send_and_wait(
                partition.topic, b"{}", partition=partition.partition, timestamp_ms=timestamp_ms
            )


@asynccontextmanager
async def member(servers: str, group: str, topic: str, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of a group that has its partitions."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=group, client_id=client_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def commit(servers: str, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commits as a consumer does that has read so far and ended."""
    (topic,) = {partition.topic for partition in offsets}
    async with member(servers, group, topic, "reader") as consumer:
        await consumer.commit(dict(offsets))


async def committed(servers: str, group: str) -> dict[TopicPartition, int]:
    """What a group has committed, as Kafka says."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {partition: meta.offset for partition, meta in found.items()}
