"""A window's way: dead letters aside, then recall, identify, inspect, block list, scan, policy, brakes."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import stamina
import structlog

from mediagate import failpoints, metrics
from mediagate.dead_letter_cap import DeadLetterCap
from mediagate.dead_letters import dead_letter
from mediagate.errors import DeadLetterError, StopError, TransientError
from mediagate.events import Decision, Outcome, OutgoingRecord
from mediagate.failpoints import Step
from mediagate.media import MediaType
from mediagate.policy import Policy
from mediagate.scanners import ScanItem, Unscannable
from mediagate.scanners.inspected import Inspected
from mediagate.scanners.reasons import OF_ONE_OBJECT
from mediagate.storage import ObjectStore
from mediagate.topics import Topics
from streams.arrivals import Arrival
from streams.block_list import BlockList, Candidate
from streams.brakes import Brakes
from streams.cases import Blocked, Case
from streams.decisions import braked, decision_of, decision_record
from streams.identification import asked_ahead, identify
from streams.panel import Panel
from streams.recorded import RecordedDecisions

URL_LIFE = timedelta(hours=1)
"""Longer than any scan: URLs are signed when it starts, anew at every try, and never stored."""
DECIDING = stamina.AsyncRetryingCaller(attempts=None, timeout=None, wait_initial=0.5, wait_max=30.0).on(
    TransientError
)
RESUME_CHECK = 1.0
"""Seconds between two questions whether an operator has resumed a stream."""
MD5_ETAG = re.compile(r'"([0-9a-f]{32})"')
"""The ETag of an object that was put in one part, unless it is encrypted with a key of KMS."""

log = structlog.get_logger("streams.scanning")


class Inspector(Protocol):
    """Parses media without judging it; `inspect` raises TransientError where bytes cannot be read."""

    async def inspect(
        self, items: Sequence[ScanItem], *, with_pdq: bool = False
    ) -> Sequence[Inspected | Unscannable]:
        """One result per item, in the items' order."""
        ...


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy that decides, and the one that is only recorded, where there is one."""

    deciding: Policy
    shadow: Policy | None = None


class WindowScan:
    """Turns a window of arrivals into the records that answer each of them."""

    def __init__(
        self,
        store: ObjectStore,
        inspector: Inspector,
        block_list: BlockList,
        panel: Panel,
        policies: Policies,
        brakes: Brakes,
        cap: DeadLetterCap,
        recorded: RecordedDecisions,
        topics: Topics,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._inspector = inspector
        self._block_list = block_list
        self._panel = panel
        self._policies = policies
        self._brakes = brakes
        self._cap = cap
        self._recorded = recorded
        self._topics = topics
        self._now = now
        self._media_types = {topics.upload_completed(each).name: each for each in MediaType}
        self._paused: dict[MediaType, str] = {}

    @property
    def not_ready(self) -> str | None:
        """Why nothing can be decided now; None where all is well."""
        return next((f"{media_type}s wait: {why}" for media_type, why in self._paused.items()), None)

    def is_paused(self, media_type: MediaType) -> bool:
        """Whether a window of the media type waits: for a scanner, S3, PostgreSQL or an operator."""
        return media_type in self._paused

    def expect(self, arrivals: Sequence[Arrival]) -> None:
        """Asks S3 what it has of uploads whose window still fills, so that the window waits for less."""
        for arrival in arrivals:
            if arrival.event is not None:
                arrival.head = asked_ahead(self._store, arrival.event.data)

    async def decide(self, arrivals: Sequence[Arrival]) -> Sequence[OutgoingRecord]:
        """One record per arrival: its decision or its dead letter."""
        await self._until_admitted(arrivals)
        records = [self._dead_letter(arrival) for arrival in arrivals if arrival.fault is not None]
        cases = [Case(arrival.event, arrival.head) for arrival in arrivals if arrival.event is not None]
        if cases:
            decisions, now = await self._decisions(cases), self._now()
            records += [
                decision_record(case.event, decision, self._topics, now)
                for case, decision in zip(cases, decisions, strict=True)
            ]
        return records

    async def _until_admitted(self, arrivals: Sequence[Arrival]) -> None:
        media_type = self._media_types[arrivals[0].tp.topic]
        faults = [arrival.fault for arrival in arrivals]
        try:
            while why := await self._refusal(media_type, faults):
                self._pause(media_type, why)
                await asyncio.sleep(RESUME_CHECK)
        finally:
            self._pause(media_type, None)

    async def _refusal(self, media_type: MediaType, faults: Sequence[DeadLetterError | None]) -> str | None:
        try:
            return await self._cap.refusal(media_type, faults)
        except TransientError as error:
            return str(error)

    async def _decisions(self, cases: Sequence[Case]) -> Sequence[Decision]:
        # Whatever is away pauses this media type: nothing is decided until it answers again.
        media_type = cases[0].event.data.media_type
        try:
            return await DECIDING(self._try, media_type, cases)
        finally:
            self._pause(media_type, None)

    async def _try(self, media_type: MediaType, cases: Sequence[Case]) -> Sequence[Decision]:
        try:
            await self._examine(cases)
            undecided = [case for case in cases if case.recorded is None]
            decisions = {
                case: decision_of(case, self._policies.deciding, self._policies.shadow) for case in undecided
            }
            held = await self._brakes.held(media_type, [each.outcome for each in decisions.values()])
        except TransientError as error:
            self._pause(media_type, str(error))
            raise
        emitted = {case: braked(each) if each.outcome in held else each for case, each in decisions.items()}
        _count(media_type, emitted.values())
        return [case.recorded or emitted[case] for case in cases]

    async def _examine(self, cases: Sequence[Case]) -> None:
        """Finds out all that a decision needs; steps that were made before are not made again."""
        await self._recall(cases)
        cases = [case for case in cases if case.recorded is None]
        await identify(self._store, [case for case in cases if not case.identified])
        for case in cases:  # at each try, for the URLs of the last one may be old
            if case.finding is None:
                case.item = self._scan_item(case)
        await self._inspect([case for case in cases if case.finding is None and case.inspection is None])
        await self._check_block_list([case for case in cases if not case.checked])
        failpoints.PROCESS.reach(Step.MID_SCAN)
        await self._panel.judge([case for case in cases if case.finding is None])
        # Whoever moved the object has decided since.
        await self._recall([case for case in cases if _has_moved(case)])

    async def _recall(self, cases: Sequence[Case]) -> None:
        """Fills in the decisions that stand, whatever these events bring."""
        recorded = await self._recorded.of({case.media_id for case in cases}) if cases else {}
        for case in cases:
            known = recorded.get(case.media_id)
            if known is not None and (known.stands(case.event) or _has_moved(case)):
                case.recorded = known.as_answer(case.event)

    async def _inspect(self, cases: Sequence[Case]) -> None:
        items = [case.item for case in cases]
        results = await self._inspector.inspect(items, with_pdq=await self._block_list.has_pdq())
        if len(results) != len(items):
            raise StopError(f"{len(results)} inspections for {len(items)} items")
        for case, seen in zip(cases, results, strict=True):
            if isinstance(seen, Unscannable):
                case.finding = seen
            else:
                case.inspection, case.pdq = seen.inspection, seen.pdq
                case.item = replace(case.item, animated=case.animated)

    async def _check_block_list(self, cases: Sequence[Case]) -> None:
        candidates = [_candidate(case) for case in cases if _is_as_accepted(case)]
        matches = await self._block_list.matches(candidates)
        for case in cases:
            case.checked = True
            if case.media_id in matches:
                case.finding = Blocked(matches[case.media_id].reason)

    def _scan_item(self, case: Case) -> ScanItem:
        upload = case.event.data
        urls = self._store.presign_get(upload.bucket, upload.key, URL_LIFE)
        return ScanItem(
            job_id=case.event.subject,
            media_type=upload.media_type,
            mime_type=upload.mime_type,
            url=urls.url,
            etag=upload.etag,
            size=upload.size,
            public_url=urls.public_url,
            animated=case.animated,
        )

    def _pause(self, media_type: MediaType, reason: str | None) -> None:
        if reason is None:
            self._paused.pop(media_type, None)
        else:
            self._paused[media_type] = reason
        metrics.PAUSED.labels(media_type).set(reason is not None)

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


def _is_as_accepted(case: Case) -> bool:
    return not (isinstance(case.finding, Unscannable) and case.finding.reason in OF_ONE_OBJECT)


def _has_moved(case: Case) -> bool:
    return case.event.data.rescan and not _is_as_accepted(case)


def _candidate(case: Case) -> Candidate:
    upload = case.event.data
    etag = MD5_ETAG.fullmatch(upload.etag)
    md5 = {upload.md5, etag[1] if etag else None} - {None}
    return Candidate(
        upload.media_id, frozenset({case.sha256 or upload.sha256}), frozenset(map(str, md5)), case.pdq
    )


def _count(media_type: MediaType, decisions: Collection[Decision]) -> None:
    for outcome, number in Counter(decision.outcome for decision in decisions).items():
        metrics.DECISIONS.labels(media_type, outcome).inc(number)
    for decision in decisions:
        if decision.shadow is not None:
            policy_outcome: Outcome = decision.braked or decision.outcome
            metrics.SHADOW_DECISIONS.labels(media_type, policy_outcome, decision.shadow.outcome).inc()
