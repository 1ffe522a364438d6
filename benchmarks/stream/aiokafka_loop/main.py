"""A plain aiokafka consumer and producer: windows of 50, acknowledged by the broker, then committed."""

import asyncio
import os
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.stream.decision import headers_of, value_of

WINDOW = 50
WAIT_MS = 1000


async def main() -> None:
    """Decides for ever."""
    servers, topic, output, group = (os.environ[name] for name in ("SERVERS", "INPUT", "OUTPUT", "GROUP"))
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    await consumer.start()
    await producer.start()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=WAIT_MS, max_records=WINDOW)
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


async def until_told() -> None:
    """Works until it is told to end."""
    task = asyncio.create_task(main())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait({task})


if __name__ == "__main__":
    asyncio.run(until_told())
