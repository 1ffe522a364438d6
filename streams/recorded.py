"""Uploads that are decided already: an event of theirs that is read again gets the same answer, at no cost.

Without it they would be looked for where they no longer are and told to be unscannable, held ones would be
scanned again where no verdict is kept, and brakes and block list would count both.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from mediagate.database import ACQUIRE_DEADLINE, load_queries, meanings
from mediagate.events import DECISION_TYPES, Decision, Event, UploadCompleted, event_id
from mediagate.jobs import decision_of

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("recorded.sql"))


@dataclass(frozen=True, slots=True)
class Recorded:
    """The decision on an upload, and what it was decided on."""

    decision: Decision
    uploaded: tuple[str, str, str | None]
    """Bucket, key and ETag."""
    event_ids: frozenset[str]
    """Of this decision, and of others that had their say."""

    def stands(self, event: Event[UploadCompleted]) -> bool:
        """Whether an event changes nothing of it: of the same upload, or an order that was carried out."""
        upload = event.data
        if not upload.rescan:
            return self.uploaded == (upload.bucket, upload.key, upload.etag)
        answers = {event_id(kind, upload.media_id, event.id) for kind in DECISION_TYPES.values()}
        return not self.event_ids.isdisjoint(answers)

    def as_answer(self, event: Event[UploadCompleted]) -> Decision:
        """The decision, as it answers an event; an order that was carried out is none any more."""
        rescan = event.data.rescan and not self.stands(event)
        return self.decision.model_copy(update={"upload": event.data.model_copy(update={"rescan": rescan})})


class RecordedDecisions:
    """The table, on a pool; calls raise TransientError where the server is away."""

    def __init__(self, database: "Pool") -> None:
        self._database = database

    async def of(self, media_ids: Collection[UUID]) -> Mapping[UUID, Recorded]:
        """Those there are."""
        with meanings():
            async with self._database.acquire(timeout=ACQUIRE_DEADLINE) as connection:
                rows = [row async for row in QUERIES.decided(connection, media_ids=list(media_ids))]
        return {row["media_id"]: _recorded(row) for row in rows}


def _recorded(row: Mapping[str, Any]) -> Recorded:
    stored = row["decision"]
    decision = decision_of(stored)
    return Recorded(
        decision.model_copy(update={"scores": dict(sorted(decision.scores.items()))}),
        (row["bucket"], row["key"], row["etag"]),
        frozenset({stored.get("event_id"), *stored.get("replaced", ())} - {None}),
    )
