"""Faust's Kafka consumer, made to lose nothing to a rebalance.

Faust polls in one thread and hands records on in another; a rebalance may come between the two. Records are
therefore tagged with their generation where they are fetched, and those of an older one are not handed on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from mediagate.errors import TransientError

Records = Sequence[ConsumerRecord]

COMMIT_DEADLINE = 15.0
FETCH_MAX_WAIT_MS = 100
"""aiokafka has one fetch under way per broker: while idle partitions are asked for, busy ones cannot be."""

log = structlog.get_logger("workers.consumer")


class Fetched(dict[TP, Records]):
    """Records of one poll, and the generation of the assignment that they were read under."""

    def __init__(self, records: Mapping[TP, Records], generation: int) -> None:
        super().__init__(records)
        self.generation = generation


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The consumer's own thread: here records, positions and generation change together."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # Faust's 1500 is no setting
        return consumer

    async def commit_positions(self, positions: Mapping[TP, int]) -> bool:
        """Commits next offsets; False where the group has moved on and the partitions are another's."""
        consumer = self._ensure_consumer()
        held = self.assignment()
        offsets = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "")
            for tp, offset in positions.items()
            if tp in held
        }
        if not offsets:
            return False
        try:
            async with asyncio.timeout(COMMIT_DEADLINE):
                await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            return False
        except (KafkaError, TimeoutError) as error:
            raise TransientError(
                f"offsets were not committed: {str(error) or type(error).__name__}"
            ) from error
        return len(offsets) == len(positions)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seeks back to what is committed; to the beginning where nothing is, which aiokafka leaves out."""
        committed = await super().seek_to_committed()
        fresh = [driver.ensure_aiokafka_TP(tp) for tp, offset in committed.items() if not offset]
        if fresh:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *fresh)
        return committed

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Any:
        records = await super()._fetch_records(consumer, *args, **options)
        return Fetched(records, consumer._coordinator.generation)


class RebalanceSafeConsumer(driver.Consumer):
    """Hands on each record once per generation; backpressure is the queues' own, without idle seconds."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def commit_positions(self, positions: Mapping[TP, int]) -> bool:
        """Commits next offsets; False where the group has moved on and the partitions are another's."""
        thread: Any = self._thread
        committed: bool = await thread.call_thread(thread.commit_positions, positions)
        return committed

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commits what is acked by now, even where a commit is under way: that one began too early."""
        under_way = self._commit_fut is not None
        committed: bool = await super().commit(topics, start_new_transaction)
        return await super().commit(topics, start_new_transaction) if under_way else committed

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Messages of the records that one poll found."""
        records: Any
        records, _ = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        for tp, found in records.items():
            for message in self.messages(tp, self._unread(tp, found)):
                # What was read under an older assignment is read again under the present one.
                if not self.flow_active or self.app.consumer_generation_id != records.generation:
                    return
                yield tp, message

    def messages(self, tp: TP, records: Records) -> Iterator[Any]:
        """Faust's messages of a partition's records: one each."""
        for record in records:
            yield self._to_message(tp, record)

    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing: a full queue holds the fetcher back by itself."""

    def _unread(self, tp: TP, records: Records) -> Records:
        # After a seek this is the *next* offset to read, so the record at it is still unread.
        position = self._read_offset[tp]
        return records if position is None else [record for record in records if record.offset >= position]

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except IllegalStateError:
            log.info("partitions went before their position could be set")
