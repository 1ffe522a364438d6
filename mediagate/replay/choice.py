"""Which of the events that were read are replayed, and as what."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from aiokafka.structs import ConsumerRecord

from mediagate.errors import DeadLetterError
from mediagate.events import Event, UploadCompleted
from mediagate.replay import UNKNOWN, LeftOut, Selection
from mediagate.replay.copies import Place, Sources, original
from mediagate.replay.jobs import Job, Jobs, Whereabouts
from mediagate.storage import ObjectHead, ObjectStore


@dataclass(frozen=True, slots=True)
class Chosen:
    """An event that is replayed, and the record that it stands in; with a place it is to be scanned again."""

    record: ConsumerRecord
    event: Event[UploadCompleted]
    job: Job | None
    place: Place | None = None
    verified: bool = False
    """Whether S3 has verified the SHA-256 of its bytes."""

    @property
    def state(self) -> str:
        """Of its upload."""
        return UNKNOWN if self.job is None else self.job.state.value

    @property
    def settled(self) -> bool:
        """Whether it is answered with the decision that there is."""
        return self.place is None and bool(self.job and self.job.decided and self.job.is_of(self.event.data))


@dataclass(slots=True)
class Choice:
    """What was made of a batch of records."""

    chosen: list[Chosen] = field(default_factory=list)
    left_out: list[tuple[ConsumerRecord, str]] = field(default_factory=list)


class Chooser:
    """Applies a selection to batches of records; asks PostgreSQL, and S3 where objects are to be scanned."""

    def __init__(self, selection: Selection, sources: Sources, jobs: Jobs, store: ObjectStore) -> None:
        self._selection = selection
        self._sources = sources
        self._jobs = jobs
        self._store = store

    async def choose(self, records: Sequence[ConsumerRecord]) -> Choice:
        """What is replayed of the records, in their order."""
        choice = Choice()
        events = self._originals(records, choice)
        jobs = await self._jobs.of({event.subject for _, event in events})
        for record, event in events:
            job = jobs.get(event.subject)
            chosen = Chosen(record, event, job, verified=job is not None and job.checksum_verified)
            if self._selection.wants_state(chosen.state):
                choice.chosen.append(chosen)
        if self._selection.rescan:
            await self._find_objects(choice)
        return choice

    def _originals(
        self, records: Sequence[ConsumerRecord], choice: Choice
    ) -> list[tuple[ConsumerRecord, Event[UploadCompleted]]]:
        wants = self._selection.wants
        found = []
        for record in records:
            if record.key is not None and not wants(record.key.decode(errors="replace")):
                continue
            try:
                event = original(record, self._sources)
            except DeadLetterError as fault:
                choice.left_out.append((record, fault.reason))
                continue
            if wants(event.subject):
                found.append((record, event))
        return found

    async def _find_objects(self, choice: Choice) -> None:
        """Turns events of uploads at their end into orders to scan again, where their objects stand now."""
        ended = {each.event.subject for each in choice.chosen if each.job and each.job.ended}
        places = await self._jobs.whereabouts(ended)
        found = await asyncio.gather(*(self._store.head(each.bucket, each.key) for each in places.values()))
        heads = dict(zip(places, found, strict=True))
        kept = []
        for each in choice.chosen:
            media_id = each.event.subject
            if media_id not in places:
                kept.append(each)
                continue
            rescan = _rescan(each, places[media_id], heads[media_id])
            if isinstance(rescan, Chosen):
                kept.append(rescan)
            else:
                choice.left_out.append((each.record, rescan))
        choice.chosen = kept


def _rescan(chosen: Chosen, where: Whereabouts, head: ObjectHead | None) -> Chosen | LeftOut:
    upload = chosen.event.data
    if where.overridden:
        return LeftOut.OVERRIDDEN
    if head is None:
        return LeftOut.OBJECT_GONE
    same = (
        chosen.job is not None
        and chosen.job.is_of(upload)
        and head.etag == (where.etag or head.etag)
        and head.size == upload.size
        and head.sha256 in {None, upload.sha256}
    )
    if not same:
        return LeftOut.OBJECT_DIFFERS
    place = Place(head.bucket, head.key, head.etag)
    return replace(chosen, place=place, verified=head.sha256 is not None)
