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
from workers.app import make_app

QUEUED_CHUNKS = 4
RECORDS_PER_POLL = 250
"""Each poll is a word with another thread."""


def make_streams_app(settings: StreamsSettings, demand: Demand, scratch: Path) -> faust.App:
    """The worker's app, on the chunked transport."""
    return make_app(
        settings,
        settings.streams_group,
        scratch,
        QUEUED_CHUNKS,
        RECORDS_PER_POLL,
        lambda app: Transport(app, demand),
    )


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
