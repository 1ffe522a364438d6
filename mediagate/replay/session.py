"""What a replay works on, opened and closed together."""

from asyncio import Event
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from mediagate.database import connect
from mediagate.errors import StopError, TransientError
from mediagate.media import MediaType
from mediagate.process import check_database
from mediagate.publisher import KafkaPublisher
from mediagate.replay import Tally
from mediagate.replay.choice import Chooser
from mediagate.replay.copies import Sources
from mediagate.replay.jobs import Jobs
from mediagate.replay.log import Log, find, open_log
from mediagate.replay.options import Wanted
from mediagate.replay.run import AHEAD, Advance, Batch, Record, Replay, Runner, batches, count, load
from mediagate.settings import StreamsSettings
from mediagate.storage import S3

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CONNECTIONS = AHEAD + 2


@dataclass(frozen=True, slots=True)
class Session:
    """One command's; `stop` ends counting and publishing at the next batch."""

    settings: StreamsSettings
    media_types: Mapping[str, MediaType]
    database: "Pool"
    store: S3
    log: Log
    stop: Event

    async def find(self, replay_id: UUID, wanted: Wanted | None) -> tuple[Replay, list[str]]:
        """A new replay of what is wanted, with warnings; else the one with this id, to be gone on with."""
        warnings: list[str] = []
        if wanted is None:
            replay = await load(self.database, replay_id)
        else:
            selection, warnings = await find(self.settings.kafka_bootstrap_servers, wanted)
            replay = Replay(replay_id, selection)
        self.log.assign(span.partition for span in replay.whole.spans)
        return replay, warnings

    async def count(self, replay: Replay, advance: Advance) -> Tally:
        """What carrying out what is left of it would do; raises StopError where it was stopped."""
        scanners = self.settings.scanners()
        async with aclosing(self._batches(replay)) as found:
            tally = await count(found, Jobs(self.database), scanners, advance, self.stop)
        if self.stop.is_set():
            raise StopError("stopped while selecting: nothing is published")
        return tally

    async def carry_out(
        self, replay: Replay, rate: int | None, operator: str, events: int, advance: Advance
    ) -> int:
        """Publishes it: how many events in all; raises what says how to go on where that is not all of it."""
        how = f"mediagate replay --resume {replay.id}{f' --rate {rate}/s' if rate else ''} --execute"
        async with KafkaPublisher(self.settings.kafka_bootstrap_servers, "mediagate-replay") as publisher:
            record = await Record.begin(self.database, replay, operator, events, _now())
            runner = Runner(replay.id, record, publisher, rate, self.stop, _now)
            try:
                async with aclosing(self._batches(replay)) as found:
                    finished = await runner.run(found, advance)
            except TransientError as error:
                raise TransientError(f"{error}. Published: {record.published:,}; to go on: {how}") from error
        if not finished:
            wanted = replay.published + events
            raise StopError(f"stopped. Published: {record.published:,} of {wanted:,}; to go on: {how}")
        return record.published

    def _batches(self, replay: Replay) -> AsyncGenerator[Batch, None]:
        sources = Sources(self.media_types, self.settings.source_buckets | {self.settings.temp_bucket})
        chooser = Chooser(replay.selection, sources, Jobs(self.database), self.store)
        return batches(self.log, chooser, replay.selection)


@asynccontextmanager
async def open_session(
    settings: StreamsSettings, media_types: Mapping[str, MediaType], stop: Event
) -> AsyncIterator[Session]:
    """Everything, once it answers."""
    async with AsyncExitStack() as stack:
        await check_database(settings)
        database = await stack.enter_async_context(await connect(str(settings.database_url), CONNECTIONS))
        store = S3(settings)
        stack.callback(store.close)
        log = await stack.enter_async_context(open_log(settings.kafka_bootstrap_servers))
        yield Session(settings, media_types, database, store, log, stop)


def _now() -> datetime:
    return datetime.now(UTC)
