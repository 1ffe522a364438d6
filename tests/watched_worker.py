"""A worker with a scripted decision or effect, and something of it wedged, as its process would be wired.

Arguments: `streams` or `sinks`; settings as JSON; what is wedged: `work` (it never ends), `pause` (likewise,
and it says that it waits for a scanner), `fetcher`, `thread` (the consumer's), `loop` (the event loop),
the `first` piece of work alone, `nothing`, or nothing though work is `slow`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from mediagate.events import OutgoingRecord
from mediagate.logs import configure_logs
from mediagate.media import MediaType
from mediagate.process import run_process
from mediagate.publisher import KafkaPublisher
from mediagate.settings import SinksSettings, StreamsSettings
from mediagate.topics import load_topics
from sinks.worker import SinksWorker
from streams.arrivals import Arrival
from streams.worker import StreamsWorker
from workers import watching
from workers.consumer import ConsumerThread

FOR_EVER = 3600.0
SLOW = 3.0
WEDGED = sys.argv[3]


worked = False


async def work() -> None:
    sys.stderr.write("working\n")
    if WEDGED == "loop":
        time.sleep(FOR_EVER)  # noqa: ASYNC251  that is the point
    global worked
    is_first, worked = not worked, True
    if WEDGED in {"work", "pause"} or (WEDGED == "first" and is_first):
        await asyncio.sleep(FOR_EVER)
    if WEDGED == "slow":
        await asyncio.sleep(SLOW)


async def stuck_fetch(self: ConsumerThread, *args: Any, **options: Any) -> Any:
    sys.stderr.write("working\n")
    if WEDGED == "thread":
        time.sleep(FOR_EVER)  # noqa: ASYNC251  that is the point
    await asyncio.sleep(FOR_EVER)


async def streams(stop: asyncio.Event) -> None:
    settings = StreamsSettings.model_validate(json.loads(sys.argv[2]))
    topics = load_topics(settings.topics_file)

    async def decide(arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        await work()
        return [OutgoingRecord(topics.approved.name, each.record.key, b"{}", []) for each in arrivals]

    def is_paused(media_type: MediaType) -> bool:
        return WEDGED == "pause"

    with TemporaryDirectory() as scratch:
        async with KafkaPublisher(settings.kafka_bootstrap_servers, "test") as publisher:
            worker = StreamsWorker(settings, topics, publisher, decide, Path(scratch), is_paused)
            await worker.run(stop, switch(settings))


async def sinks(stop: asyncio.Event) -> None:
    settings = SinksSettings.model_validate(json.loads(sys.argv[2]))

    async def handle(message: Any) -> None:
        await work()

    with TemporaryDirectory() as scratch:
        worker = SinksWorker(settings, load_topics(settings.topics_file), cast(Any, handle), Path(scratch))
        await worker.run(stop, switch(settings))


def switch(settings: StreamsSettings | SinksSettings) -> asyncio.Task[None]:
    return asyncio.create_task(watching.exit_when_hung(settings.watchdog_timeout.total_seconds()))


if __name__ == "__main__":
    configure_logs(sys.argv[1], "INFO", "json")
    if WEDGED in {"thread", "loop"}:
        watching.END_DEADLINE = 5.0
    if WEDGED in {"fetcher", "thread"}:
        ConsumerThread._fetch_records = stuck_fetch  # type: ignore[method-assign]
    sys.exit(run_process(sys.argv[1], {"streams": streams, "sinks": sinks}[sys.argv[1]]))
