"""Finds the rows that are owed something and helps them along, on one worker at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import structlog

from mediagate import metrics
from mediagate.database import UNAVAILABLE, load_queries, session
from mediagate.errors import MediagateError
from mediagate.events import DECISION_TYPES, Decision, Event, Outcome, encode, event_id
from mediagate.jobs import UploadDiffersError, accept, upload_completed
from mediagate.lag import caught_up, read_up
from mediagate.media import MediaType
from mediagate.publisher import Publisher
from mediagate.settings import StreamsSettings
from mediagate.storage import ObjectStore
from mediagate.topics import Topics
from streams.pace import Pace

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

SOURCE = "/mediagate/recovery"
PUBLISH_GRACE = timedelta(seconds=15)
"""Longer than the gateway takes to publish a completion itself."""
BATCH = 500
BEGINNING, NO_ID = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
"""Before every row."""
CLOCK_SKEW = timedelta(minutes=15)
"""By which S3's clock may differ from ours: it refuses requests that differ by more."""

log = structlog.get_logger("streams.recovery")


class Recovery:
    """Sweeps media_jobs at start-up and at an interval."""

    def __init__(
        self,
        settings: StreamsSettings,
        topics: Topics,
        database: "Pool",
        store: ObjectStore,
        publisher: Publisher,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._database = database
        self._store = store
        self._publisher = publisher
        self._now = now
        self._queries = load_queries(Path(__file__).with_name("recovery.sql"))

    async def run(self) -> None:
        """Sweeps for ever; a dependency that is away is met again at the next sweep."""
        interval = self._settings.recovery_interval.total_seconds()
        while True:
            try:
                await self.sweep()
            except (MediagateError, *UNAVAILABLE) as error:
                log.warning("sweep broken off", error=str(error) or type(error).__name__)
            await asyncio.sleep(interval)

    async def sweep(self) -> bool:
        """One sweep; False where another worker is at it."""
        async with session(self._database) as connection:
            if not await self._queries.try_lock(connection):
                return False
            try:
                await self._publish_owed()
                for media_type in MediaType:
                    await self._retry_undecided(media_type)
                await self._look_for_uploads()
                await self._clear_late_uploads()
            finally:
                await self._queries.unlock(connection)
        return True

    async def _publish_owed(self) -> None:
        before = self._now() - PUBLISH_GRACE
        async with self._pace(*MediaType) as pace:
            async for rows in self._pages(self._queries.unpublished, before=before):
                await self._publish_first(rows)
                metrics.RECOVERED.labels("published").inc(len(rows))
                if not await pace.sent(len(rows)):
                    return  # the next sweep goes on with it

    async def _retry_undecided(self, media_type: MediaType) -> None:
        if not await caught_up(self._settings, self._topics, media_type):
            return  # what is still on the broker is not owed: the worker will come to it
        before = self._now() - self._settings.recovery_cooldown
        last = self._settings.recovery_max_attempts
        async with self._pace(media_type) as pace:
            async for rows in self._pages(
                self._queries.undecided, before=before, media_type=media_type.value
            ):
                if spent := [row for row in rows if row["attempts"] >= last]:
                    await self._give_up(spent)
                if left := [row for row in rows if row["attempts"] < last]:
                    await self._retry(left)
                if not await pace.sent(len(rows)):
                    return

    async def _retry(self, rows: Sequence[Any]) -> None:
        started = await self._rows(
            self._queries.start_attempts(self._database, media_ids=_ids(rows), now=self._now())
        )
        await self._publish([(row, row["attempts"]) for row in started])
        metrics.RECOVERED.labels("retried").inc(len(started))

    async def _look_for_uploads(self) -> None:
        before = self._now() - self._settings.recovery_cooldown
        for row in await self._rows(self._queries.silent(self._database, before=before, batch=BATCH)):
            if await self._complete(row):
                continue
            if self._is_expired(row):
                await self._queries.expire(self._database, media_id=row["media_id"], now=self._now())
                metrics.RECOVERED.labels("expired").inc()
            else:
                await self._queries.looked_at(self._database, media_ids=[row["media_id"]], now=self._now())

    async def _clear_late_uploads(self) -> None:
        before = self._now() - CLOCK_SKEW
        while rows := await self._rows(self._queries.ended_urls(self._database, before=before, batch=BATCH)):
            await asyncio.gather(*(self._store.delete(row["bucket"], row["key"]) for row in rows))
            await self._queries.cleared(self._database, media_ids=_ids(rows))

    async def _complete(self, row: Any) -> bool:
        head = await self._store.head(row["bucket"], row["key"])
        if head is None:
            return False
        try:
            acceptance = accept(head, row["file_size"], row["sha256"])
        except UploadDiffersError as error:
            log.warning("upload differs from its request", media_id=str(row["media_id"]), error=str(error))
            return False
        queued = await self._queries.complete(
            self._database,
            media_id=row["media_id"],
            etag=acceptance.etag,
            checksum_verified=acceptance.checksum_verified,
            now=self._now(),
        )
        if queued is not None:
            await self._publish_first([queued])
            metrics.RECOVERED.labels("completed").inc()
        return True

    async def _publish_first(self, rows: Sequence[Any]) -> None:
        await self._publish([(row, 1) for row in rows])
        await self._queries.mark_published(self._database, media_ids=_ids(rows), now=self._now())

    async def _publish(self, attempts: Iterable[tuple[Any, int]]) -> None:
        events = [upload_completed(row, attempt, SOURCE, self._now()) for row, attempt in attempts]
        await self._publisher.publish(
            [encode(event, self._topics.upload_completed(event.data.media_type).name) for event in events]
        )

    async def _give_up(self, rows: Sequence[Any]) -> None:
        decisions = [self._exhausted(row) for row in rows]
        await self._publisher.publish([encode(each, self._topics.held.name) for each in decisions])
        await self._queries.looked_at(self._database, media_ids=_ids(rows), now=self._now())
        metrics.RECOVERED.labels("given_up").inc(len(rows))

    def _exhausted(self, row: Any) -> Event[Decision]:
        upload = upload_completed(row, row["attempts"], SOURCE, self._now())
        decision = Decision(
            media_id=upload.data.media_id,
            upload=upload.data,
            outcome=Outcome.UNSCANNABLE,
            reasons=("attempts_exhausted",),
        )
        kind = DECISION_TYPES[decision.outcome]
        return Event(
            id=event_id(kind, decision.media_id, upload.id),
            type=kind,
            source=SOURCE,
            time=self._now(),
            subject=upload.subject,
            data=decision,
            causation_id=upload.id,
        )

    def _is_expired(self, row: Any) -> bool:
        age: timedelta = self._now() - row["created_at"]
        return age > self._settings.upload_expires_after

    def _pace(self, *media_types: MediaType) -> Pace:
        topics = [self._topics.upload_completed(each).name for each in media_types]
        settings, interval = self._settings, self._settings.recovery_interval.total_seconds()
        return Pace(
            lambda: read_up(settings.kafka_bootstrap_servers, settings.streams_group, topics, interval),
            monotonic,
        )

    async def _pages(self, query: Callable[..., Any], **terms: Any) -> AsyncIterator[Sequence[Any]]:
        """All rows, a batch at a time, each row once: what a batch is helped with may leave it as it is."""
        place = {"made": BEGINNING, "media_id": NO_ID}
        while rows := await self._rows(query(self._database, **terms, **place, batch=BATCH)):
            yield rows
            place = {"made": rows[-1]["created_at"], "media_id": rows[-1]["media_id"]}

    async def _rows(self, query: Any) -> list[Any]:
        return [row async for row in query]


def _ids(rows: Iterable[Any]) -> list[UUID]:
    return [row["media_id"] for row in rows]
