"""Faust's Kafka transport, with two changes: records arrive in chunks, and demand decides what is fetched.

The records of one poll of one partition reach the agent as one event, so that Faust's cost per event is
paid per chunk. Offsets are the ledger's business: topics on this transport have acks disabled.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import faust
import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from mediagate.errors import TransientError

Chunk = Sequence[ConsumerRecord]

log = structlog.get_logger("streams.transport")

COMMIT_DEADLINE = 15.0
POLL_TIMEOUT_WHILE_WITHHELD = 0.1
"""Seconds; a poll that leaves partitions out must end soon, for they may be wanted again at any time."""


class Demand:
    """Which topics may be fetched; a topic without demand stays on the broker (backpressure)."""

    def __init__(self) -> None:
        self._withheld: set[str] = set()
        self._changed = asyncio.Event()

    def allow(self, topic: str, allowed: bool) -> None:
        """Lets a topic's records be fetched, or not."""
        if allowed:
            self._withheld.discard(topic)
            self._changed.set()
        else:
            self._withheld.add(topic)

    def wanted(self, partitions: set[TP]) -> set[TP]:
        """Those of the partitions whose topic may be fetched."""
        return {tp for tp in partitions if tp.topic not in self._withheld}

    async def wait(self, timeout: float) -> None:
        """Returns when a topic is allowed again, at the latest after `timeout` seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return


class ChunkSchema(Schema[Any, Any]):
    """Hands a chunk to the agent as it is: decoding is ours, so that nothing undecodable is lost."""

    def compile(self, app: Any, **_: Any) -> Any:
        """The function that Faust calls for every message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class Fetched(dict[TP, Chunk]):
    """Records of one poll, and the generation of the assignment that they were read under."""

    def __init__(self, records: Mapping[TP, Chunk], generation: int) -> None:
        super().__init__(records)
        self.generation = generation


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The consumer's own thread: here records, positions and generation change together."""

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Any:
        records = await super()._fetch_records(consumer, *args, **options)
        return Fetched(records, consumer._coordinator.generation)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seeks back to what is committed; to the beginning where nothing is, which aiokafka leaves out."""
        committed = await super().seek_to_committed()
        fresh = [driver.ensure_aiokafka_TP(tp) for tp, offset in committed.items() if not offset]
        if fresh:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *fresh)
        return committed

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


class ChunkConsumer(driver.Consumer):
    """Yields one message per partition and poll, whose value is the list of its records."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def commit_positions(self, positions: Mapping[TP, int]) -> bool:
        """Commits next offsets; False where the group has moved on and the partitions are another's."""
        thread: Any = self._thread
        committed: bool = await thread.call_thread(thread.commit_positions, positions)
        return committed

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        demand = cast("Transport", self.transport).demand
        partitions = active_partitions or set()
        wanted = demand.wanted(partitions)
        if not wanted:
            await demand.wait(timeout)
            return {}
        if len(wanted) < len(partitions):
            timeout = POLL_TIMEOUT_WHILE_WITHHELD
        return await super()._getmany(wanted, timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message per partition that has new records."""
        records: Any
        records, _ = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        for tp, chunk in records.items():
            # What was read under an older assignment is read again under the present one.
            if not self.flow_active or self.app.consumer_generation_id != records.generation:
                break
            fresh = self._unread(tp, chunk)
            if fresh:
                message: Any = self._to_message(tp, fresh[-1])
                message.value = fresh
                yield tp, message

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except IllegalStateError:
            log.info("partitions went before their position could be set")

    def _unread(self, tp: TP, chunk: Chunk) -> Chunk:
        # After a seek this is the *next* offset to read, so the record at it is still unread.
        position = self._read_offset[tp]
        return chunk if position is None else [record for record in chunk if record.offset >= position]

    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing: demand and the queue's own limit are the backpressure, without idle seconds."""


class Transport(driver.Transport):
    """Connects a Faust app to Kafka through chunks."""

    Consumer = ChunkConsumer

    def __init__(self, app: faust.App, demand: Demand) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.demand = demand
