"""How far the consumer groups are behind."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

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
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Positions:
    """Where a group and the log stand, by partition."""

    read: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


class Look:
    """Looks at a group's positions on some topics, again and again."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str, topics: list[str]):
        self._admin = admin
        self._consumer = consumer
        self._group = group
        self._topics = topics

    async def positions(self) -> Positions:
        """Those of now; what retention took counts as read."""
        described = await self._admin.describe_topics(self._topics)
        partitions = [
            TopicPartition(entry["topic"], partition["partition"])
            for entry in described
            for partition in entry["partitions"]
        ]
        committed = await _committed(self._admin, self._group)
        beginnings = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        read = {tp: max(meta.offset, beginnings[tp]) for tp, meta in committed.items() if tp in beginnings}
        return Positions({tp: read.get(tp, beginnings[tp]) for tp in partitions}, ends)


@asynccontextmanager
async def looking(
    bootstrap_servers: str, group: str, topics: list[str], deadline: float
) -> AsyncIterator[Look]:
    """Connects; all of it raises TransientError without Kafka, or after the deadline in seconds."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    try:
        async with asyncio.timeout(deadline):
            await admin.start()
            await consumer.start()
            yield Look(admin, consumer, group, topics)
    except (KafkaError, TimeoutError) as error:
        raise TransientError(f"Kafka does not answer: {str(error) or type(error).__name__}") from error
    finally:
        await consumer.stop()
        await admin.close()


async def lag(bootstrap_servers: str, group: str, topics: list[str]) -> dict[TopicPartition, int]:
    """Records per partition that a group has not committed yet; raises TransientError without Kafka."""
    async with looking(bootstrap_servers, group, topics, DEADLINE) as look:
        positions = await look.positions()
    return {tp: max(0, positions.ends[tp] - read) for tp, read in positions.read.items()}


async def read_up(bootstrap_servers: str, group: str, topics: list[str], patience: float) -> bool:
    """Waits until a group has committed all that is on the topics now; False where it takes longer."""
    ends: Mapping[TopicPartition, int] | None = None
    async with looking(bootstrap_servers, group, topics, patience + DEADLINE) as look:
        until = monotonic() + patience
        while monotonic() < until:
            positions = await look.positions()
            ends = ends or positions.ends
            if all(read >= ends[tp] for tp, read in positions.read.items()):
                return True
            await asyncio.sleep(LOOK_EVERY)
    return False


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
