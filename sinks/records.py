"""The rows that decisions write, under the lock of their upload."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from mediagate.database import load_queries, meanings, session
from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import Decision, Event, Inspection, Outcome
from mediagate.jobs import UNDECIDED, stored_decision
from mediagate.storage import CopySource
from sinks.destinations import Destination
from sinks.jobs import HumanOverride, Job
from sinks.replacing import STATES, Replacement

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
LONGEST_SILENCE = "30s"
"""A copy that takes longer loses the lock: the next attempt finds it done."""


class Records:
    """One upload's rows, on a connection that holds the upload's lock."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def decide(self, event: Event[Decision], now: datetime) -> Job:
        """Records the decision unless there is one; the job as it stands then.

        Raises DeadLetterError where the decision is on other bytes than the job's, or a rescan's on no job.
        """
        decision = event.data
        with _storing_what_an_event_says():
            if not decision.upload.rescan:
                await self._insert(decision)
            known = await self._known(decision.media_id)
            if not decision.upload.rescan or known["state"] in UNDECIDED:
                _check_same_bytes(known, decision)
            decided = await QUERIES.decide(
                self._connection,
                media_id=decision.media_id,
                etag=decision.upload.etag,
                state=STATES[decision.outcome],
                decision=stored_decision(event),
                now=now,
            )
        return Job.from_row(decided or known)

    async def find(self, media_id: UUID) -> Job:
        """The job; raises DeadLetterError where there is none."""
        return Job.from_row(await self._known(media_id))

    async def replace(self, job: Job, replacement: Replacement, stands: CopySource, now: datetime) -> Job:
        """Sends a job on from its end, whose record goes; the object is where it stood."""
        override = replacement.override
        with _storing_what_an_event_says():
            row = await QUERIES.replace(
                self._connection,
                media_id=job.media_id,
                former=job.state,
                state=replacement.state,
                decision=replacement.decision,
                override=override and override.model_dump(mode="json"),
                ended_by=replacement.ended_by.model_dump(mode="json"),
                bucket=stands.bucket,
                key=stands.key,
                etag=stands.etag,
                now=now,
            )
        return _changed(row)

    async def note(self, job: Job, override: HumanOverride) -> None:
        """Records an override that moves nothing: from now on it outranks the pipeline."""
        with _storing_what_an_event_says():
            await QUERIES.note(
                self._connection, media_id=job.media_id, override=override.model_dump(mode="json")
            )

    async def pass_over(self, job: Job, decision_id: str) -> None:
        """Notes a rescan's decision that moves nothing."""
        await QUERIES.pass_over(self._connection, media_id=job.media_id, decision_id=decision_id)

    async def check_lock(self) -> None:
        """Raises what asyncpg does where the session has ended, and the lock with it."""
        await QUERIES.ping(self._connection)

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

    async def quarantine(self, job: Job, place: Destination, decision: Decision, now: datetime) -> Job:
        """Writes the report and the state."""
        with _storing_what_an_event_says():
            row = await QUERIES.quarantine(
                self._connection,
                media_id=job.media_id,
                reason=job.reasons[0] if job.reasons else "unspecified",
                reasons=list(job.reasons),
                scores=dict(decision.scores),
                scanner=decision.scanner,
                model_version=decision.model_version,
                policy_version=decision.policy_version,
                bucket=place.bucket,
                key=place.key,
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

    async def _known(self, media_id: UUID) -> Mapping[str, Any]:
        row: Mapping[str, Any] | None = await QUERIES.job(self._connection, media_id=media_id)
        if row is None:
            raise DeadLetterError("unknown_upload", "media_id: there is no upload with this id")
        return row

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
    It ends with the session, as the time limits do.
    """
    with meanings():
        async with session(pool) as connection:
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
