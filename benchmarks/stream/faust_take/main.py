"""Faust: `take(50, within)`, every send acknowledged; it acks the events after, and commits once a second."""

import asyncio
import os
from typing import Any

import faust

from benchmarks.stream.decision import headers_of, value_of

WINDOW = 50
WITHIN = 1.0

app = faust.App(
    os.environ["GROUP"],
    broker=f"kafka://{os.environ['SERVERS']}",
    datadir=os.environ["STATE"],
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
    broker_commit_interval=1.0,
    stream_wait_empty=False,
    topic_disable_leader=True,
    topic_allow_declare=False,
)
uploads, decisions = (
    app.topic(
        os.environ[name], key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    for name in ("INPUT", "OUTPUT")
)


@app.agent(uploads)
async def decide_window(stream: Any) -> None:
    """Publishes a decision each."""
    async for window in stream.take_events(WINDOW, within=WITHIN):
        sent = [
            await decisions.send(
                key=event.key,
                value=value_of(event.value),
                headers=headers_of(event.headers["ce_id"], event.key),
            )
            for event in window
        ]
        await asyncio.gather(*sent)


if __name__ == "__main__":
    app.main()
