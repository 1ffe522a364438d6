"""What the tests of the way to a decision arrange: uploads, scanners, and PostgreSQL for what is known."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import asyncpg
from aiokafka.structs import ConsumerRecord

from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.errors import TransientError
from mediagate.events import (
    Decision,
    Event,
    EventType,
    Inspection,
    Outcome,
    OutgoingRecord,
    UploadCompleted,
    decode,
    encode,
)
from mediagate.media import MediaType
from mediagate.policy import Policy
from mediagate.scanners import ScanItem, Scanner, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.routes import Route, ScannerName
from mediagate.settings import StreamsSettings
from mediagate.testing.storage import InMemoryObjectStore
from mediagate.topics import Topics
from streams.arrivals import Arrival, receiver
from streams.block_list import BlockList
from streams.brakes import Bands, Brakes
from streams.breakers import GuardedScanner
from streams.panel import Panel
from streams.recorded import RecordedDecisions
from streams.scanning import Policies, WindowScan
from streams.verdicts import Verdicts
from tests.uploads import NOW, upload

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

BUCKET = "media-temp"
SEEN = Inspection(mime_type="image/png", width=3, height=2)
USUAL = StreamsSettings.model_construct().bands()
MANY = 1000
LEFT_ALONE_FOR = timedelta(milliseconds=1)


class Inspector:
    """Sees a picture in everything but what is listed."""

    def __init__(self) -> None:
        self.unscannable: dict[str, str] = {}
        self.pdq: dict[str, tuple[str, ...]] = {}
        self.failures = 0
        self.asked_for_pdq = False
        self.inspected: list[str] = []
        self.seen = SEEN

    async def inspect(
        self, items: Sequence[ScanItem], *, with_pdq: bool = False
    ) -> Sequence[Inspected | Unscannable]:
        self.asked_for_pdq = with_pdq
        self.inspected += [item.job_id for item in items]
        if self.failures:
            self.failures -= 1
            raise TransientError("S3 is away")
        return [
            Unscannable(self.unscannable[item.job_id])
            if item.job_id in self.unscannable
            else Inspected(self.seen, self.pdq.get(item.job_id, ()))
            for item in items
        ]


@dataclass
class Scene:
    """A window scan with everything around it, under the test's control."""

    pool: "Pool"
    topics: Topics
    policy: Policy
    shadow: Policy | None = None
    store: InMemoryObjectStore = field(default_factory=lambda: InMemoryObjectStore([BUCKET]))
    inspector: Inspector = field(default_factory=Inspector)

    def upload(
        self, content: bytes | None = None, *, verified: bool = True, **changed: str
    ) -> Event[UploadCompleted]:
        """An upload whose object stands in the store; its content is unlike any other's unless given."""
        body = uuid4().bytes if content is None else content
        event = upload(BUCKET)
        etag = self.store.put(BUCKET, event.data.key, body, "image/png", verified=verified)
        said = {"etag": etag, "size": len(body), "sha256": hashlib.sha256(body).hexdigest(), **changed}
        data = UploadCompleted.model_validate(event.data.model_dump() | said)
        return Event(
            event.id, event.type, event.source, event.time, event.subject, data, traceparent=event.traceparent
        )

    def scan(
        self,
        *scanners: Scanner,
        routes: Sequence[Route] | None = None,
        failures: int = 3,
        pause: timedelta = LEFT_ALONE_FOR,
        bands: Bands = USUAL,
        decisions: int = MANY,
        share: float = 0.5,
        letters: int = MANY,
    ) -> WindowScan:
        """A window scan with these scanners; without routes the first one takes everything."""
        guarded = guard(*scanners, failures=failures, pause=pause)
        ways = routes or [Route(scanner=next(iter(guarded)))]
        return WindowScan(
            self.store,
            self.inspector,
            BlockList(self.pool, 100, now=lambda: NOW),
            Panel(dict.fromkeys(MediaType, ways), guarded, self.verdicts(), self.policy),
            Policies(self.policy, self.shadow),
            Brakes(self.pool, bands, decisions, now=lambda: NOW),
            DeadLetterCap(self.pool, share, letters, now=lambda: NOW),
            RecordedDecisions(self.pool),
            self.topics,
            now=lambda: NOW,
        )

    def verdicts(self, patience: float = 10.0) -> Verdicts:
        return Verdicts(self.pool, now=lambda: NOW, patience=patience)

    def arrival(self, event: Event[UploadCompleted], bucket: str = BUCKET) -> Arrival:
        record = encode(event, self.topics.upload_completed_image.name)
        return self.received(record.key, record.value, record.headers, bucket=bucket)

    def received(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        offset: int = 7,
        bucket: str = BUCKET,
    ) -> Arrival:
        name = self.topics.upload_completed_image.name
        record = ConsumerRecord(name, 2, offset, 0, 0, key, value, 0, 0, 0, tuple(headers))
        return receiver(MediaType.IMAGE, frozenset({bucket}))(cast(ConsumerRecord, record), 1)

    async def outcomes(self, scan: WindowScan, *events: Event[UploadCompleted]) -> list[Outcome]:
        """What is decided on the uploads as one window."""
        return [each.outcome for each in await self.decisions(scan, *events)]

    async def decisions(self, scan: WindowScan, *events: Event[UploadCompleted]) -> list[Decision]:
        return [decision(record) for record in await scan.decide([self.arrival(event) for event in events])]

    async def brake_rows(self) -> list[Mapping[str, object]]:
        return [dict(row) for row in await self.pool.fetch("select * from brakes order by id")]


def guard(
    *scanners: Scanner, failures: int = 3, pause: timedelta = LEFT_ALONE_FOR
) -> dict[ScannerName, GuardedScanner]:
    return {ScannerName(each.name): GuardedScanner(each, failures, pause) for each in scanners}


def decision(record: OutgoingRecord) -> Decision:
    kinds = (EventType.APPROVED, EventType.REJECTED, EventType.HELD)
    return decode(record.key, record.value, record.headers, Decision, *kinds).data
