"""Finds the rows that are owed something and helps them along, on one worker at a time."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from mediagate import metrics
from mediagate.database import UNAVAILABLE, load_queries, session
from mediagate.errors import MediagateError
from mediagate.events import DECISION_TYPES, Decision, Event, Outcome, encode, event_id
from mediagate.jobs import UploadDiffersError, accept, upload_completed
from mediagate.lag import caught_up
from mediagate.media import MediaType
from mediagate.publisher import Publisher
from mediagate.settings import StreamsSettings
from mediagate.storage import ObjectStore
from mediagate.topics import Topics

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

SOURCE = "/mediagate/recovery"
PUBLISH_GRACE = timedelta(seconds=15)
"""Longer than the gateway takes to publish a completion itself."""
BATCH = 1000
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
        now = self._now()
        for row in await self._rows(
            self._queries.unpublished(self._database, before=now - PUBLISH_GRACE, batch=BATCH)
        ):
            await self._publish(row, attempt=1)
            metrics.RECOVERED.labels("published").inc()

    async def _retry_undecided(self, media_type: MediaType) -> None:
        if not await caught_up(self._settings, self._topics, media_type):
            return  # what is still on the broker is not owed: the worker will come to it
        before = self._now() - self._settings.recovery_cooldown
        query = self._queries.undecided(
            self._database, before=before, media_type=media_type.value, batch=BATCH
        )
        for row in await self._rows(query):
            attempt = row["attempts"] + 1
            if attempt > self._settings.recovery_max_attempts:
                await self._give_up(row)
            else:
                await self._queries.start_attempt(
                    self._database, media_id=row["media_id"], attempts=attempt, now=self._now()
                )
                await self._publish(row, attempt)
                metrics.RECOVERED.labels("retried").inc()

    async def _look_for_uploads(self) -> None:
        before = self._now() - self._settings.recovery_cooldown
        for row in await self._rows(self._queries.silent(self._database, before=before, batch=BATCH)):
            if await self._complete(row):
                continue
            if self._is_expired(row):
                await self._queries.expire(self._database, media_id=row["media_id"], now=self._now())
                metrics.RECOVERED.labels("expired").inc()
            else:
                await self._queries.looked_at(self._database, media_id=row["media_id"], now=self._now())

    async def _clear_late_uploads(self) -> None:
        before = self._now() - CLOCK_SKEW
        while rows := await self._rows(self._queries.ended_urls(self._database, before=before, batch=BATCH)):
            await asyncio.gather(*(self._store.delete(row["bucket"], row["key"]) for row in rows))
            await self._queries.cleared(self._database, media_ids=[row["media_id"] for row in rows])

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
            await self._publish(queued, attempt=1)
            metrics.RECOVERED.labels("completed").inc()
        return True

    async def _publish(self, row: Any, attempt: int) -> None:
        event = upload_completed(row, attempt, SOURCE, self._now())
        await self._publisher.publish(
            [encode(event, self._topics.upload_completed(event.data.media_type).name)]
        )
        await self._queries.mark_published(self._database, media_id=row["media_id"], now=self._now())

    async def _give_up(self, row: Any) -> None:
        upload = upload_completed(row, row["attempts"], SOURCE, self._now())
        decision = Decision(
            media_id=upload.data.media_id,
            upload=upload.data,
            outcome=Outcome.UNSCANNABLE,
            reasons=("attempts_exhausted",),
        )
        kind = DECISION_TYPES[decision.outcome]
        event = Event(
            id=event_id(kind, decision.media_id, upload.id),
            type=kind,
            source=SOURCE,
            time=self._now(),
            subject=upload.subject,
            data=decision,
            causation_id=upload.id,
        )
        await self._publisher.publish([encode(event, self._topics.held.name)])
        await self._queries.looked_at(self._database, media_id=row["media_id"], now=self._now())
        metrics.RECOVERED.labels("given_up").inc()

    def _is_expired(self, row: Any) -> bool:
        age: timedelta = self._now() - row["created_at"]
        return age > self._settings.upload_expires_after

    async def _rows(self, query: Any) -> list[Any]:
        return [row async for row in query]
