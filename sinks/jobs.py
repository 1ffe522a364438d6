"""A media job as the sinks know it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from mediagate.events import Decision, Event, Override, OverrideVerdict, UploadCompleted
from mediagate.jobs import State, upload_of
from mediagate.storage import CopySource
from sinks.destinations import Destination


class HumanOverride(BaseModel):
    """The last override that was carried out, as the row has it."""

    model_config = ConfigDict(frozen=True)

    id: str
    verdict: OverrideVerdict
    reason: str
    operator: str
    requested_at: AwareDatetime
    at: AwareDatetime

    @classmethod
    def of_event(cls, event: Event[Override], now: datetime) -> "HumanOverride":
        """The override in an event that is carried out now."""
        asked = event.data
        return cls(
            id=event.id,
            verdict=asked.verdict,
            reason=asked.reason,
            operator=asked.operator,
            requested_at=asked.requested_at,
            at=now,
        )


class EndedBy(BaseModel):
    """The event that replaced a job's first decision; `reason` is an override's."""

    model_config = ConfigDict(frozen=True)

    id: str
    reason: str | None = None


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
    source: CopySource
    """The bytes that were decided on, where they stood when the job left its last end."""
    state: State
    upload: UploadCompleted | None
    """What a decision is still awaited on; None where none is."""
    decision: Decision | None
    decision_event_id: str | None
    replaced: tuple[str, ...]
    """Ids of the decisions that gave way to a rescan's, and of rescans' that moved nothing."""
    traceparent: str | None
    override: HumanOverride | None
    ended_by: EndedBy | None
    public: Destination | None
    """The public name, reserved for ever once the object had it."""
    report: Destination | None
    """Where the object stands in quarantine."""
    finished_at: datetime | None

    @property
    def place(self) -> Destination | None:
        """Where an object that has left its upload's place stands; None where it has not."""
        return {State.PUBLISHED: self.public, State.QUARANTINED: self.report}.get(self.state)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the job is where it is: a human's reason first."""
        decided = self.decision.reasons if self.decision else ()
        if self.ended_by is None or self.ended_by.reason is None:
            return decided
        return (f"override: {self.ended_by.reason}", *decided)

    def at_end(self, state: State, row: Mapping[str, Any]) -> "Job":
        """The job at its end, of which the row has place and time."""
        public, report = _place(row, "destination"), _place(row, "report")
        return replace(self, state=state, public=public, report=report, finished_at=row["finished_at"])

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Job":
        """The job in a row of all columns, with the place of its report where it has one."""
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
            source=_source(row),
            state=State(row["state"]),
            upload=upload_of(row) if row["state"] == State.QUEUED else None,
            decision=Decision.model_validate(decision) if decision else None,
            decision_event_id=decision.get("event_id"),
            replaced=tuple(decision.get("replaced", ())),
            traceparent=decision.get("traceparent"),
            override=HumanOverride.model_validate(row["override"]) if row["override"] else None,
            ended_by=EndedBy.model_validate(row["ended_by"]) if row["ended_by"] else None,
            public=_place(row, "destination"),
            report=_place(row, "report"),
            finished_at=row["finished_at"],
        )


def _source(row: Mapping[str, Any]) -> CopySource:
    if row["source_bucket"] is None:
        return CopySource(row["bucket"], row["key"], row["etag"], row["file_size"])
    return CopySource(row["source_bucket"], row["source_key"], row["source_etag"], row["file_size"])


def _place(row: Mapping[str, Any], name: str) -> Destination | None:
    bucket = row.get(f"{name}_bucket")
    return None if bucket is None else Destination(bucket, row[f"{name}_key"])
