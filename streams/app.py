"""The streams process: its one wiring function."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from mediagate.database import connect
from mediagate.health import HealthServer
from mediagate.logs import configure_logs
from mediagate.media_pool import MediaPool
from mediagate.policy import load_policy
from mediagate.process import check_buckets, check_database, check_topics
from mediagate.publisher import KafkaPublisher
from mediagate.scanners.local import LocalScanner
from mediagate.settings import StreamsSettings, load_settings
from mediagate.storage import S3
from mediagate.topics import load_topics
from streams.inspection import MediaInspector
from streams.recovery import Recovery
from streams.scanning import WindowScan
from streams.worker import StreamsWorker


async def run(stop: asyncio.Event) -> None:
    """Wires the process and works until `stop` is set."""
    settings = load_settings(StreamsSettings)
    configure_logs("streams", settings.log_level, settings.log_format)
    topics, policy = load_topics(settings.topics_file), load_policy(settings.policy_file)
    async with AsyncExitStack() as stack:
        store = S3(settings)
        stack.callback(store.close)
        await check_topics(settings, topics)
        await check_database(settings)
        await check_buckets(settings, store)
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="mediagate-streams-")))
        publisher = await stack.enter_async_context(
            KafkaPublisher(settings.kafka_bootstrap_servers, "mediagate-streams")
        )
        database = await stack.enter_async_context(
            await connect(str(settings.database_url), settings.database_pool_size)
        )
        pool = stack.enter_context(MediaPool(settings))
        scan = WindowScan(
            store, MediaInspector(pool, settings), LocalScanner(pool, settings), policy, topics, now=_now
        )
        worker = StreamsWorker(settings, topics, publisher, scan.decide, scratch)
        health = HealthServer(settings.host, settings.streams_port, lambda: worker.not_ready)
        stack.callback(health.stop)
        health.start()
        recovery = Recovery(settings, topics, database, store, publisher, now=_now)
        sweeping = asyncio.create_task(recovery.run())
        stack.callback(sweeping.cancel)
        await worker.run(stop)


def _now() -> datetime:
    return datetime.now(UTC)
