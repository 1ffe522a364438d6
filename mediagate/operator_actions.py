"""What operators did: one row each, written before or with the effect, never after."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mediagate.database import load_queries

QUERIES = load_queries(Path(__file__).with_name("operator_actions.sql"))


class Action(StrEnum):
    """What an operator can do to an upload or a record."""

    REDRIVE = "dlq.redrive"
    DISCARD = "dlq.discard"
    RETRY = "jobs.retry"
    OVERRIDE = "jobs.override"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One row; `subject` is a media_id or `TOPIC:PARTITION:OFFSET`."""

    at: datetime
    operator: str
    action: Action
    subject: str
    details: Mapping[str, Any]


async def record(database: Any, action: OperatorAction) -> int:
    """Writes the row, on a pool or a connection of `mediagate.database.connect`; gives its id."""
    action_id: int = await QUERIES.insert(
        database,
        at=action.at,
        operator=action.operator,
        action=action.action,
        subject=action.subject,
        details=dict(action.details),
    )
    return action_id


async def add_details(database: Any, action_id: int, details: Mapping[str, Any]) -> None:
    """Says in a row what has come of it since: without it, the action was broken off."""
    await QUERIES.add(database, id=action_id, details=dict(details))


async def actions_on(database: Any, subject: str) -> list[OperatorAction]:
    """All rows of a subject, oldest first."""
    return [
        OperatorAction(row["at"], row["operator"], Action(row["action"]), subject, row["details"])
        async for row in QUERIES.of_subject(database, subject=subject)
    ]
