"""Recorded decisions, read back from their topics; nothing is committed, no group is joined."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from mediagate.errors import ConfigurationError, DeadLetterError, TransientError
from mediagate.events import DECISION_TYPES, Decision, Event, decode
from mediagate.logs import without_kafka_lines
from mediagate.topics import Topics

DEADLINE = 30.0
"""Longest wait for Kafka's next answer, s."""
POLL_MS = 500
CHUNK_RECORDS = 1000
DECISION_EVENTS = tuple(dict.fromkeys(DECISION_TYPES.values()))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Instants at or after `start` and, where it is known, before `end`."""

    start: datetime
    end: datetime | None = None

    def start_ms(self) -> int:
        """The first millisecond of Kafka's that lies in the range."""
        return max(0, _ceil_ms(self.start))

    def __contains__(self, timestamp_ms: int) -> bool:
        return self.start_ms() <= timestamp_ms and (self.end is None or timestamp_ms < _ceil_ms(self.end))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of the log: its decisions, the positions of what is none, and how many offsets it took."""

    decisions: Sequence[Event[Decision]]
    undecodable: Sequence[str]
    offsets: int


class DecisionLog:
    """The decision topics between a time and where they ended when the log was opened."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        time_range: TimeRange,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        self._consumer = consumer
        self._time_range = time_range
        self._positions = dict(starts)
        self._ends = ends

    @property
    def offsets(self) -> int:
        """Offsets that are left to read."""
        return sum(self._ends[tp] - position for tp, position in self._positions.items())

    async def read(self) -> AsyncIterator[Chunk]:
        """Everything in the range, once; raises TransientError where Kafka stops answering."""
        self._consumer.assign(list(self._positions))
        for tp, position in self._positions.items():
            self._consumer.seek(tp, position)
        while left := self.offsets:
            try:
                records = await self._next_records()
            except (KafkaError, TimeoutError) as error:
                raise _silent(error) from error
            yield self._chunk(records, left - self.offsets)

    async def _next_records(self) -> list[ConsumerRecord]:
        """The next records before the ends; none where only markers of transactions were left."""
        before = dict(self._positions)
        async with asyncio.timeout(DEADLINE):
            while self._positions == before:
                unread = [tp for tp, position in before.items() if position < self._ends[tp]]
                batches = await self._consumer.getmany(*unread, timeout_ms=POLL_MS, max_records=CHUNK_RECORDS)
                for tp in unread:
                    self._positions[tp] = min(self._ends[tp], await self._consumer.position(tp))
        return [record for tp, batch in batches.items() for record in batch if record.offset < self._ends[tp]]

    def _chunk(self, records: Sequence[ConsumerRecord], offsets: int) -> Chunk:
        decisions, undecodable = [], []
        for record in records:
            if record.timestamp not in self._time_range:
                continue
            try:
                decisions.append(_decision(record))
            except DeadLetterError as error:
                undecodable.append(f"{record.topic}:{record.partition}:{record.offset} {error.reason}")
        return Chunk(decisions, undecodable, offsets)


@asynccontextmanager
async def open_decision_log(
    bootstrap_servers: str, topics: Topics, time_range: TimeRange
) -> AsyncIterator[DecisionLog]:
    """A log to be read once; raises TransientError without Kafka, ConfigurationError without a topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    with without_kafka_lines():
        try:
            partitions = await _partitions(bootstrap_servers, topics)
            yield await _open(consumer, partitions, time_range)
        finally:
            await consumer.stop()


async def _partitions(bootstrap_servers: str, topics: Topics) -> list[TopicPartition]:
    names = [topics.approved.name, topics.rejected.name, topics.held.name]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        async with asyncio.timeout(DEADLINE):
            await admin.start()
            described = await admin.describe_topics(names)
    except (KafkaError, TimeoutError) as error:
        raise _silent(error) from error
    finally:
        await admin.close()
    missing = [entry["topic"] for entry in described if not entry["partitions"]]
    if missing:
        raise ConfigurationError(f"Kafka has no topic {', '.join(missing)}: run `mediagate topics apply`")
    return [
        TopicPartition(entry["topic"], partition["partition"])
        for entry in described
        for partition in entry["partitions"]
    ]


async def _open(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], time_range: TimeRange
) -> DecisionLog:
    try:
        async with asyncio.timeout(DEADLINE):
            await consumer.start()
            ends = await consumer.end_offsets(partitions)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, time_range.start_ms()))
    except (KafkaError, TimeoutError) as error:
        raise _silent(error) from error
    starts = {tp: first.offset for tp, first in found.items() if first and first.offset < ends[tp]}
    return DecisionLog(consumer, time_range, starts, ends)


def _decision(record: ConsumerRecord) -> Event[Decision]:
    return decode(record.key, record.value, record.headers, Decision, *DECISION_EVENTS)


def _ceil_ms(instant: datetime) -> int:
    return -((EPOCH - instant) // timedelta(milliseconds=1))


def _silent(error: Exception) -> TransientError:
    return TransientError(f"Kafka does not answer: {str(error) or type(error).__name__}")
