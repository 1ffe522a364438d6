"""Sends records to Kafka and returns only when the broker has acknowledged every one of them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from mediagate import failpoints
from mediagate.errors import TransientError
from mediagate.events import OutgoingRecord
from mediagate.failpoints import Step
from mediagate.partitioning import partition_of

BATCH_BYTES = 256 * 1024  # a window's decisions for one partition in one request
REQUEST_TIMEOUT_MS = 10_000
NO_VALUE = object()
"""Stands for null: aiokafka refuses a record without key and value, but others may have sent us one."""


class Run(NamedTuple):
    """Records that stand one after the other, by their numbers; `first` is the offset of the first."""

    numbers: Sequence[int]
    topic: str
    partition: int
    first: int


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
        await self._send(records)

    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[str]:
        """Publishes; says where each record stands now, as TOPIC:PARTITION:OFFSET."""
        places: dict[int, str] = {}
        for run in await self._send(records):
            for index, number in enumerate(run.numbers):
                places[number] = f"{run.topic}:{run.partition}:{run.first + index}"
        return [places[number] for number in range(len(records))]

    async def _send(self, records: Sequence[OutgoingRecord]) -> list[Run]:
        try:
            async with asyncio.timeout(self._deadline):
                # Records that come one by one share the batches that the producer makes.
                return await (self._send_batches(records) if len(records) > 1 else self._send_each(records))
        except (KafkaError, TimeoutError) as error:
            raise TransientError(f"Kafka did not acknowledge: {type(error).__name__} {error}") from error

    async def _send_each(self, records: Sequence[OutgoingRecord]) -> list[Run]:
        runs = []
        for number, record in enumerate(records):
            value = NO_VALUE if record.value is None else record.value
            headers = list(record.headers)
            sent = await self._producer.send_and_wait(
                record.topic, value=value, key=record.key, partition=record.partition, headers=headers
            )
            runs.append(Run([number], sent.topic, sent.partition, sent.offset))
        return runs

    async def _send_batches(self, records: Sequence[OutgoingRecord]) -> list[Run]:
        """A batch per partition, or several where one grows too large: far cheaper than record by record."""
        sending = []
        for (topic, partition), numbers in (await self._shares(records)).items():
            while numbers:
                batch = self._batch([records[number] for number in numbers])
                future = await self._producer.send_batch(batch, topic, partition=partition)
                failpoints.PROCESS.reach(Step.BETWEEN_EMITS)
                sending.append((numbers[: batch.record_count()], future))
                numbers = numbers[batch.record_count() :]
        sent = await asyncio.gather(*(future for _, future in sending))
        return [
            Run(numbers, first.topic, first.partition, first.offset)
            for (numbers, _), first in zip(sending, sent, strict=True)
        ]

    async def _shares(self, records: Sequence[OutgoingRecord]) -> Mapping[tuple[str, int], list[int]]:
        """Which of the records go to a partition, in their order."""
        known = {
            topic: sorted(await self._producer.partitions_for(topic))
            for topic in {record.topic for record in records}
        }
        shares: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for number, record in enumerate(records):
            partition = record.partition
            if partition is None:
                partition = partition_of(record.key, known[record.topic])
            shares[record.topic, partition].append(number)
        return shares

    def _batch(self, records: Sequence[OutgoingRecord]) -> Any:
        """As many of the records as one batch takes."""
        batch = self._producer.create_batch()
        for record in records:
            appended = batch.append(
                timestamp=None, key=record.key, value=record.value, headers=record.headers
            )
            if appended is None:
                break
        return batch


def _value(value: object) -> object:
    return None if value is NO_VALUE else value
