"""Rows of `media_jobs` as the gateway reads and writes them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from mediagate.database import load_queries, meanings
from mediagate.errors import StopError
from mediagate.grouping import Grouped
from mediagate.jobs import Acceptance, State

INSERT_DEADLINE = 15.0
QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


class Job(NamedTuple):
    """What the gateway needs of a row."""

    media_id: UUID
    user_id: str
    file_size: int
    sha256: str
    bucket: str
    key: str
    state: State
    decision: Mapping[str, Any] | None
    request_fingerprint: str | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> "Job":
        """The job in a row of all columns."""
        values = {name: row[name] for name in cls._fields}
        return cls(**{**values, "state": State(row["state"])})

    @classmethod
    def from_new(cls, job: "NewJob") -> "Job":
        """The job that a row which was made just now is."""
        return cls(
            media_id=job.media_id,
            user_id=job.user_id,
            file_size=job.file_size,
            sha256=job.sha256,
            bucket=job.bucket,
            key=job.key,
            state=State.AWAITING_UPLOAD,
            decision=None,
            request_fingerprint=job.request_fingerprint,
        )


class NewJob(NamedTuple):
    """A row to be made: the columns of `insert_jobs`, in its order."""

    media_id: UUID
    user_id: str
    file_name: str
    file_size: int
    mime_type: str
    sha256: str
    md5: str
    linked_to_type: str
    linked_to_id: str
    bucket: str
    key: str
    caller: str
    idempotency_key: str | None
    request_fingerprint: str | None
    created_at: datetime
    url_expires_at: datetime


class Jobs:
    """The table; calls raise `mediagate.database.UNAVAILABLE` where the server is away."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._inserts = Grouped(self._insert_group, asyncio.Lock())

    async def insert(self, job: NewJob) -> Job:
        """Makes the row, or returns the one that this caller made under the same idempotency key."""
        try:
            made = await self._inserts(job)
        except StopError:  # of one row of the group, or of more: each finds out alone
            (made,) = await self._insert_all([job])
        if made:
            return Job.from_new(job)
        row = await QUERIES.job_by_idempotency_key(
            self._pool, caller=job.caller, idempotency_key=job.idempotency_key
        )
        return Job.from_row(row)

    async def renew_url(self, media_id: UUID, expires_at: datetime) -> None:
        """Notes that the upload URL was signed anew."""
        await QUERIES.renew_url(self._pool, media_id=media_id, url_expires_at=expires_at)

    async def find(self, media_id: UUID) -> Job | None:
        """One job."""
        row = await QUERIES.job(self._pool, media_id=media_id)
        return None if row is None else Job.from_row(row)

    async def queue(self, media_id: UUID, acceptance: Acceptance, now: datetime) -> Mapping[str, Any] | None:
        """Moves a job that waits for its upload to `queued`: its row; None where it no longer waits."""
        row = await QUERIES.queue_job(
            self._pool,
            media_id=media_id,
            etag=acceptance.etag,
            checksum_verified=acceptance.checksum_verified,
            now=now,
        )
        return None if row is None else dict(row)

    async def mark_event_published(self, media_id: UUID, now: datetime) -> None:
        """Notes that Kafka acknowledged the job's event."""
        await QUERIES.mark_event_published(self._pool, media_id=media_id, now=now)

    async def item(self, media_id: UUID) -> Mapping[str, Any] | None:
        """The published object of a job, by its columns."""
        row = await QUERIES.item(self._pool, media_id=media_id)
        return None if row is None else dict(row)

    async def ping(self) -> None:
        """Asks the server for anything."""
        await QUERIES.ping(self._pool)

    async def _insert_group(self, jobs: Sequence[NewJob]) -> Sequence[bool]:
        with meanings():
            async with asyncio.timeout(INSERT_DEADLINE):
                return await self._insert_all(jobs)

    async def _insert_all(self, jobs: Sequence[NewJob]) -> Sequence[bool]:
        """Commits all rows or none; says of each whether it was made."""
        # All processes take the locks of idempotency keys in one order: no two wait for each other.
        ordered = sorted(jobs, key=lambda job: (job.caller, job.idempotency_key or ""))
        rows = await self._pool.fetch(QUERIES.insert_jobs.sql, *zip(*ordered, strict=True))
        made = {row["media_id"] for row in rows}
        return [job.media_id in made for job in jobs]
