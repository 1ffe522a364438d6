"""Runs the window agents beside their batchers, and lets go of partitions in order."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import structlog
from faust.types import TP

from mediagate.errors import MediagateError, StopError
from mediagate.media import MediaType
from mediagate.publisher import Publisher
from mediagate.settings import StreamsSettings
from mediagate.topics import Topics
from streams.agents import add_window_agent, make_streams_app
from streams.arrivals import receiver
from streams.batcher import Batcher, Decide
from streams.transport import ChunkConsumer, Demand
from streams.windows import WindowLimits

REVOKE_PATIENCE = 20.0
"""Seconds, well under Faust's broker_rebalance_timeout of 60."""
SHUTDOWN_PATIENCE = 30.0
STOP_DEADLINE = 20.0

log = structlog.get_logger("streams.worker")


class StreamsWorker:
    """One consumer group member that windows, scans and decides."""

    def __init__(
        self, settings: StreamsSettings, topics: Topics, publisher: Publisher, decide: Decide, scratch: Path
    ) -> None:
        self._demand = Demand()
        self._app = make_streams_app(settings, self._demand, scratch)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        source_buckets = settings.source_buckets | {settings.temp_bucket}
        self._batchers: list[Batcher] = []
        for media_type in MediaType:
            topic = topics.upload_completed(media_type).name
            batcher = self._batcher(settings, media_type, topic, publisher, decide)
            receive = receiver(media_type, source_buckets)
            add_window_agent(self._app, topic, media_type, receive, batcher, self._fail)
            self._batchers.append(batcher)
        self._app.on_partitions_revoked.connect(self._on_partitions_revoked)

    @property
    def not_ready(self) -> str | None:
        """What is missing before records flow; None when they do."""
        if not self._app.started or self._app.rebalancing:
            return "Kafka: joining the consumer group"
        return "Kafka: the consumer has crashed" if self._app.crashed else None

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then drains; raises what makes going on unsafe."""
        runners = [asyncio.create_task(batcher.run()) for batcher in self._batchers]
        try:
            await self._app.start()
            await self._until_stop_or_failure(stop, runners)
            await self._release(SHUTDOWN_PATIENCE)
        finally:
            for runner in runners:
                runner.cancel()
            with suppress(TimeoutError):  # nothing is lost by it: only settled offsets are committed
                async with asyncio.timeout(STOP_DEADLINE):
                    await self._app.stop()

    async def _until_stop_or_failure(
        self, stop: asyncio.Event, runners: Sequence[asyncio.Task[None]]
    ) -> None:
        stopped = asyncio.create_task(stop.wait())
        consumer_ended = asyncio.create_task(self._app.wait_until_stopped())
        try:
            ends: set[asyncio.Future[Any]] = {stopped, consumer_ended, self._failed, *runners}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            consumer_ended.cancel()
        for ended in (self._failed, *runners):
            if ended.done() and (error := ended.exception()) is not None:
                raise error if isinstance(error, MediagateError) else StopError(repr(error)) from error
        if not stop.is_set():
            log.error("the Kafka consumer ended", exc_info=self._app.crash_reason)
            raise StopError(f"the Kafka consumer ended: {self._app.crash_reason!r}")

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _on_partitions_revoked(self, *_: Any, **__: Any) -> None:
        await self._release(REVOKE_PATIENCE)
        log.info("partitions released")

    async def _release(self, patience: float) -> None:
        await asyncio.gather(*(batcher.release(patience) for batcher in self._batchers))

    def _batcher(
        self,
        settings: StreamsSettings,
        media_type: MediaType,
        topic: str,
        publisher: Publisher,
        decide: Decide,
    ) -> Batcher:
        return Batcher(
            media_type,
            WindowLimits(
                settings.batch_size(media_type),
                settings.max_wait(media_type).total_seconds(),
                settings.batch_bytes(media_type),
            ),
            decide=decide,
            publish=publisher.publish,
            commit=self._commit,
            wants_more=lambda wanted: self._demand.allow(topic, wanted),
            generation=lambda: int(self._app.consumer_generation_id),
        )

    async def _commit(self, positions: Mapping[TP, int]) -> bool:
        return await cast(ChunkConsumer, self._app.consumer).commit_positions(positions)
