"""What a decision does, in an order in which every crash and every repetition ends in the same place.

decide (first one wins) ▸ reserve a name ▸ copy ▸ record and state, at once ▸ delete the source ▸ tell

An override or a rescan replaces the decision of a job at its end: the record of that end goes, and the same
steps lead from where the object stands to another end.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from uuid import UUID

from mediagate import failpoints
from mediagate.errors import DeadLetterError, ObjectChangedError
from mediagate.events import Decision, Event, Inspection, Override, OverrideVerdict
from mediagate.failpoints import Step
from mediagate.jobs import State
from mediagate.overrides import overridden
from mediagate.publisher import Publisher
from mediagate.settings import Settings
from mediagate.storage import CopySource, ObjectStore
from mediagate.topics import Topics
from sinks import outgoing
from sinks.destinations import Destination, published_at, quarantined_at
from sinks.jobs import EndedBy, HumanOverride, Job
from sinks.objects import place, stands_at
from sinks.records import Records
from sinks.replacing import (
    Replacement,
    by_rescan,
    check_place,
    is_outdated,
    is_settled,
    rejection,
    rescanned,
)

RecordsOf = Callable[[UUID], AbstractAsyncContextManager[Records]]

OBJECT_CHANGED = "object_changed"


class Effects:
    """Carries decisions out."""

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        records_of: RecordsOf,
        store: ObjectStore,
        publisher: Publisher,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._records_of = records_of
        self._store = store
        self._publisher = publisher
        self._now = now

    async def carry_out(self, event: Event[Decision]) -> State:
        """Brings the upload to the end of the first decision on it, or of a rescan's: its state then."""
        async with self._records_of(event.data.media_id) as records:
            job = await records.decide(event, self._now())
            failpoints.PROCESS.reach(Step.AFTER_DECIDE)
            job = await self._end(records, job)
            if not event.data.upload.rescan or is_settled(job, event):
                return job.state
            if (state := rescanned(job.state, event.data.outcome)) is None:
                await records.pass_over(job, event.id)
                return job.state
            stands = await self._stands(job)
            check_place(event.data.upload, stands)
            return await self._replace(records, job, by_rescan(job, event, state), stands)

    async def override(self, event: Event[Override]) -> State:
        """Brings the upload to the end that a human wants, or wanted later: its state."""
        asked = event.data
        async with self._records_of(asked.media_id) as records:
            job = await records.find(asked.media_id)
            if job.upload is not None and asked.verdict is OverrideVerdict.REJECT:
                job = await records.decide(rejection(job.upload, event), self._now())
                failpoints.PROCESS.reach(Step.AFTER_DECIDE)
            job = await self._end(records, job)
            if is_outdated(job, event):
                return job.state
            inspected = job.decision is not None and job.decision.inspection is not None
            state = overridden(job.state, asked.verdict, inspected=inspected)
            override = HumanOverride.of_event(event, self._now())
            if state is None:
                await records.note(job, override)
                return job.state
            ended_by = EndedBy(id=event.id, reason=asked.reason)
            replacement = Replacement(state, ended_by, override=override)
            return await self._replace(records, job, replacement, await self._stands(job))

    async def _replace(
        self, records: Records, job: Job, replacement: Replacement, stands: CopySource
    ) -> State:
        job = await records.replace(job, replacement, stands, self._now())
        failpoints.PROCESS.reach(Step.AFTER_DECIDE)
        return (await self._end(records, job)).state

    async def _stands(self, job: Job) -> CopySource:
        if job.place is None:
            return job.source
        return await stands_at(self._store, job.place, job.media_id, job.file_size)

    async def _end(self, records: Records, job: Job) -> Job:
        if (decision := job.decision) is None:
            return job
        job = await self._finish(records, job, decision)
        failpoints.PROCESS.reach(Step.AFTER_TRANSACTION)
        await self._clean_up_and_tell(records, job, decision)
        return job

    async def _finish(self, records: Records, job: Job, decision: Decision) -> Job:
        if job.state not in {State.APPROVED, State.REJECTED}:
            return job
        try:
            placed = await self._place(records, job, decision)
            failpoints.PROCESS.reach(Step.AFTER_COPY)
        except ObjectChangedError:
            return await records.give_up(job, decision, OBJECT_CHANGED, self._now())
        if job.state is State.APPROVED:
            return await records.publish(job, _inspected(decision), self._now())
        return await records.quarantine(job, placed, decision, self._now())

    async def _place(self, records: Records, job: Job, decision: Decision) -> Destination:
        mime_type = decision.inspection.mime_type if decision.inspection else job.mime_type
        for destination in self._destinations(job):
            # A place in quarantine is nobody else's, and a name that was public once is kept meanwhile.
            free = job.state is State.REJECTED or await records.reserve(job, destination)
            if free and await place(self._store, job.source, destination, job.media_id, mime_type):
                return destination
        raise DeadLetterError("no_free_name", f"every name for {job.file_name!r} is taken")

    def _destinations(self, job: Job) -> Sequence[Destination]:
        if job.state is State.REJECTED:
            return quarantined_at(self._settings, job.media_id)
        wanted = published_at(self._settings, job.linked_to_type, job.file_name, job.media_id)
        return wanted if job.public is None else list(dict.fromkeys([job.public, *wanted]))

    async def _clean_up_and_tell(self, records: Records, job: Job, decision: Decision) -> None:
        if job.place is None:
            return
        if job.state is State.PUBLISHED:
            news = outgoing.published(job, _inspected(decision), job.place, self._topics)
        else:
            news = outgoing.quarantined(job, decision, job.place, self._topics)
        if job.ended_by is not None:
            # The object may stand there again by now: who hung meanwhile must not delete it.
            await records.check_lock()
        await self._store.delete(job.source.bucket, job.source.key)
        failpoints.PROCESS.reach(Step.AFTER_DELETE)
        await self._publisher.publish([news])
        failpoints.PROCESS.reach(Step.AFTER_PUBLISH)


def _inspected(decision: Decision) -> Inspection:
    if decision.inspection is None:
        raise DeadLetterError("invalid_data", "inspection: must be there in an approval")
    return decision.inspection
