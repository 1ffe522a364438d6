"""The sinks process: its one wiring function."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from mediagate import failpoints
from mediagate.database import connect
from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.health import HealthServer
from mediagate.logs import configure_logs
from mediagate.process import check_buckets, check_database, check_topics
from mediagate.publisher import KafkaPublisher
from mediagate.settings import SinksSettings, load_settings
from mediagate.storage import S3
from mediagate.topics import load_topics
from sinks.effects import Effects
from sinks.handler import Handler
from sinks.readiness import Dependencies
from sinks.records import SharedSession
from sinks.worker import SinksWorker
from workers.watching import exit_when_hung


async def run(stop: asyncio.Event) -> None:
    """Wires the process and works until `stop` is set."""
    settings = load_settings(SinksSettings)
    configure_logs("sinks", settings.log_level, settings.log_format)
    failpoints.PROCESS.arm(settings.failpoints)
    topics = load_topics(settings.topics_file)
    async with AsyncExitStack() as stack:
        store = S3(settings)
        stack.callback(store.close)
        await check_topics(settings, topics)
        await check_database(settings)
        await check_buckets(settings, store)
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="mediagate-sinks-")))
        publisher = await stack.enter_async_context(
            KafkaPublisher(settings.kafka_bootstrap_servers, "mediagate-sinks")
        )
        # Decisions share a connection, but each may have to wait for its lock; one more is for readiness.
        connections = max(settings.database_pool_size, settings.sinks_concurrency + 2)
        pool = await stack.enter_async_context(await connect(str(settings.database_url), connections))
        effects = Effects(settings, topics, SharedSession(pool).records_of, store, publisher, now=_now)
        cap = DeadLetterCap(pool, settings.dead_letter_share, settings.dead_letter_window, now=_now)
        handler = Handler(topics, effects.carry_out, effects.override, publisher, cap)
        worker = SinksWorker(settings, topics, handler, scratch)
        dependencies = Dependencies(pool, store, settings.temp_bucket)
        health = HealthServer(
            settings.host, settings.sinks_port, lambda: worker.not_ready or dependencies.not_ready
        )
        stack.callback(health.stop)
        health.start()
        background = (dependencies.watch(), exit_when_hung(settings.watchdog_timeout.total_seconds()))
        await worker.run(stop, *map(asyncio.create_task, background))


def _now() -> datetime:
    return datetime.now(UTC)
