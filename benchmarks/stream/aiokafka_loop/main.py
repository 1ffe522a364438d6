"""A plain aiokafka consumer and producer: windows of 50, acknowledged by the broker, then committed."""

import asyncio
import json
import os
import signal
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

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
                upload = json.loads(record.value)
                headers = dict(record.headers)
                decision = {
                    "media_id": upload["media_id"],
                    "outcome": "approved",
                    "reasons": [],
                    "scores": {"nsfw": 0.01},
                    "scanner": "stub",
                    "upload": upload,
                }
                cause = headers["ce_id"]
                futures.append(
                    await producer.send(
                        output,
                        json.dumps(decision).encode(),
                        key=record.key,
                        headers=[
                            ("ce_specversion", b"1.0"),
                            ("ce_id", b"decision-" + cause),
                            ("ce_type", b"mediagate.approved.v1"),
                            ("ce_source", b"/peer"),
                            ("ce_time", str(time.time()).encode()),
                            ("ce_subject", record.key),
                            ("ce_causationid", cause),
                            ("content-type", b"application/json"),
                        ],
                    )
                )
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
