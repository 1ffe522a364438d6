"""What happens to a window: dead letters aside, inspect, scan, decide."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import stamina
import structlog

from mediagate import metrics
from mediagate.dead_letters import dead_letter
from mediagate.errors import StopError, TransientError
from mediagate.events import Event, Inspection, OutgoingRecord, UploadCompleted
from mediagate.policy import Policy
from mediagate.scanners import ScanItem, Scanner, ScanResult, Unscannable
from mediagate.storage import ObjectStore
from mediagate.topics import Topics
from streams.arrivals import Arrival
from streams.decisions import Judged, decision_of, decision_record

URL_LIFE = timedelta(hours=1)
"""Longer than any window's scan: URLs are signed when it starts and never stored."""
LONGEST_PAUSE = 30.0

Result = TypeVar("Result")

log = structlog.get_logger("streams.scanning")


class Inspector(Protocol):
    """Parses media without judging it; `inspect` raises TransientError where bytes cannot be read."""

    async def inspect(self, items: Sequence[ScanItem]) -> Sequence[Inspection | Unscannable]:
        """One result per item, in the items' order."""
        ...


class WindowScan:
    """Turns a window of arrivals into the records that answer each of them."""

    def __init__(
        self,
        store: ObjectStore,
        inspector: Inspector,
        scanner: Scanner,
        policy: Policy,
        topics: Topics,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._inspector = inspector
        self._scanner = scanner
        self._policy = policy
        self._topics = topics
        self._now = now

    async def decide(self, arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        """One record per arrival: its decision or its dead letter."""
        records = [self._dead_letter(arrival) for arrival in arrivals if arrival.fault is not None]
        events = [arrival.event for arrival in arrivals if arrival.event is not None]
        if events:
            records += [self._decision(judged) for judged in await self._judge(events)]
        return records

    async def _judge(self, events: Sequence[Event[UploadCompleted]]) -> Sequence[Judged]:
        # A scanner or store that fails pauses this media type: nothing is decided until it answers again.
        async for attempt in stamina.retry_context(
            on=TransientError, attempts=None, timeout=None, wait_initial=0.5, wait_max=LONGEST_PAUSE
        ):
            with attempt:
                return await self._inspect_and_scan(events)
        raise StopError("retrying ended without an answer")

    async def _inspect_and_scan(self, events: Sequence[Event[UploadCompleted]]) -> Sequence[Judged]:
        items = [self._scan_item(event.data) for event in events]
        inspections = _one_per_item(await self._inspector.inspect(items), items)
        sound = [item for item, seen in zip(items, inspections, strict=True) if isinstance(seen, Inspection)]
        results = dict(zip((item.job_id for item in sound), await self._scan(sound), strict=True))
        return [
            Judged(event, None, seen)
            if isinstance(seen, Unscannable)
            else Judged(event, seen, results[item.job_id])
            for event, item, seen in zip(events, items, inspections, strict=True)
        ]

    async def _scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        if not items:
            return []
        started = time.monotonic()
        results = _one_per_item(await self._scanner.scan(items), items)
        metrics.SCAN_SECONDS.labels(self._scanner.name, items[0].media_type).observe(
            time.monotonic() - started
        )
        return results

    def _scan_item(self, upload: UploadCompleted) -> ScanItem:
        return ScanItem(
            job_id=str(upload.media_id),
            media_type=upload.media_type,
            mime_type=upload.mime_type,
            url=self._store.presign_get(upload.bucket, upload.key, URL_LIFE),
            etag=upload.etag,
            size=upload.size,
        )

    def _decision(self, judged: Judged) -> OutgoingRecord:
        decision = decision_of(judged, self._policy, self._scanner)
        metrics.DECISIONS.labels(judged.event.data.media_type, decision.outcome).inc()
        return decision_record(judged.event, decision, self._topics, self._now())

    def _dead_letter(self, arrival: Arrival) -> OutgoingRecord:
        record, fault = arrival.record, arrival.fault
        if fault is None:
            raise StopError(f"no fault at {record.topic}:{record.partition}:{record.offset}")
        metrics.DEAD_LETTERS.labels(record.topic, fault.reason).inc()
        log.warning(
            "dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=fault.reason,
            error=fault.detail,
        )
        return dead_letter(
            self._topics.dead_letter.name,
            fault,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )


def _one_per_item(results: Sequence[Result], items: Sequence[ScanItem]) -> Sequence[Result]:
    if len(results) != len(items):
        raise StopError(f"{len(results)} results for {len(items)} items")
    return results
