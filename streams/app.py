"""The streams process: its one wiring function."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from mediagate import failpoints
from mediagate.database import connect
from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.health import HealthServer
from mediagate.logs import configure_logs
from mediagate.media import MediaType
from mediagate.media_pool import MediaPool
from mediagate.policy import load_policy, load_policy_if_there
from mediagate.process import check_buckets, check_database, check_topics
from mediagate.publisher import KafkaPublisher
from mediagate.scanners.opening import canary_picture, open_scanner
from mediagate.scanners.routes import ScannerName
from mediagate.settings import StreamsSettings, load_settings
from mediagate.storage import S3
from mediagate.topics import load_topics
from streams.block_list import BlockList
from streams.brakes import Brakes
from streams.breakers import GuardedScanner
from streams.canary import Canary, Picture, load_picture
from streams.gauges import StoredGauges
from streams.inspection import MediaInspector
from streams.panel import Panel
from streams.recorded import RecordedDecisions
from streams.recovery import Recovery
from streams.scanning import Policies, WindowScan
from streams.verdicts import Verdicts
from streams.worker import StreamsWorker
from workers.watching import exit_when_hung

CONNECTIONS = 2 * len(MediaType) + 2
"""A window holds one while it is scanned, and asks on another; so does recovery."""


async def run(stop: asyncio.Event) -> None:
    """Wires the process and works until `stop` is set."""
    settings = load_settings(StreamsSettings)
    configure_logs("streams", settings.log_level, settings.log_format)
    failpoints.PROCESS.arm(settings.failpoints)
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
            await connect(str(settings.database_url), max(settings.database_pool_size, CONNECTIONS))
        )
        pool = stack.enter_context(MediaPool(settings))
        scanners = await stack.enter_async_context(guarded_scanners(settings, pool))
        pictures = _canary_pictures(settings, scanners)
        verdicts = Verdicts(database, now=_now)
        canary = Canary(
            pictures, store, settings.temp_bucket, policy, settings.canary_interval, verdicts.forget
        )
        brakes = Brakes(database, settings.bands(), settings.brake_decisions, now=_now)
        routes = {media_type: settings.routes(media_type) for media_type in MediaType}
        scan = WindowScan(
            store,
            MediaInspector(pool, settings),
            BlockList(database, settings.block_list_max_matches, now=_now),
            Panel(routes, scanners, verdicts, policy),
            Policies(policy, load_policy_if_there(settings.shadow_policy_file)),
            brakes,
            DeadLetterCap(database, settings.dead_letter_share, settings.dead_letter_window, now=_now),
            RecordedDecisions(database),
            topics,
            now=_now,
        )
        worker = StreamsWorker(settings, topics, publisher, scan.decide, scratch, scan.is_paused, scan.expect)
        health = HealthServer(
            settings.host, settings.streams_port, lambda: worker.not_ready or scan.not_ready
        )
        stack.callback(health.stop)
        health.start()
        recovery = Recovery(settings, topics, database, store, publisher, now=_now)
        background = (
            recovery.run(),
            canary.run(),
            StoredGauges(database, brakes.show, now=_now).run(),
            exit_when_hung(settings.watchdog_timeout.total_seconds()),
        )
        await worker.run(stop, *map(asyncio.create_task, background))


@asynccontextmanager
async def guarded_scanners(
    settings: StreamsSettings, pool: MediaPool
) -> AsyncIterator[Mapping[ScannerName, GuardedScanner]]:
    """Every scanner that a route names, behind its breaker."""
    async with AsyncExitStack() as stack:
        yield {
            name: GuardedScanner(
                await stack.enter_async_context(open_scanner(name, settings, pool)),
                settings.breaker_failures,
                settings.breaker_pause,
            )
            for name in settings.scanners()
        }


def _canary_pictures(
    settings: StreamsSettings, scanners: Mapping[ScannerName, GuardedScanner]
) -> Mapping[GuardedScanner, Picture]:
    paths = {scanner: canary_picture(name, settings) for name, scanner in scanners.items()}
    return {scanner: load_picture(path) for scanner, path in paths.items() if path is not None}


def _now() -> datetime:
    return datetime.now(UTC)
