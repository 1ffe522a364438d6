"""A media job's states: all explicit, none silent."""

from enum import StrEnum


class State(StrEnum):
    """Where an upload is between its request and its end."""

    AWAITING_UPLOAD = "awaiting_upload"
    QUEUED = "queued"
    APPROVED = "approved"
    REJECTED = "rejected"
    PUBLISHED = "published"
    QUARANTINED = "quarantined"
    NEEDS_REVIEW = "needs_review"
    UNSCANNABLE = "unscannable"
    EXPIRED = "expired"


UNDECIDED = frozenset({State.AWAITING_UPLOAD, State.QUEUED})
UNFINISHED = UNDECIDED | {State.APPROVED, State.REJECTED}
TERMINAL = frozenset(State) - UNFINISHED
