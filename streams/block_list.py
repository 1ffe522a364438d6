"""Known bytes and pictures: what is on the block list is decided before any scanner is asked."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import structlog

from mediagate import metrics
from mediagate.block_list import Kind
from mediagate.database import ACQUIRE_DEADLINE, load_queries, meanings

if TYPE_CHECKING:
    from streams.pdq_index import PdqIndex

    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("block_list.sql"))
HOUR = timedelta(hours=1)
PAGE = 100_000
NEAREST = 100
"""Entries that an item can match by PDQ: lists hold many hashes of nearly the same picture."""
SHOWN_DIGITS = 12
PRECEDENCE = {Kind.SHA256: 0, Kind.MD5: 1, Kind.PDQ: 2}

log = structlog.get_logger("streams.block_list")


@dataclass(frozen=True, slots=True)
class Candidate:
    """The hashes of one item; PDQ in all its orientations."""

    media_id: UUID
    sha256: frozenset[str]
    md5: frozenset[str]
    pdq: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The entry that decides an item; `distance` in bits."""

    kind: Kind
    hash: str
    note: str
    distance: int = 0

    @property
    def reason(self) -> str:
        """As decisions record it."""
        distance = f" distance {self.distance}" if self.kind is Kind.PDQ else ""
        note = f" ({self.note})" if self.note else ""
        return f"block_list: {self.kind} {self.hash[:SHOWN_DIGITS]}{distance}{note}"


@dataclass(frozen=True, slots=True)
class _Hit:
    entry_id: int
    media_id: UUID
    distance: int = 0


class BlockList:
    """The list, on a pool; calls raise TransientError where the server is away."""

    def __init__(self, database: "Pool", max_matches: int, now: Callable[[], datetime]) -> None:
        """An entry that matches more than `max_matches` items within an hour is suspended."""
        self._database = database
        self._max_matches = max_matches
        self._now = now
        self._version: int | None = None
        self._pdq: PdqIndex | None = None
        self._refreshing = asyncio.Lock()

    async def has_pdq(self) -> bool:
        """Whether PDQ hashes are of any use now."""
        return await self._current_pdq() is not None

    async def matches(self, candidates: Sequence[Candidate]) -> Mapping[UUID, Match]:
        """The most exact match of each item that has one; each match is counted."""
        hits = [*await self._exact(candidates), *await self._near(candidates)]
        if not hits:
            return {}
        matches = await self._record(hits)
        for match in matches.values():
            metrics.BLOCK_LIST_MATCHES.labels(match.kind).inc()
        return matches

    async def _exact(self, candidates: Sequence[Candidate]) -> list[_Hit]:
        holders: defaultdict[tuple[Kind, str], list[UUID]] = defaultdict(list)
        for candidate in candidates:
            for kind, hashes in ((Kind.SHA256, candidate.sha256), (Kind.MD5, candidate.md5)):
                for digits in hashes:
                    holders[kind, digits].append(candidate.media_id)
        if not holders:
            return []
        wanted = {
            "kinds": [kind.value for kind, _ in holders],
            "hashes": [digits for _, digits in holders],
        }
        with meanings():
            async with self._database.acquire(timeout=ACQUIRE_DEADLINE) as connection:
                rows = [row async for row in QUERIES.exact(connection, **wanted)]
        return [
            _Hit(row["id"], media_id) for row in rows for media_id in holders[Kind(row["kind"]), row["hash"]]
        ]

    async def _near(self, candidates: Sequence[Candidate]) -> list[_Hit]:
        if not any(candidate.pdq for candidate in candidates):
            return []
        index = await self._current_pdq()
        return [] if index is None else await asyncio.to_thread(_near, index, candidates)

    async def _current_pdq(self) -> "PdqIndex | None":
        async with self._refreshing:
            with meanings():
                async with self._database.acquire(timeout=ACQUIRE_DEADLINE) as connection:
                    # Read before the hashes: what changes meanwhile gives another version, and another load.
                    version = await QUERIES.version(connection)
                    if version != self._version:
                        self._pdq = await _load(connection)
                        self._version = version
            return self._pdq

    async def _record(self, hits: Sequence[_Hit]) -> dict[UUID, Match]:
        """Counts the hits; those of entries that are obeyed."""
        with meanings():
            async with (
                self._database.acquire(timeout=ACQUIRE_DEADLINE) as connection,
                connection.transaction(),
            ):
                entry_ids = sorted({hit.entry_id for hit in hits})
                # Locked, so that workers count one after the other.
                entries = {row["id"]: row async for row in QUERIES.lock(connection, entry_ids=entry_ids)}
                hits = [hit for hit in hits if hit.entry_id in entries]
                excess = await self._count(connection, hits)
        for entry_id in {entry_id for entry_id, _ in excess}:
            _report(entries[entry_id], self._max_matches)
        return _most_exact(entries, [hit for hit in hits if (hit.entry_id, hit.media_id) not in excess])

    async def _count(self, connection: Any, hits: Sequence[_Hit]) -> set[tuple[int, UUID]]:
        """Matches of the last hour that no sound entry has; their entries are suspended."""
        now = self._now()
        entry_ids = [hit.entry_id for hit in hits]
        media_ids = [hit.media_id for hit in hits]
        await QUERIES.record(connection, entry_ids=entry_ids, media_ids=media_ids, now=now)
        rows = QUERIES.excess(connection, entry_ids=entry_ids, since=now - HOUR, allowed=self._max_matches)
        excess = {(row["entry_id"], row["media_id"]) async for row in rows}
        if excess:
            await QUERIES.suspend(connection, entry_ids=list({entry_id for entry_id, _ in excess}), now=now)
        return excess


async def _load(connection: Any) -> "PdqIndex | None":
    ids, hashes, last = [], [], 0
    while (page := await QUERIES.pdq_page(connection, after=last, count=PAGE))["last"] is not None:
        ids.append(page["ids"])
        hashes.append(page["hashes"])
        last = page["last"]
    if not ids:
        return None
    from streams.pdq_index import PdqIndex  # NumPy's 11 MiB are for lists that have such hashes

    return PdqIndex(b"".join(ids), b"".join(hashes))


def _near(index: "PdqIndex", candidates: Iterable[Candidate]) -> list[_Hit]:
    return [
        _Hit(entry_id, candidate.media_id, distance)
        for candidate in candidates
        for entry_id, distance in index.near(candidate.pdq, NEAREST).items()
    ]


def _most_exact(entries: Mapping[int, Any], hits: Iterable[_Hit]) -> dict[UUID, Match]:
    def order(hit: _Hit) -> tuple[int, int, int]:
        return PRECEDENCE[Kind(entries[hit.entry_id]["kind"])], hit.distance, hit.entry_id

    best: dict[UUID, Match] = {}
    for hit in sorted(hits, key=order):
        entry = entries[hit.entry_id]
        match = Match(Kind(entry["kind"]), entry["hash"], entry["note"], hit.distance)
        best.setdefault(hit.media_id, match)
    return best


def _report(entry: Mapping[str, Any], allowed: int) -> None:
    metrics.BLOCK_LIST_SUSPENDED.inc()
    log.error(
        "an entry of the block list is suspended",
        kind=entry["kind"],
        hash=entry["hash"],
        note=entry["note"],
        reason=f"more than {allowed} matches in an hour",
    )
