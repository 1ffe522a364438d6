"""How far the consumer groups are behind."""

import asyncio

import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from mediagate.errors import TransientError
from mediagate.media import MediaType
from mediagate.settings import Settings
from mediagate.topics import Topics

DEADLINE = 20.0


async def lag(bootstrap_servers: str, group: str, topics: list[str]) -> dict[TopicPartition, int]:
    """Records per partition that a group has not committed yet; raises TransientError without Kafka."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    try:
        async with asyncio.timeout(DEADLINE):
            await admin.start()
            await consumer.start()
            described = await admin.describe_topics(topics)
            partitions = [
                TopicPartition(entry["topic"], partition["partition"])
                for entry in described
                for partition in entry["partitions"]
            ]
            committed = await _committed(admin, group)
            beginnings = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
    except (KafkaError, TimeoutError) as error:
        raise TransientError(f"Kafka does not answer: {str(error) or type(error).__name__}") from error
    finally:
        await consumer.stop()
        await admin.close()
    read = {tp: max(meta.offset, beginnings[tp]) for tp, meta in committed.items() if tp in beginnings}
    return {tp: max(0, ends[tp] - read.get(tp, beginnings[tp])) for tp in partitions}


@stamina.retry(on=GroupCoordinatorNotAvailableError, timeout=DEADLINE)
async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
    # A broker that never had a group makes its offsets topic at the first question.
    offsets: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(group)
    return offsets


async def caught_up(settings: Settings, topics: Topics, media_type: MediaType) -> bool:
    """Whether every event of a media type was read and every decision and override carried out."""
    uploads = await lag(
        settings.kafka_bootstrap_servers, settings.streams_group, [topics.upload_completed(media_type).name]
    )
    effects = await lag(
        settings.kafka_bootstrap_servers, settings.sinks_group, [topic.name for topic in topics.of_sinks()]
    )
    return not any(uploads.values()) and not any(effects.values())
