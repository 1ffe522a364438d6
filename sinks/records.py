"""The rows that decisions write, under the lock of their upload."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from mediagate.database import ACQUIRE_DEADLINE, load_queries, meanings
from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import Decision, Event, Inspection, Outcome
from mediagate.jobs import State
from mediagate.storage import CopySource
from sinks.destinations import Destination

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
LONGEST_SILENCE = "30s"
"""A copy that takes longer loses the lock: the next attempt finds it done."""

STATES: Mapping[Outcome, State] = {
    Outcome.APPROVED: State.APPROVED,
    Outcome.REJECTED: State.REJECTED,
    Outcome.NEEDS_REVIEW: State.NEEDS_REVIEW,
    Outcome.UNSCANNABLE: State.UNSCANNABLE,
}


@dataclass(frozen=True, slots=True)
class Job:
    """What the sinks need of a row; the decision is None only where nothing was ever decided."""

    media_id: UUID
    user_id: str
    linked_to_type: str
    linked_to_id: str
    file_name: str
    file_size: int
    mime_type: str
    sha256: str
    bucket: str
    key: str
    etag: str
    state: State
    decision: Decision | None
    decision_event_id: str | None
    traceparent: str | None
    destination: Destination | None
    finished_at: datetime | None

    @property
    def source(self) -> CopySource:
        """The bytes that were decided on."""
        return CopySource(self.bucket, self.key, self.etag, self.file_size)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Job":
        """The job in a row of all columns."""
        decision = row["decision"] or {}
        return cls(
            media_id=row["media_id"],
            user_id=row["user_id"],
            linked_to_type=row["linked_to_type"],
            linked_to_id=row["linked_to_id"],
            file_name=row["file_name"],
            file_size=row["file_size"],
            mime_type=row["mime_type"],
            sha256=row["sha256"],
            bucket=row["bucket"],
            key=row["key"],
            etag=row["etag"],
            state=State(row["state"]),
            decision=Decision.model_validate(decision) if decision else None,
            decision_event_id=decision.get("event_id"),
            traceparent=decision.get("traceparent"),
            destination=_destination(row),
            finished_at=row["finished_at"],
        )


class Records:
    """One upload's rows, on a connection that holds the upload's lock."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def decide(self, event: Event[Decision], now: datetime) -> Job:
        """Records the decision unless there is one; the job as it stands then.

        Raises DeadLetterError where the decision is on other bytes than the job's.
        """
        decision = event.data
        with _storing_what_an_event_says():
            await self._insert(decision)
            known = await QUERIES.job(self._connection, media_id=decision.media_id)
            _check_same_bytes(known, decision)
            decided = await QUERIES.decide(
                self._connection,
                media_id=decision.media_id,
                etag=decision.upload.etag,
                state=STATES[decision.outcome],
                decision=decision.model_dump(mode="json")
                | {"event_id": event.id, "traceparent": event.traceparent},
                now=now,
            )
        return Job.from_row(decided or known)

    async def reserve(self, job: Job, destination: Destination) -> Job | None:
        """Takes the place for the job; None where it is another's."""
        try:
            row = await QUERIES.reserve(
                self._connection, media_id=job.media_id, bucket=destination.bucket, key=destination.key
            )
        except asyncpg.UniqueViolationError:
            return None
        return _changed(row)

    async def publish(self, job: Job, inspection: Inspection, now: datetime) -> Job:
        """Writes the item and the state."""
        with _storing_what_an_event_says():
            row = await QUERIES.publish(
                self._connection,
                media_id=job.media_id,
                mime_type=inspection.mime_type,
                width=inspection.width,
                height=inspection.height,
                duration=inspection.duration,
                now=now,
            )
        return _changed(row)

    async def quarantine(self, job: Job, decision: Decision, now: datetime) -> Job:
        """Writes the report and the state."""
        with _storing_what_an_event_says():
            row = await QUERIES.quarantine(
                self._connection,
                media_id=job.media_id,
                reason=decision.reasons[0] if decision.reasons else "unspecified",
                reasons=list(decision.reasons),
                scores=dict(decision.scores),
                scanner=decision.scanner,
                model_version=decision.model_version,
                policy_version=decision.policy_version,
                now=now,
            )
        return _changed(row)

    async def give_up(self, job: Job, decision: Decision, reason: str, now: datetime) -> Job:
        """Ends the job as unscannable; what was decided before stays readable behind the reason."""
        ended = decision.model_dump(mode="json") | {
            "outcome": Outcome.UNSCANNABLE,
            "reasons": [reason, *decision.reasons],
        }
        row = await QUERIES.give_up(self._connection, media_id=job.media_id, decision=ended, now=now)
        return _changed(row)

    async def _insert(self, decision: Decision) -> None:
        upload = decision.upload
        await QUERIES.insert_job(
            self._connection,
            media_id=decision.media_id,
            user_id=upload.user_id,
            file_name=upload.file_name,
            file_size=upload.size,
            mime_type=upload.mime_type,
            sha256=upload.sha256,
            md5=upload.md5,
            linked_to_type=upload.linked_to_type,
            linked_to_id=upload.linked_to_id,
            bucket=upload.bucket,
            key=upload.key,
            etag=upload.etag,
            occurred_at=upload.occurred_at,
        )


@asynccontextmanager
async def records_of(pool: "Pool", media_id: UUID) -> AsyncIterator[Records]:
    """The records of an upload, whose lock is held meanwhile.

    The lock is PostgreSQL's, for another worker may own the partition of the upload's other decision.
    asyncpg gives it up, with the time limits, when the connection goes back to the pool.
    """
    with meanings():
        async with pool.acquire(timeout=ACQUIRE_DEADLINE) as connection:
            await QUERIES.lock_job(connection, name=str(media_id), longest=LONGEST_SILENCE)
            yield Records(connection)


async def ping(pool: "Pool") -> None:
    """Raises TransientError where the database does not answer."""
    with meanings():
        await QUERIES.ping(pool)


@contextmanager
def _storing_what_an_event_says() -> Iterator[None]:
    try:
        yield
    except asyncpg.DataError as error:
        raise DeadLetterError("invalid_data", f"PostgreSQL cannot store it: {error}") from error


def _check_same_bytes(known: Mapping[str, Any], decision: Decision) -> None:
    upload = decision.upload
    for column, value in (("bucket", upload.bucket), ("key", upload.key), ("etag", upload.etag)):
        if known[column] not in {None, value}:
            raise DeadLetterError("upload_differs", f"upload.{column}: is not that of the job with this id")


def _changed(row: Mapping[str, Any] | None) -> Job:
    if row is None:
        raise TransientError("PostgreSQL: the job was changed by somebody else")
    return Job.from_row(row)


def _destination(row: Mapping[str, Any]) -> Destination | None:
    if row["destination_bucket"] is None:
        return None
    return Destination(row["destination_bucket"], row["destination_key"])
