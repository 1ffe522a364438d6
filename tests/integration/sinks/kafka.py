"""The test's own view of the decision topics."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from mediagate.events import Decision, Event, encode
from mediagate.lag import lag
from mediagate.publisher import KafkaPublisher
from mediagate.settings import SinksSettings
from mediagate.topics import Topics

ROOT = Path(__file__).parents[3]
DEADLINE = 60.0


class Kafka:
    """The decision topics' other ends."""

    def __init__(self, settings: SinksSettings, topics: Topics) -> None:
        self._servers = settings.kafka_bootstrap_servers
        self._group = settings.sinks_group
        self._topics = topics

    async def decide(self, events: Sequence[Event[Decision]]) -> None:
        """Publishes decisions."""
        async with KafkaPublisher(self._servers, "test") as publisher:
            await publisher.publish(
                [encode(event, self._topics.of_event(event.type).name) for event in events]
            )

    async def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int = 0) -> None:
        """Publishes whatever it is."""
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            await producer.send_and_wait(
                topic, value, key=key, partition=partition, headers=[("odd", None), ("x", b"\xff")]
            )

    async def read(self, topics: Sequence[str], until: int) -> dict[str, list[ConsumerRecord]]:
        """Records by key, once there are `until` different keys on the topics."""
        found: dict[str, list[ConsumerRecord]] = {}
        async with reading(self._servers, topics) as consumer, asyncio.timeout(DEADLINE):
            while len(found) < until:
                record = await consumer.getone()
                found.setdefault((record.key or b"").decode(), []).append(record)
        return found

    async def told(self, until: int) -> dict[str, list[ConsumerRecord]]:
        """What was published and quarantined, once there is news of so many uploads."""
        return await self.read([self._topics.published.name, self._topics.quarantined.name], until)

    async def settled(self) -> None:
        """Returns once every decision is committed: news may be of before a commit that was lost."""
        async with asyncio.timeout(DEADLINE):
            while await self.uncommitted():  # noqa: ASYNC110 - only Kafka tells
                await asyncio.sleep(0.2)

    async def uncommitted(self) -> int:
        """Decisions and overrides that the group has not committed."""
        topics = [topic.name for topic in self._topics.of_sinks()]
        return sum((await lag(self._servers, self._group, topics)).values())


@asynccontextmanager
async def reading(servers: str, topics: Sequence[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the topics from their beginning."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
