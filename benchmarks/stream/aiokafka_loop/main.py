"""A plain aiokafka consumer and producer: windows of 50, acknowledged by the broker, then committed."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.stream.decision import headers_of, value_of

WINDOW = 50
WAIT_MS = 1000


def clients(**options: int) -> tuple[AIOKafkaConsumer, AIOKafkaProducer]:
    """A member of the group, and a producer with these options."""
    servers = os.environ["SERVERS"]
    consumer = AIOKafkaConsumer(
        os.environ["INPUT"],
        bootstrap_servers=servers,
        group_id=os.environ["GROUP"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, **options)
    return consumer, producer


async def main() -> None:
    """Decides for ever."""
    output = os.environ["OUTPUT"]
    consumer, producer = clients()
    await consumer.start()
    await producer.start()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=WAIT_MS, max_records=WINDOW)
            if not found:
                continue
            window = [record for records in found.values() for record in records]
            futures = []
            for record in window:
                headers = headers_of(dict(record.headers)["ce_id"], record.key)
                sent = await producer.send(output, value_of(record.value), key=record.key, headers=headers)
                futures.append(sent)
            await asyncio.gather(*futures)
            await consumer.commit(
                {
                    TopicPartition(tp.topic, tp.partition): records[-1].offset + 1
                    for tp, records in found.items()
                }
            )
    finally:
        await producer.stop()
        await consumer.stop()


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Works until it is told to end."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait({task})


if __name__ == "__main__":
    asyncio.run(until_told(main()))
