"""The rows that `mediagate jobs` reads and writes, on a pool."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from mediagate.database import load_queries, meanings
from mediagate.job_admin import Job
from mediagate.job_admin.filters import Filters
from mediagate.jobs import State
from mediagate.operator_actions import Action, OperatorAction, actions_on, add_details, record

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Listing:
    """Those that have been in their state for the longest time, and how many are meant."""

    jobs: Sequence[Job]
    by_state: Counter[State]


class JobRecords:
    """Jobs, and what operators did to them; calls raise TransientError where the server is away."""

    def __init__(self, database: Any, operator: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._operator = operator
        self._now = now

    async def listing(self, filters: Filters, limit: int) -> Listing:
        """Jobs that are meant, the oldest first."""
        with meanings():
            rows = QUERIES.jobs(
                self._database,
                states=sorted(filters.states),
                media_type=filters.media_type,
                user_id=filters.user_id,
                since=filters.since,
                until=filters.until,
                before=filters.before,
                batch=limit,
            )
            found = [row async for row in rows]
        by_state = found[0]["by_state"] if found else {}
        return Listing(list(map(Job, found)), Counter({State(name): n for name, n in by_state.items()}))

    async def job(self, media_id: UUID) -> Job | None:
        """The job, if there is one."""
        with meanings():
            row = await QUERIES.job(self._database, media_id=media_id)
        return None if row is None else Job(row)

    async def actions_on(self, job: Job) -> list[OperatorAction]:
        """What operators did to it, oldest first."""
        with meanings():
            return await actions_on(self._database, str(job.media_id))

    async def start_attempt(self, job: Job, attempt: int) -> bool:
        """Counts an event of the upload that is about to be sent; False where the job has moved meanwhile."""
        with meanings():
            started = await QUERIES.start_attempt(
                self._database, media_id=job.media_id, attempts=attempt, now=self._now()
            )
        return started is not None

    async def mark_published(self, job: Job) -> None:
        """Says that the upload's event is on Kafka: recovery does not owe it."""
        with meanings():
            await QUERIES.mark_published(self._database, media_id=job.media_id, now=self._now())

    async def begin(self, action: Action, job: Job, details: Mapping[str, Any]) -> int:
        """Says that an event is about to be sent; gives the row."""
        row = OperatorAction(self._now(), self._operator, action, str(job.media_id), details)
        with meanings():
            return await record(self._database, row)

    async def sent(self, action_id: int, target: str) -> None:
        """Says where the event stands now."""
        with meanings():
            await add_details(self._database, action_id, {"to": target})
