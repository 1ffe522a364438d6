"""Reads what stands on a topic."""

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from mediagate.settings import Settings
from mediagate.topics import Topic


async def read_topic(settings: Settings, topic: Topic) -> list[ConsumerRecord]:
    """Every record that the topic holds now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest"
    )
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
