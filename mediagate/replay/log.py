"""The logs that a replay reads, and where in them it begins and ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from mediagate.errors import TransientError
from mediagate.logs import without_kafka_lines
from mediagate.offsets import Move, Rule, Since, plan, select, to_each
from mediagate.offsets.group import ConsumerGroup, open_group
from mediagate.replay import Selection, Span
from mediagate.replay.options import Wanted

NOBODY = "mediagate-replay"
"""A group that is asked about and never joined."""
BATCH = 1000
"""Most copies that Kafka has not acknowledged: so many are repeated at most after a crash."""
FETCH_BYTES = 8 * 2**20
POLL_MS = 1000
DEADLINE = 30.0
"""Longest time without a record where there must be one, s."""


class Log:
    """Reads spans, one after the other."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Says once which partitions are read: aiokafka may not stop any more soon after a second time."""
        self._consumer.assign(list(partitions))
        self._consumer.pause(*self._consumer.assignment())

    async def read(self, span: Span) -> AsyncGenerator[tuple[Sequence[ConsumerRecord], int], None]:
        """Its records in their order, so many at a time, and the offset that is next after them."""
        position = span.first
        if position >= span.end:
            return
        self._consumer.seek(span.partition, position)
        self._consumer.resume(span.partition)
        try:
            while position < span.end:
                records, position = await self._some(span.partition, position)
                yield [record for record in records if record.offset < span.end], min(position, span.end)
        except KafkaError as error:
            raise TransientError(f"Kafka: {error}") from error
        finally:
            self._consumer.pause(span.partition)

    async def _some(self, partition: TopicPartition, before: int) -> tuple[Sequence[ConsumerRecord], int]:
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    found = await self._consumer.getmany(partition, timeout_ms=POLL_MS, max_records=BATCH)
                    position = await self._consumer.position(partition)
                    if found or position > before:  # a log has gaps, too
                        return found.get(partition, []), position
        except TimeoutError as error:
            raise TransientError(f"Kafka does not answer: nothing came for {DEADLINE:.0f} s") from error


@asynccontextmanager
async def open_log(bootstrap_servers: str) -> AsyncIterator[Log]:
    """The logs of a broker; raises TransientError where it does not answer."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # where retention was faster
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    with without_kafka_lines():
        try:
            async with asyncio.timeout(DEADLINE):
                await consumer.start()
        except (KafkaError, TimeoutError) as error:
            await consumer.stop()
            raise TransientError(f"Kafka does not answer: {str(error) or type(error).__name__}") from error
        try:
            yield Log(consumer)
        finally:
            await consumer.stop()


async def find(bootstrap_servers: str, wanted: Wanted) -> tuple[Selection, list[str]]:
    """What is wanted as it lies in the logs now, and warnings; what comes later is never part of it."""
    async with open_group(bootstrap_servers, NOBODY) as group:
        partitions = select(wanted.partitions, await group.partitions())
        firsts = await _moves(group, partitions, wanted.first)
        ends = await _moves(group, partitions, wanted.end)
    spans = [
        Span(first.partition, first.new, max(first.new, end.new))
        for first, end in zip(firsts, ends, strict=True)
    ]
    warnings = [warning for move in [*firsts, *ends] if (warning := move.warning())]
    selection = Selection(tuple(spans), wanted.media_ids, wanted.states, wanted.limit, wanted.rescan)
    return selection, warnings


async def _moves(group: ConsumerGroup, partitions: list[TopicPartition], bound: Rule | Since) -> list[Move]:
    positions = await group.positions(partitions)
    if isinstance(bound, Since):
        return plan(to_each(await group.first_since(partitions, bound.milliseconds)), positions)
    return plan(bound, positions)
