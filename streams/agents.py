"""The Faust app of the streams worker: one window agent per media type."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust

from mediagate.media import MediaType
from mediagate.settings import StreamsSettings
from streams.arrivals import Receive
from streams.batcher import Batcher
from streams.transport import ChunkSchema, Demand, Transport

QUEUED_CHUNKS = 4
RECORDS_PER_POLL = 100
SESSION_TIMEOUT = 15.0
"""Seconds until the partitions of a worker that fell silent are another's."""


def make_app(settings: StreamsSettings, demand: Demand, scratch: Path) -> faust.App:
    """A Faust app on the chunked transport. Faust's own web server, tables and leader stay off."""
    app = faust.App(
        settings.streams_group,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        datadir=str(scratch),
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=QUEUED_CHUNKS,
        broker_max_poll_records=RECORDS_PER_POLL,
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=SESSION_TIMEOUT / 5,
        consumer_auto_offset_reset="earliest",
        producer_request_timeout=30.0,
        table_standby_replicas=0,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    app.transport = Transport(app, demand)
    return app


def add_window_agent(
    app: faust.App,
    topic: str,
    media_type: MediaType,
    receive: Receive,
    batcher: Batcher,
    fail: Callable[[Exception], None],
) -> None:
    """Feeds the records of a media type's topic to its batcher.

    Faust would restart a failed agent behind the chunk that it failed on; a failure stops the process.
    """

    async def ingest(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                batcher.put([receive(record, event.message.generation_id) for record in event.value])
            except Exception as error:
                fail(error)
                raise

    app.agent(app.topic(topic, schema=ChunkSchema(), acks=False), name=f"streams.{media_type}")(ingest)
