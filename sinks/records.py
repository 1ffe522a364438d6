"""The rows that decisions write, under the lock of their upload."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import structlog

from mediagate.database import load_queries, meanings, session
from mediagate.errors import DeadLetterError, TransientError
from mediagate.events import Decision, Event, Inspection, Outcome, UploadCompleted
from mediagate.grouping import Grouped
from mediagate.jobs import UNDECIDED, State, stored_decision
from mediagate.storage import CopySource
from sinks.destinations import Destination
from sinks.jobs import HumanOverride, Job
from sinks.replacing import STATES, Replacement

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
LONGEST_SILENCE = "30s"
"""A copy that takes longer, and all that time alone, loses the lock: the next attempt finds it done."""
APART = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.TransactionRollbackError)
"""What one upload of several may be to blame for: each is tried alone."""

log = structlog.get_logger("sinks.records")


class Session:
    """A connection that holds uploads' locks; what several of them want at the same time goes together."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self.lock = Grouped(self._lock, self._turn, APART)
        self.unlock = Grouped(self._unlock, self._turn, APART)
        self.decide = Grouped(self._decide, self._turn, APART)
        self.reserve = Grouped(self._reserve, self._turn, APART)
        self.publish = Grouped(self._publish, self._turn, APART)
        self.quarantine = Grouped(self._quarantine, self._turn, APART)

    @property
    def has_ended(self) -> bool:
        """Whether its locks are gone."""
        try:
            return bool(self._connection.is_closed())
        except asyncpg.InterfaceError:  # the pool has taken it back: it was lost
            return True

    def end(self) -> None:
        """Ends it at once, and its locks with it."""
        with suppress(asyncpg.InterfaceError):
            self._connection.terminate()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Any]:
        """The connection, for a statement on one upload."""
        async with self._turn:
            yield self._connection

    async def _lock(self, names: Sequence[str]) -> Sequence[bool]:
        rows = [row async for row in QUERIES.lock_jobs(self._connection, names=names)]
        locked = {row["name"] for row in rows}
        return [name in locked for name in names]

    async def _unlock(self, names: Sequence[str]) -> Sequence[None]:
        await QUERIES.unlock_jobs(self._connection, names=names)
        return [None] * len(names)

    async def _decide(self, asked: Sequence[tuple[Event[Decision], datetime]]) -> Sequence[Job | Exception]:
        decisions = [event.data for event, _ in asked]
        known = await self._known([decision.media_id for decision in decisions])
        new = [each for each in decisions if each.media_id not in known and not each.upload.rescan]
        if new:
            await QUERIES.insert_jobs(self._connection, jobs=[_job_of(each.upload) for each in new])
            known |= await self._known([each.media_id for each in new])
        faults = [_fault(known.get(each.media_id), each) for each in decisions]
        final = [each for each, fault in zip(asked, faults, strict=True) if fault is None]
        decided = await self._by_media_id(
            QUERIES.decide,
            media_ids=[event.data.media_id for event, _ in final],
            etags=[event.data.upload.etag for event, _ in final],
            states=[STATES[event.data.outcome] for event, _ in final],
            decisions=[stored_decision(event) for event, _ in final],
            times=[now for _, now in final],
        )
        rows = known | decided
        return [
            fault or Job.from_row(rows[each.media_id]) for each, fault in zip(decisions, faults, strict=True)
        ]

    async def find(self, media_id: UUID) -> Job:
        """The job; raises DeadLetterError where there is none."""
        async with self._turn:
            row = (await self._known([media_id])).get(media_id)
        if row is None:
            raise _unknown()
        return Job.from_row(row)

    async def _reserve(self, wanted: Sequence[tuple[Job, Destination]]) -> Sequence[bool | Exception]:
        media_ids = [job.media_id for job, _ in wanted]
        try:
            reserved = await self._by_media_id(
                QUERIES.reserve,
                media_ids=media_ids,
                buckets=[place.bucket for _, place in wanted],
                keys=[place.key for _, place in wanted],
            )
        except asyncpg.UniqueViolationError:
            if len(wanted) > 1:
                raise
            return [False]
        others = [each for each in media_ids if each not in reserved]
        taken = others and await self._by_media_id(QUERIES.approved, media_ids=others)
        return [
            each in reserved if each in reserved or each in taken else _changed_meanwhile()
            for each in media_ids
        ]

    async def _publish(self, seen: Sequence[tuple[Job, Inspection, datetime]]) -> Sequence[Job | Exception]:
        rows = await self._by_media_id(
            QUERIES.publish,
            media_ids=[job.media_id for job, _, _ in seen],
            mime_types=[inspection.mime_type for _, inspection, _ in seen],
            widths=[inspection.width for _, inspection, _ in seen],
            heights=[inspection.height for _, inspection, _ in seen],
            durations=[inspection.duration for _, inspection, _ in seen],
            times=[now for _, _, now in seen],
        )
        return [_ended(job, State.PUBLISHED, rows.get(job.media_id)) for job, _, _ in seen]

    async def _quarantine(
        self, said: Sequence[tuple[Job, Destination, Decision, datetime]]
    ) -> Sequence[Job | Exception]:
        reports = [
            {
                "said_id": str(job.media_id),
                "reason": job.reasons[0] if job.reasons else "unspecified",
                "reasons": job.reasons,
                "scores": dict(decision.scores),
                "scanner": decision.scanner,
                "model_version": decision.model_version,
                "policy_version": decision.policy_version,
                "place_bucket": place.bucket,
                "place_key": place.key,
                "at": now.isoformat(),
            }
            for job, place, decision, now in said
        ]
        rows = await self._by_media_id(QUERIES.quarantine, reports=reports)
        return [_ended(job, State.QUARANTINED, rows.get(job.media_id)) for job, *_ in said]

    async def _known(self, media_ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
        return await self._by_media_id(QUERIES.jobs, media_ids=media_ids)

    async def _by_media_id(self, query: Any, **values: Any) -> dict[UUID, Mapping[str, Any]]:
        return {row["media_id"]: row async for row in query(self._connection, **values)}


class Records:
    """One upload's rows, on a session that holds the upload's lock."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def decide(self, event: Event[Decision], now: datetime) -> Job:
        """Records the decision unless there is one; the job as it stands then.

        Raises DeadLetterError where the decision is on other bytes than the job's, or a rescan's on no job.
        """
        with _storing_what_an_event_says():
            return await self._session.decide((event, now))

    async def find(self, media_id: UUID) -> Job:
        """The job; raises DeadLetterError where there is none."""
        return await self._session.find(media_id)

    async def replace(self, job: Job, replacement: Replacement, stands: CopySource, now: datetime) -> Job:
        """Sends a job on from its end, whose record goes; the object is where it stood."""
        override = replacement.override
        with _storing_what_an_event_says():
            async with self._session.alone() as connection:
                row = await QUERIES.replace(
                    connection,
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
            async with self._session.alone() as connection:
                await QUERIES.note(
                    connection, media_id=job.media_id, override=override.model_dump(mode="json")
                )

    async def pass_over(self, job: Job, decision_id: str) -> None:
        """Notes a rescan's decision that moves nothing."""
        async with self._session.alone() as connection:
            await QUERIES.pass_over(connection, media_id=job.media_id, decision_id=decision_id)

    async def check_lock(self) -> None:
        """Raises what asyncpg does where the session has ended, and the lock with it."""
        async with self._session.alone() as connection:
            await QUERIES.ping(connection)

    async def reserve(self, job: Job, destination: Destination) -> bool:
        """Takes the place for the job; False where it is another's."""
        return await self._session.reserve((job, destination))

    async def publish(self, job: Job, inspection: Inspection, now: datetime) -> Job:
        """Writes the item and the state."""
        with _storing_what_an_event_says():
            return await self._session.publish((job, inspection, now))

    async def quarantine(self, job: Job, place: Destination, decision: Decision, now: datetime) -> Job:
        """Writes the report and the state."""
        with _storing_what_an_event_says():
            return await self._session.quarantine((job, place, decision, now))

    async def give_up(self, job: Job, decision: Decision, reason: str, now: datetime) -> Job:
        """Ends the job as unscannable; what was decided before stays readable behind the reason."""
        ended = decision.model_dump(mode="json") | {
            "outcome": Outcome.UNSCANNABLE,
            "reasons": [reason, *decision.reasons],
        }
        async with self._session.alone() as connection:
            row = await QUERIES.give_up(connection, media_id=job.media_id, decision=ended, now=now)
        return _changed(row)


@asynccontextmanager
async def records_of(pool: "Pool", media_id: UUID) -> AsyncIterator[Records]:
    """The records of an upload, whose lock is held meanwhile, on a session of their own.

    The lock is PostgreSQL's, for another worker may own the partition of the upload's other decision.
    It ends with the session, as the time limits do.
    """
    with meanings():
        async with _limited_session(pool) as connection:
            await QUERIES.lock_job(connection, name=str(media_id))
            yield Records(Session(connection))


class SharedSession:
    """Records of many uploads on one session, which lasts as long as any of them has use for it.

    Where an upload's lock is held elsewhere, its records wait for it on a session of their own.
    """

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._opening = asyncio.Lock()
        self._current: _Lease | None = None
        self._held: set[UUID] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def records_of(self, media_id: UUID) -> AsyncIterator[Records]:
        """The records of an upload, whose lock is held meanwhile."""
        async with AsyncExitStack() as stack:
            # A session may take its own lock twice.
            records = None if media_id in self._held else await self._try(stack, media_id)
            if records is None:
                records = await stack.enter_async_context(records_of(self._pool, media_id))
            yield records

    async def _try(self, stack: AsyncExitStack, media_id: UUID) -> Records | None:
        self._held.add(media_id)
        stack.enter_context(meanings())
        try:
            lease = await self._enter()
        except BaseException:
            self._held.discard(media_id)
            raise
        try:
            locked = await lease.session.lock(str(media_id))
        except BaseException:
            self._leave(lease, media_id)
            raise
        if not locked:
            self._leave(lease, media_id)
            return None
        stack.callback(self._leave, lease, media_id)
        return Records(lease.session)

    async def _enter(self) -> "_Lease":
        async with self._opening:
            if self._current is None or self._current.session.has_ended:
                ending = AsyncExitStack()
                connection = await ending.enter_async_context(_limited_session(self._pool))
                self._current = _Lease(Session(connection), ending)
            self._current.users += 1
            return self._current

    def _leave(self, lease: "_Lease", media_id: UUID) -> None:
        # Nobody waits for it, and nobody's end may interrupt it.
        task = asyncio.create_task(self._unlock(lease, media_id))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _unlock(self, lease: "_Lease", media_id: UUID) -> None:
        try:
            if lease.users > 1:
                await lease.session.unlock(str(media_id))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            # Its locks go with the session.
            log.warning("session ended: it cannot unlock", error=str(error) or type(error).__name__)
            lease.session.end()
        finally:
            self._held.discard(media_id)
            lease.users -= 1
            if lease.users == 0:
                if self._current is lease:
                    self._current = None
                await lease.ending.aclose()


@dataclass
class _Lease:
    session: Session
    ending: AsyncExitStack
    users: int = 0


@asynccontextmanager
async def _limited_session(pool: "Pool") -> AsyncIterator[Any]:
    async with session(pool) as connection:
        await QUERIES.limit_silence(connection, longest=LONGEST_SILENCE)
        yield connection


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


def _job_of(upload: UploadCompleted) -> Mapping[str, Any]:
    return upload.model_dump(mode="json") | {"file_size": upload.size}


def _fault(known: Mapping[str, Any] | None, decision: Decision) -> DeadLetterError | None:
    """Why there is nothing to decide: the job is unknown, or the decision on other bytes than its own."""
    if known is None:
        return _unknown()
    upload = decision.upload
    if upload.rescan and known["state"] not in UNDECIDED:
        return None
    for column, value in (("bucket", upload.bucket), ("key", upload.key), ("etag", upload.etag)):
        if known[column] not in {None, value}:
            return DeadLetterError("upload_differs", f"upload.{column}: is not that of the job with this id")
    return None


def _unknown() -> DeadLetterError:
    return DeadLetterError("unknown_upload", "media_id: there is no upload with this id")


def _ended(job: Job, state: State, row: Mapping[str, Any] | None) -> Job | TransientError:
    return _changed_meanwhile() if row is None else job.at_end(state, row)


def _changed(row: Mapping[str, Any] | None) -> Job:
    if row is None:
        raise _changed_meanwhile()
    return Job.from_row(row)


def _changed_meanwhile() -> TransientError:
    return TransientError("PostgreSQL: the job was changed by somebody else")
