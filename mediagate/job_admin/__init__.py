"""Jobs as operators handle them: where each stands, what it waits for, what can be done; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mediagate.events import Decision
from mediagate.jobs import UNFINISHED, State, decision_of

WAITING = UNFINISHED | {State.NEEDS_REVIEW}
"""What is not at its end, or at one that a human is to change."""

_WAITS_FOR: Mapping[State, str] = {
    State.AWAITING_UPLOAD: "nothing was uploaded so far",
    State.QUEUED: "no decision so far",
    State.APPROVED: "decided, and not carried out yet",
    State.REJECTED: "decided, and not carried out yet",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job's object stands; a copy's ETag is not kept."""

    bucket: str
    key: str
    etag: str | None

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of media_jobs, with the places of its item and its report."""

    row: Mapping[str, Any]

    @property
    def media_id(self) -> UUID:
        """The upload's id."""
        return UUID(str(self.row["media_id"]))

    @property
    def state(self) -> State:
        """Where it is."""
        return State(self.row["state"])

    @property
    def since(self) -> datetime:
        """When it came into its state."""
        since: datetime = self.row["since"]
        return since

    @property
    def stored_decision(self) -> Mapping[str, Any]:
        """The decision and what is noted beside it; empty where there is none."""
        return self.row["decision"] or {}

    @property
    def decision(self) -> Decision | None:
        """The last decision of the pipeline."""
        return decision_of(self.stored_decision) if self.stored_decision else None

    @property
    def inspected(self) -> bool:
        """Whether anybody has understood the bytes."""
        return bool(self.stored_decision.get("inspection"))

    @property
    def override(self) -> Mapping[str, Any] | None:
        """The last override that was carried out."""
        override: Mapping[str, Any] | None = self.row["override"]
        return override

    @property
    def ended_by(self) -> str | None:
        """The id of the override or the rescan's decision that brought it where it is."""
        return self.row["ended_by"] and str(self.row["ended_by"]["id"])

    @property
    def place(self) -> Place:
        """Where the object stands, or stood before it began to move."""
        at = {State.PUBLISHED: "item", State.QUARANTINED: "report"}.get(self.state)
        if at is not None:
            return Place(self.row[f"{at}_bucket"], self.row[f"{at}_key"], None)
        if self.row["source_bucket"] is not None:
            return Place(self.row["source_bucket"], self.row["source_key"], self.row["source_etag"])
        return Place(self.row["bucket"], self.row["key"], self.row["etag"])

    @property
    def public_name(self) -> Place | None:
        """The name that is reserved for it in public."""
        if self.row["destination_bucket"] is None:
            return None
        return Place(self.row["destination_bucket"], self.row["destination_key"], None)

    @property
    def why(self) -> str:
        """Why it is where it is, in a line."""
        if self.state is State.QUEUED and self.row["event_published_at"] is None:
            return "its event was not published so far"
        if self.state in _WAITS_FOR:
            return _WAITS_FOR[self.state]
        if self.ended_by is not None and (reason := self.row["ended_by"].get("reason")):
            return f"override: {reason}"
        return "; ".join(self.stored_decision.get("reasons") or ())
