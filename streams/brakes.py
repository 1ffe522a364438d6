"""Safety brakes: approvals or rejections whose share is unusual are held until an operator resumes them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from mediagate import metrics
from mediagate.database import load_queries, meanings
from mediagate.events import Outcome
from mediagate.freshness import Freshness
from mediagate.media import MediaType
from mediagate.recent import Recent
from mediagate.settings import Band

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("brakes.sql"))
BRAKED = (Outcome.APPROVED, Outcome.REJECTED)

Bands = Mapping[MediaType, Mapping[Outcome, Band]]

log = structlog.get_logger("streams.brakes")


class Brakes:
    """What is engaged stands in PostgreSQL, for all workers; each watches the outcomes of its own windows."""

    def __init__(self, database: "Pool", bands: Bands, decisions: int, now: Callable[[], datetime]) -> None:
        self._database = database
        self._bands = bands
        self._decisions = decisions
        self._now = now
        self._recent: dict[MediaType, Recent[Outcome]] = {each: Recent(decisions) for each in MediaType}
        self._engaged: dict[MediaType, frozenset[Outcome]] = {each: frozenset() for each in MediaType}
        self._freshness = Freshness(now)

    async def held(self, media_type: MediaType, outcomes: Sequence[Outcome]) -> frozenset[Outcome]:
        """Notes the outcomes of a window: those kinds that must be held instead of emitted.

        Raises TransientError where PostgreSQL is away; then nothing is noted.
        """
        engaged = frozenset() if self._freshness.is_clear(media_type) else await self._read(media_type)
        resumed = self._engaged[media_type] - engaged
        recent: Recent[Outcome] = Recent(self._decisions) if resumed else self._recent[media_type]
        recent = recent.followed_by(outcomes)
        for outcome in BRAKED:
            share = recent.unusual(outcome, self._bands[media_type][outcome])
            if share is not None and outcome not in engaged:
                await self._engage(media_type, outcome, share)
                self._freshness.note(media_type, clear=False)
                engaged |= {outcome}
        self._recent[media_type], self._engaged[media_type] = recent, engaged
        _gauge(media_type, engaged)
        return engaged

    async def show(self) -> None:
        """Has the gauges show what is engaged: others engage and resume, too."""
        for media_type in MediaType:
            _gauge(media_type, await self._read(media_type))

    async def _read(self, media_type: MediaType) -> frozenset[Outcome]:
        with meanings():
            rows = QUERIES.engaged(self._database, media_type=media_type, outcomes=list(BRAKED))
            engaged = frozenset([Outcome(row["outcome"]) async for row in rows])
        self._freshness.note(media_type, not engaged)
        return engaged

    async def _engage(self, media_type: MediaType, outcome: Outcome, share: float) -> None:
        low, high = self._bands[media_type][outcome]
        with meanings():
            await QUERIES.engage(
                self._database,
                media_type=media_type,
                outcome=outcome,
                share=share,
                low=low,
                high=high,
                decisions=self._decisions,
                now=self._now(),
            )
        log.error(
            "brake engaged: decisions are held",
            media_type=media_type,
            outcome=outcome,
            share=round(share, 3),
            usual=f"{low} to {high}",
            decisions=self._decisions,
            resume=f"mediagate brakes resume {media_type} {outcome}",
        )


def _gauge(media_type: MediaType, engaged: frozenset[Outcome]) -> None:
    for outcome in BRAKED:
        metrics.BRAKES.labels(media_type, outcome).set(outcome in engaged)
