"""The test's own view of the topics."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from mediagate.events import Event, UploadCompleted, encode
from mediagate.lag import lag
from mediagate.publisher import KafkaPublisher
from mediagate.settings import Settings
from mediagate.topics import Topics

DEADLINE = 40.0


class Broker:
    """The test's own view of the topics."""

    def __init__(self, settings: Settings, topics: Topics) -> None:
        self._servers = settings.kafka_bootstrap_servers
        self._group = settings.streams_group
        self._topics = topics

    async def send(self, events: Sequence[Event[UploadCompleted]]) -> None:
        async with KafkaPublisher(self._servers, "test") as publisher:
            await publisher.publish(
                [encode(event, self._topics.upload_completed(event.data.media_type).name) for event in events]
            )

    async def send_raw(self, topic: str, value: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            await producer.send_and_wait(topic, value)

    async def read(self, topic: str, enough: Callable[[list[ConsumerRecord]], bool]) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self._servers, auto_offset_reset="earliest")
        records: list[ConsumerRecord] = []
        await consumer.start()
        try:
            async with asyncio.timeout(DEADLINE):
                while not enough(records):
                    records.append(await consumer.getone())
        finally:
            await consumer.stop()
        return records

    async def decided(self, ids: set[str]) -> list[str]:
        """media_ids in the order of their decisions, once all of `ids` have one."""
        records = await self.read(
            self._topics.approved.name, lambda seen: ids <= {(record.key or b"").decode() for record in seen}
        )
        return [(record.key or b"").decode() for record in records]

    async def count(self, topic: str) -> int:
        """Records of a topic, read or not."""
        return sum((await lag(self._servers, f"nobody-{self._group}", [topic])).values())

    async def uncommitted(self) -> int:
        topics = [self._topics.upload_completed_image.name, self._topics.upload_completed_video.name]
        return sum((await lag(self._servers, self._group, topics)).values())

    async def until_committed(self) -> None:
        """Once the group has committed everything: that comes a moment after the decisions."""
        async with asyncio.timeout(DEADLINE):
            while await self.uncommitted():  # noqa: ASYNC110 - only Kafka tells
                await asyncio.sleep(0.1)
