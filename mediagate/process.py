"""How a process starts, checks what it needs, and ends."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable

from mediagate.errors import ConfigurationError, MediagateError
from mediagate.revision import is_current
from mediagate.settings import DatabaseSettings, Settings
from mediagate.storage import ObjectStore
from mediagate.topics import TopicAdmin, Topics

EXIT_FAILURE = 1
GARBAGE_THRESHOLDS = (20_000, 20, 50)
"""Objects and collections between two of them; Python's 700 objects cost a fifth of the streams' time."""


def run_process(
    name: str,
    main: Callable[[asyncio.Event], Awaitable[None]],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Runs `main`, whose event is set by SIGTERM and SIGINT; a failure is one line and exit code 1."""
    gc.freeze()  # what was loaded stays
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(with_signals(main))
    except MediagateError as error:
        sys.stderr.write(f"mediagate {name}: {error}\n")
        return EXIT_FAILURE
    return 0


async def with_signals(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` with an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await main(stop)


async def check_topics(settings: Settings, topics: Topics) -> None:
    """Raises where Kafka does not answer or lacks a declared topic."""
    async with TopicAdmin(settings.kafka_bootstrap_servers) as admin:
        missing = await admin.missing(topics)
    if missing:
        raise ConfigurationError(f"Kafka has no topic {', '.join(missing)}: run `mediagate topics apply`")


async def check_database(settings: DatabaseSettings) -> None:
    """Raises where PostgreSQL does not answer or is not at the newest revision."""
    if not await is_current(str(settings.database_url)):
        raise ConfigurationError("the database is not at the newest revision: run `mediagate migrate`")


async def check_buckets(settings: Settings, store: ObjectStore) -> None:
    """Raises where S3 does not answer or lacks a bucket."""
    missing = await store.missing_buckets(settings.all_buckets())
    if missing:
        raise ConfigurationError(f"S3 has no bucket {', '.join(missing)}")
