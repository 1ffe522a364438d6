"""Runs the window agents beside their batchers, and lets go of partitions in order."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
from faust.types import TP

from mediagate import metrics
from mediagate.media import MediaType
from mediagate.publisher import Publisher
from mediagate.settings import StreamsSettings
from mediagate.topics import Topics
from streams.agents import add_window_agent, make_streams_app
from streams.arrivals import receiver
from streams.batcher import Batcher, Decide, Expect
from streams.transport import ChunkConsumer, Demand
from streams.windows import WindowLimits
from workers.lifecycle import raise_failures, stop_app, until_stop_or_failure
from workers.watchdog import Watchdog
from workers.watching import Watch, Work

REVOKE_PATIENCE = 20.0
"""Seconds, well under Faust's broker_rebalance_timeout of 60."""
SHUTDOWN_PATIENCE = 30.0

log = structlog.get_logger("streams.worker")


class StreamsWorker:
    """One consumer group member that windows, scans and decides."""

    def __init__(
        self,
        settings: StreamsSettings,
        topics: Topics,
        publisher: Publisher,
        decide: Decide,
        scratch: Path,
        is_paused: Callable[[MediaType], bool] = lambda media_type: False,
        expect: Expect = lambda arrivals: None,
    ) -> None:
        self._demand = Demand()
        self._app = make_streams_app(settings, self._demand, scratch)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        source_buckets = settings.source_buckets | {settings.temp_bucket}
        self._batchers: list[Batcher] = []
        works = []
        for media_type in MediaType:
            topic = topics.upload_completed(media_type).name
            paused = partial(is_paused, media_type)
            batcher = self._batcher(settings, media_type, topic, publisher, expect, decide, paused)
            receive = receiver(media_type, source_buckets, settings.all_buckets())
            add_window_agent(self._app, topic, media_type, receive, batcher, self._fail)
            _gauge(media_type, batcher)
            self._batchers.append(batcher)
            works.append(_work(settings, media_type, topic, batcher, paused))
        self._watch = Watch(
            self._app,
            settings.kafka_bootstrap_servers,
            settings.streams_group,
            settings.watchdog_timeout.total_seconds(),
            works,
        )
        self._app.on_partitions_assigned.connect(self._on_partitions_assigned)
        self._app.on_partitions_revoked.connect(self._on_partitions_revoked)

    @property
    def not_ready(self) -> str | None:
        """What is missing before records flow; None when they do."""
        if not self._app.started or self._app.rebalancing:
            return "Kafka: joining the consumer group"
        return "Kafka: the consumer has crashed" if self._app.crashed else None

    async def run(self, stop: asyncio.Event, *background: asyncio.Task[None]) -> None:
        """Works until `stop` is set, then drains; raises what ended it, or `background`, which it cancels."""
        runners = [asyncio.create_task(batcher.run()) for batcher in self._batchers]
        others = [asyncio.create_task(self._watch.run()), *background]
        try:
            await until_stop_or_failure(self._app, stop, self._failed, *runners, *others)
            _cancel(others)
            await self._release(SHUTDOWN_PATIENCE)
            raise_failures(runners)
        finally:
            _cancel([*runners, *others])
            await stop_app(self._app)

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _on_partitions_assigned(self, *sent: Any, **__: Any) -> None:
        _, assigned = sent
        log.info("partitions assigned", partitions=len(assigned))

    async def _on_partitions_revoked(self, *_: Any, **__: Any) -> None:
        self._watch.let_go()
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
        expect: Expect,
        decide: Decide,
        paused: Callable[[], bool],
    ) -> Batcher:
        return Batcher(
            media_type,
            WindowLimits(
                settings.batch_size(media_type),
                settings.max_wait(media_type).total_seconds(),
                settings.batch_bytes(media_type),
            ),
            expect=expect,
            decide=decide,
            publish=publisher.publish,
            commit=self._commit,
            wants_more=lambda wanted: self._demand.allow(topic, wanted),
            generation=lambda: int(self._app.consumer_generation_id),
            paused=paused,
        )

    async def _commit(self, positions: Mapping[TP, int]) -> bool:
        return await cast(ChunkConsumer, self._app.consumer).commit_positions(positions)


def _work(
    settings: StreamsSettings, media_type: MediaType, topic: str, batcher: Batcher, paused: Callable[[], bool]
) -> Work:
    # What waits for its window to close is not stuck, however long that may take.
    timeout = settings.watchdog_timeout + settings.max_wait(media_type)
    return Work([topic], Watchdog(timeout.total_seconds()), lambda: batcher.progress, paused)


def _gauge(media_type: MediaType, batcher: Batcher) -> None:
    metrics.OPEN_ITEMS.labels(media_type).set_function(lambda: batcher.open_items)
    metrics.OPEN_AGE.labels(media_type).set_function(lambda: batcher.open_age)


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
