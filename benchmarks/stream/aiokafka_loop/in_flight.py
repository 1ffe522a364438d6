"""The same with 8 windows in flight, in the producer's own batches, and a commit a second of what is done.

A decision goes to the partition of its upload, and what is committed is the end of the windows that are done
and have no older one before them.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.stream.aiokafka_loop.main import WAIT_MS, WINDOW, clients, until_told
from benchmarks.stream.decision import headers_of, value_of

IN_FLIGHT = 8
COMMIT_EVERY = 1.0
BATCH_BYTES = 262_144

Found = Mapping[TopicPartition, Sequence[Any]]
Window = tuple[Found, list[asyncio.Future[Any]]]


class Loop:
    """Windows that are published, oldest first, and how far the oldest have come."""

    def __init__(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, output: str) -> None:
        self._consumer = consumer
        self._producer = producer
        self._output = output
        self._in_flight: deque[Window] = deque()
        self._done: dict[TopicPartition, int] = {}
        self._committed_at = time.monotonic()

    async def run(self) -> None:
        """Decides for ever."""
        while True:
            found = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=WINDOW)
            if found:
                self._in_flight.append((found, [await self._publish(tp, found[tp]) for tp in found]))
            await self._let_go(0 if not found else IN_FLIGHT - 1)
            if self._done and time.monotonic() - self._committed_at >= COMMIT_EVERY:
                await self.commit()

    async def commit(self) -> None:
        """Commits what is done."""
        if self._done:
            await self._consumer.commit(self._done)
        self._done, self._committed_at = {}, time.monotonic()

    async def _publish(self, tp: TopicPartition, records: Sequence[Any]) -> asyncio.Future[Any]:
        batch = self._producer.create_batch()
        for record in records:
            headers = headers_of(dict(record.headers)["ce_id"], record.key)
            added = batch.append(
                key=record.key, value=value_of(record.value), timestamp=None, headers=headers
            )
            if added is None:
                raise ValueError(f"a window is larger than {BATCH_BYTES} bytes")
        sent: asyncio.Future[Any] = await self._producer.send_batch(
            batch, self._output, partition=tp.partition
        )
        return sent

    async def _let_go(self, patient: int) -> None:
        while self._in_flight:
            found, sent = self._in_flight[0]
            if len(self._in_flight) <= patient and not all(each.done() for each in sent):
                return
            await asyncio.gather(*sent)
            self._in_flight.popleft()
            self._done |= {tp: records[-1].offset + 1 for tp, records in found.items()}


async def main() -> None:
    """Decides for ever, and commits at the end."""
    consumer, producer = clients(max_batch_size=BATCH_BYTES)
    await consumer.start()
    await producer.start()
    loop = Loop(consumer, producer, os.environ["OUTPUT"])
    try:
        await loop.run()
    finally:
        await loop.commit()
        await producer.stop()
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(until_told(main()))
