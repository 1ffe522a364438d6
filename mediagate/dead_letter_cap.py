"""The brake on dead letters: a stream whose share of them is unusual stops until an operator resumes it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from mediagate import metrics
from mediagate.database import load_queries, meanings
from mediagate.errors import DeadLetterError
from mediagate.freshness import Freshness
from mediagate.recent import Recent

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("dead_letter_cap.sql"))
OUTCOME = "dead_letter"

log = structlog.get_logger("mediagate.dead_letter_cap")


class DeadLetterCap:
    """What is engaged stands in PostgreSQL, for all workers; each counts the records that it gets.

    A stream is a media type of the streams, or a topic of the sinks.
    """

    def __init__(self, database: "Pool", share: float, records: int, now: Callable[[], datetime]) -> None:
        self._database = database
        self._share = share
        self._records = records
        self._now = now
        self._recent: dict[str, Recent[bool]] = defaultdict(lambda: Recent(records))
        self._refused: set[str] = set()
        self._freshness = Freshness(now)

    def passed(self, stream: str) -> None:
        """Notes a record that was none."""
        self._recent[stream] = self._recent[stream].followed_by([False])

    async def refusal(self, stream: str, faults: Sequence[DeadLetterError | None]) -> str | None:
        """Why none of these records may be answered now, else None; None in `faults` is no dead letter.

        Those that were refused pass once an operator has resumed the stream: the count begins behind them.
        Raises TransientError where PostgreSQL is away; then nothing is noted.
        """
        if why := await self._engaged(stream):
            self._refused.add(stream)
            return why
        if stream in self._refused:
            self._refused.discard(stream)
            self._recent[stream] = Recent(self._records)
            return None
        recent = self._recent[stream].followed_by([fault is not None for fault in faults])
        share = recent.unusual(True, (0.0, self._share))
        if share is None or not any(faults):
            self._recent[stream] = recent
            return None
        await self._engage(stream, share, [fault.reason for fault in faults if fault is not None])
        self._freshness.note(stream, clear=False)
        self._refused.add(stream)
        return await self._engaged(stream)

    async def _engaged(self, stream: str) -> str | None:
        if self._freshness.is_clear(stream):
            return None
        with meanings():
            row = await QUERIES.engaged(self._database, stream=stream)
        self._freshness.note(stream, row is None)
        metrics.BRAKES.labels(stream, OUTCOME).set(row is not None)
        if row is None:
            return None
        return (
            f"{row['share']:.0%} of the last {row['decisions']} records were dead letters:"
            f" see `mediagate dlq list`, then `{_way_on(stream)}`"
        )

    async def _engage(self, stream: str, share: float, reasons: Sequence[str]) -> None:
        with meanings():
            await QUERIES.engage(
                self._database,
                stream=stream,
                share=share,
                high=self._share,
                records=self._records,
                now=self._now(),
            )
        log.error(
            "brake engaged: a stream stops instead of dead-lettering everything",
            stream=stream,
            share=round(share, 3),
            cap=self._share,
            records=self._records,
            reasons=dict(Counter(reasons)),
            resume=_way_on(stream),
        )


def _way_on(stream: str) -> str:
    return f"mediagate brakes resume {stream} {OUTCOME}"
