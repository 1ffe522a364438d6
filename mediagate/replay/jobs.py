"""What PostgreSQL knows of the uploads of a replay."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from mediagate.database import load_queries, meanings
from mediagate.events import UploadCompleted
from mediagate.jobs import TERMINAL, State

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Job:
    """What a replay needs of a row."""

    state: State
    checksum_verified: bool
    uploaded: tuple[str, str, str | None]
    """Bucket, key and ETag of what was uploaded."""
    decided: bool

    @property
    def ended(self) -> bool:
        """Whether nothing but a human or a rescan changes it."""
        return self.state in TERMINAL

    def is_of(self, upload: UploadCompleted) -> bool:
        """Whether an event is about the bytes that the row is."""
        return self.uploaded == (upload.bucket, upload.key, upload.etag)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the object of an upload at its end must be; its ETag where that is known."""

    bucket: str
    key: str
    etag: str | None
    overridden: bool


class Jobs:
    """The tables, on a pool; calls raise TransientError where the server is away."""

    def __init__(self, database: "Pool") -> None:
        self._database = database

    async def of(self, media_ids: Collection[str]) -> Mapping[str, Job]:
        """The rows there are."""
        with meanings():
            rows = QUERIES.jobs(self._database, media_ids=list(media_ids))
            return {
                row["media_id"]: Job(
                    State(row["state"]),
                    row["checksum_verified"],
                    (row["bucket"], row["key"], row["etag"]),
                    row["decided"],
                )
                async for row in rows
            }

    async def whereabouts(self, media_ids: Collection[str]) -> Mapping[str, Whereabouts]:
        """Of uploads at their end."""
        if not media_ids:
            return {}
        with meanings():
            rows = QUERIES.places(self._database, media_ids=list(media_ids))
            return {
                row["media_id"]: Whereabouts(row["bucket"], row["key"], row["etag"], row["overridden"])
                async for row in rows
            }

    async def newest_versions(self, scanners: Collection[str]) -> Mapping[str, str]:
        """The model version of each scanner that has judged anything."""
        with meanings():
            rows = QUERIES.newest_versions(self._database, scanners=sorted(scanners))
            return {row["scanner"]: row["model_version"] async for row in rows if row["model_version"]}

    async def judged(self, hashes: Collection[str], versions: Mapping[str, str]) -> frozenset[str]:
        """Those of the hashes that one of the scanners has judged, in that version."""
        if not hashes or not versions:
            return frozenset()
        with meanings():
            rows = QUERIES.judged(
                self._database, hashes=list(hashes), scanners=list(versions), versions=list(versions.values())
            )
            return frozenset([row["sha256"] async for row in rows])
