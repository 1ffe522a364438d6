"""The dead-letter topic, read by no group: nobody's offsets move."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from mediagate.dead_letter_queue import EPOCH, Letter, Position, letter_of
from mediagate.errors import ConfigurationError, TransientError
from mediagate.logs import without_kafka_lines

DEADLINE = 30.0
"""Longest time that an answer of Kafka is waited for, s."""
AT_ONCE = 500
"""Most letters that are read at once."""


class DeadLetterLog:
    """The letters that were there when it was opened."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        beginnings: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        self._consumer = consumer
        self._beginnings = beginnings
        self._ends = ends

    async def read(self, since: datetime | None = None) -> AsyncIterator[Sequence[Letter]]:
        """All of them, some at a time; with `since`, at least those from then on."""
        with _meanings():
            starts = await self._starts(since)
            self._consumer.resume(*self._ends)
            for tp, start in starts.items():
                self._consumer.seek(tp, start)
            unread = {tp for tp, end in self._ends.items() if starts[tp] < end}
        while unread:
            with _meanings():
                letters = await self._next(unread)
                for tp in [tp for tp in unread if await self._consumer.position(tp) >= self._ends[tp]]:
                    self._consumer.pause(tp)
                    unread.remove(tp)
            yield letters

    async def at(self, position: Position) -> Letter:
        """One letter; raises ConfigurationError where there is none."""
        (topic,) = {tp.topic for tp in self._ends}
        tp = TopicPartition(topic, position.partition)
        if not self._beginnings.get(tp, 0) <= position.offset < self._ends.get(tp, 0):
            raise ConfigurationError(f"{topic} has no {position}{self._instead(tp)}")
        with _meanings():
            self._consumer.resume(tp)
            self._consumer.seek(tp, position.offset)
            async with asyncio.timeout(DEADLINE):
                record = await self._consumer.getone(tp)
            self._consumer.pause(tp)
        if record.offset != position.offset:
            raise ConfigurationError(f"{topic} has no {position} any more")
        return letter_of(record)

    async def _starts(self, since: datetime | None) -> dict[TopicPartition, int]:
        if since is None:
            return dict(self._beginnings)
        milliseconds = max(0, (since - EPOCH) // timedelta(milliseconds=1))
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._ends, milliseconds))
        return {tp: first.offset if first else self._ends[tp] for tp, first in found.items()}

    async def _next(self, unread: set[TopicPartition]) -> Sequence[Letter]:
        records = await self._consumer.getmany(*unread, timeout_ms=int(DEADLINE * 1000), max_records=AT_ONCE)
        if not records:
            raise TimeoutError
        return [
            letter_of(record)
            for tp, some in records.items()
            for record in some
            if record.offset < self._ends[tp]
        ]

    def _instead(self, tp: TopicPartition) -> str:
        if tp not in self._ends:
            return f": its partitions are {', '.join(str(each.partition) for each in sorted(self._ends))}"
        first, end = self._beginnings[tp], self._ends[tp]
        return f": partition {tp.partition} is empty" if first == end else f": it has {first} to {end - 1}"


@asynccontextmanager
async def open_log(bootstrap_servers: str, topic: str) -> AsyncIterator[DeadLetterLog]:
    """The topic as it is now; raises TransientError where Kafka does not answer."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    with without_kafka_lines():
        try:
            with _meanings():
                async with asyncio.timeout(DEADLINE):
                    await consumer.start()
                    partitions = await _partitions(bootstrap_servers, topic)
                    consumer.assign(partitions)
                    consumer.pause(*partitions)
                    beginnings = await consumer.beginning_offsets(partitions)
                    ends = await consumer.end_offsets(partitions)
            yield DeadLetterLog(consumer, beginnings, ends)
        finally:
            await consumer.stop()


async def _partitions(bootstrap_servers: str, topic: str) -> list[TopicPartition]:
    # Asking for a topic by name would make it where the broker makes topics on its own.
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        described = await admin.describe_topics()
    finally:
        await admin.close()
    partitions = [
        TopicPartition(topic, partition["partition"])
        for entry in described
        if entry["topic"] == topic
        for partition in entry["partitions"]
    ]
    if not partitions:
        raise ConfigurationError(f"Kafka has no topic {topic}: run `mediagate topics apply`")
    return partitions


@contextmanager
def _meanings() -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        raise TransientError(f"Kafka does not answer: {str(error) or type(error).__name__}") from error
