"""Rows of `media_jobs` as the gateway reads and writes them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from mediagate.database import load_queries
from mediagate.jobs import Acceptance, State

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Job:
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
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "state": State(row["state"])})


@dataclass(frozen=True, slots=True)
class NewJob:
    """A row to be made, by its columns."""

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
    request_fingerprint: str
    created_at: datetime
    url_expires_at: datetime


class Jobs:
    """The table; calls raise `mediagate.database.UNAVAILABLE` where the server is away."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def insert(self, job: NewJob) -> Job:
        """Makes the row, or returns the one that this caller made under the same idempotency key."""
        values = {field.name: getattr(job, field.name) for field in fields(job)}
        row = await QUERIES.insert_job(self._pool, **values)
        if row is None:
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
