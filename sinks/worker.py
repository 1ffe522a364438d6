"""Runs the agents, and lets go of partitions in order."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from mediagate.errors import StopError
from mediagate.settings import SinksSettings
from mediagate.topics import Topics
from sinks.agents import add_agent, make_sinks_app
from sinks.dispatcher import Dispatcher
from sinks.handler import Handler
from workers.lifecycle import stop_app, until_stop_or_failure
from workers.watchdog import Watchdog
from workers.watching import Watch, Work

REVOKE_PATIENCE = 20.0
"""Seconds, well under Faust's broker_rebalance_timeout of 60."""
SHUTDOWN_PATIENCE = 30.0
COMMIT_DEADLINE = 10.0

log = structlog.get_logger("sinks.worker")


class SinksWorker:
    """One consumer group member that carries decisions out."""

    def __init__(self, settings: SinksSettings, topics: Topics, handler: Handler, scratch: Path) -> None:
        self._app = make_sinks_app(settings, scratch)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._assigned = False
        self._handler = handler
        self._handled = 0
        self._timeout = settings.watchdog_timeout.total_seconds()
        self._dispatcher = Dispatcher(
            self._handle,
            concurrency=settings.sinks_concurrency,
            generation=lambda: int(self._app.consumer_generation_id),
            fail=self._fail,
        )
        for topic in topics.of_sinks():
            add_agent(self._app, topic, self._dispatcher, self._fail)
        self._watch = Watch(
            self._app,
            settings.kafka_bootstrap_servers,
            settings.sinks_group,
            self._timeout,
            [
                Work(
                    [topic.name for topic in topics.of_sinks()],
                    Watchdog(self._timeout),
                    lambda: self._handled,
                )
            ],
        )
        self._app.on_partitions_assigned.connect(self._on_partitions_assigned)
        self._app.on_partitions_revoked.connect(self._on_partitions_revoked)

    @property
    def not_ready(self) -> str | None:
        """What is missing before records flow; None when they do."""
        if self._app.crashed or self._failed.done():
            return "Kafka: the consumer has ended"
        return None if self._assigned else "Kafka: joining the consumer group"

    async def run(self, stop: asyncio.Event, *background: asyncio.Task[None]) -> None:
        """Works until `stop` is set, then drains; raises what ended it, or `background`, which it cancels."""
        others = [asyncio.create_task(self._watch.run()), *background]
        patience = 0.0
        try:
            await until_stop_or_failure(self._app, stop, self._failed, *others)
            patience = SHUTDOWN_PATIENCE
        finally:
            for task in others:
                task.cancel()
            self._assigned = False
            await self._dispatcher.release(patience)
            await stop_app(self._app)

    async def _handle(self, message: Any) -> None:
        # The watchdog would not see one decision that hangs while others are carried out.
        try:
            async with asyncio.timeout(self._timeout) as limit:
                await self._handler(message)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StopError(
                f"stuck: {message.topic}, partition {message.partition}: offset {message.offset} was not"
                f" carried out within {self._timeout:g} s"
            ) from error
        self._handled += 1

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _on_partitions_assigned(self, *sent: Any, **__: Any) -> None:
        _, assigned = sent
        self._dispatcher.open()
        self._assigned = True
        log.info("partitions assigned", partitions=len(assigned))

    async def _on_partitions_revoked(self, *_: Any, **__: Any) -> None:
        self._assigned = False
        self._watch.let_go()
        await self._dispatcher.release(REVOKE_PATIENCE)
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_DEADLINE):
                await self._app.consumer.commit()
        log.info("partitions released")
