"""What a decision does, in an order in which every crash and every repetition ends in the same place.

decide (first one wins) ▸ reserve a place ▸ copy ▸ record and state, at once ▸ delete the upload ▸ tell
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from uuid import UUID

from mediagate import failpoints
from mediagate.errors import DeadLetterError, ObjectChangedError
from mediagate.events import Decision, Event, Inspection
from mediagate.failpoints import Step
from mediagate.jobs import State
from mediagate.publisher import Publisher
from mediagate.settings import Settings
from mediagate.storage import ObjectStore
from mediagate.topics import Topics
from sinks import outgoing
from sinks.destinations import Destination, published_at, quarantined_at
from sinks.objects import place
from sinks.records import Job, Records

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
        """Brings the upload to the end of the first decision on it: the state that it is in then."""
        async with self._records_of(event.data.media_id) as records:
            job = await records.decide(event, self._now())
            failpoints.PROCESS.reach(Step.AFTER_DECIDE)
            if (decision := job.decision) is None:
                return job.state
            job = await self._finish(records, job, decision)
            failpoints.PROCESS.reach(Step.AFTER_TRANSACTION)
            await self._clean_up_and_tell(job, decision)
            return job.state

    async def _finish(self, records: Records, job: Job, decision: Decision) -> Job:
        if job.state not in {State.APPROVED, State.REJECTED}:
            return job
        try:
            placed = await self._place(records, job, decision)
            failpoints.PROCESS.reach(Step.AFTER_COPY)
        except ObjectChangedError:
            return await records.give_up(job, decision, OBJECT_CHANGED, self._now())
        if job.state is State.APPROVED:
            return await records.publish(placed, _inspected(decision), self._now())
        return await records.quarantine(placed, decision, self._now())

    async def _place(self, records: Records, job: Job, decision: Decision) -> Job:
        mime_type = decision.inspection.mime_type if decision.inspection else job.mime_type
        for destination in self._destinations(job):
            reserved = await records.reserve(job, destination)
            if reserved and await place(self._store, job.source, destination, job.media_id, mime_type):
                return reserved
        raise DeadLetterError("no_free_name", f"every name for {job.file_name!r} is taken")

    def _destinations(self, job: Job) -> Sequence[Destination]:
        if job.state is State.REJECTED:
            wanted = quarantined_at(self._settings, job.media_id)
        else:
            wanted = published_at(self._settings, job.linked_to_type, job.file_name, job.media_id)
        if job.destination is None:
            return wanted
        return list(dict.fromkeys([job.destination, *wanted]))

    async def _clean_up_and_tell(self, job: Job, decision: Decision) -> None:
        if job.destination is None:
            return
        if job.state is State.PUBLISHED:
            news = outgoing.published(job, _inspected(decision), job.destination, self._topics)
        elif job.state is State.QUARANTINED:
            news = outgoing.quarantined(job, decision, job.destination, self._topics)
        else:
            return
        await self._store.delete(job.bucket, job.key)
        failpoints.PROCESS.reach(Step.AFTER_DELETE)
        await self._publisher.publish([news])
        failpoints.PROCESS.reach(Step.AFTER_PUBLISH)


def _inspected(decision: Decision) -> Inspection:
    if decision.inspection is None:
        raise DeadLetterError("invalid_data", "inspection: must be there in an approval")
    return decision.inspection
