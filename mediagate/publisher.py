"""Sends records to Kafka and returns only when the broker has acknowledged every one of them."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from mediagate import failpoints
from mediagate.errors import TransientError
from mediagate.events import OutgoingRecord
from mediagate.failpoints import Step

BATCH_BYTES = 256 * 1024  # a window's decisions for one partition in one request
REQUEST_TIMEOUT_MS = 10_000
NO_VALUE = object()
"""Stands for null: aiokafka refuses a record without key and value, but others may have sent us one."""


class Publisher(Protocol):
    """Where events go."""

    async def publish(self, records: Sequence[OutgoingRecord]) -> None:
        """Sends all records in order; raises TransientError unless every one was acknowledged in time."""
        ...


class KafkaPublisher:
    """A Publisher on an idempotent producer that waits for all in-sync replicas."""

    def __init__(self, bootstrap_servers: str, client_id: str, deadline: float = 30.0) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            value_serializer=_value,
        )
        self._deadline = deadline

    async def start(self) -> None:
        """Connects; raises TransientError where no broker answers."""
        try:
            async with asyncio.timeout(self._deadline):
                await self._producer.start()
        except (KafkaError, TimeoutError) as error:
            await self._producer.stop()
            raise TransientError(f"Kafka does not answer: {error}") from error

    async def stop(self) -> None:
        """Sends what is buffered and closes."""
        await self._producer.stop()

    async def __aenter__(self) -> "KafkaPublisher":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def publish(self, records: Sequence[OutgoingRecord]) -> None:
        """Sends all records in order; raises TransientError unless every one was acknowledged in time."""
        await self.deliver(records)

    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[str]:
        """Publishes; says where each record stands now, as TOPIC:PARTITION:OFFSET."""
        try:
            async with asyncio.timeout(self._deadline):
                futures = []
                for record in records:
                    futures.append(await self._send(record))
                    failpoints.PROCESS.reach(Step.BETWEEN_EMITS)
                sent = await asyncio.gather(*futures)
        except (KafkaError, TimeoutError) as error:
            raise TransientError(f"Kafka did not acknowledge: {type(error).__name__} {error}") from error
        return [f"{each.topic}:{each.partition}:{each.offset}" for each in sent]

    async def _send(self, record: OutgoingRecord) -> asyncio.Future[RecordMetadata]:
        """What the broker will say."""
        future: asyncio.Future[RecordMetadata] = await self._producer.send(
            record.topic,
            value=NO_VALUE if record.value is None else record.value,
            key=record.key,
            partition=record.partition,
            headers=list(record.headers),
        )
        return future


def _value(value: object) -> object:
    return None if value is NO_VALUE else value
