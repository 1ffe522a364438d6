"""FastStream: batches of up to 50, every publish acknowledged, then the batch by hand."""

import asyncio
import logging
import os
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage

from benchmarks.stream.decision import decide, headers_of

WINDOW = 50
WAIT_MS = 1000
SERVERS, INPUT, OUTPUT, GROUP = (os.environ[name] for name in ("SERVERS", "INPUT", "OUTPUT", "GROUP"))

broker = KafkaBroker(SERVERS, acks="all", enable_idempotence=True, log_level=logging.DEBUG)


@broker.subscriber(
    INPUT,
    batch=True,
    max_records=WINDOW,
    batch_timeout_ms=WAIT_MS,
    group_id=GROUP,
    auto_offset_reset="earliest",
    ack_policy=AckPolicy.MANUAL,
)
async def decide_batch(uploads: list[dict[str, Any]], message: KafkaMessage) -> None:
    """Publishes a decision each; one publish each, since a published batch has one set of headers."""
    publishing = []
    for upload, record in zip(uploads, message.raw_message, strict=True):
        headers = {
            name: value.decode() for name, value in headers_of(dict(record.headers)["ce_id"], record.key)
        }
        publishing.append(
            await broker.publish(decide(upload), OUTPUT, key=record.key, headers=headers, no_confirm=True)
        )
    await asyncio.gather(*publishing)
    await message.ack()


if __name__ == "__main__":
    asyncio.run(FastStream(broker).run(log_level=logging.WARNING))
