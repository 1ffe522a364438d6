"""A scanner behind its breaker: left alone once it has failed often enough, tried again by one probe."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import HalfOpenedState, OpenedState

from mediagate import metrics
from mediagate.errors import RefusedError, StopError, TransientError
from mediagate.scanners import ScanItem, Scanned, Scanner, ScanResult, Unavailable, Unscannable
from mediagate.scanners.reasons import Reason

CLOSED, OPENED = "closed", "opened"
STATES = {CLOSED: 0, "half-opened": 1, OPENED: 2}

Probe = Callable[[], Awaitable[None]]
Answer = TypeVar("Answer")

log = structlog.get_logger("streams.breakers")


class GuardedScanner:
    """A scanner whose failures are results: `scan` raises nothing but StopError.

    `probe`, where there is one, has the scanner prove itself on something known before the next batch.
    `successes` counts what the scanner has answered: an item that fails while it grows is at fault itself.
    """

    def __init__(self, scanner: Scanner, failures: int, pause: timedelta) -> None:
        self.scanner = scanner
        self.probe: Probe | None = None
        self.successes = 0
        self._failure = ""
        self._introduced = False
        self._state = CLOSED
        self._distrust: str | None = None
        self._breakers = AsyncCircuitBreakerFactory(failures, pause.total_seconds())
        self._breakers.add_listener(self._on_event)
        self._one_at_a_time = asyncio.Lock()
        metrics.BREAKER.labels(self.name).set(STATES[CLOSED])
        metrics.DISTRUSTED.labels(self.name).set(0)

    @property
    def name(self) -> str:
        """The scanner's."""
        return self.scanner.name

    @property
    def failure(self) -> str:
        """Why the scanner is not asked, or what it failed with last."""
        if self._distrust is not None:
            return self._distrust
        return f"{self.name} is left alone after: {self._failure}" if self._state == OPENED else self._failure

    @property
    def distrusted(self) -> bool:
        """Whether the scanner called its canary safe."""
        return self._distrust is not None

    def distrust(self, reason: str | None) -> None:
        """Stops asking the scanner, for a reason; None ends that."""
        if reason != self._distrust:
            log.error(
                "scanner distrusted" if reason else "scanner trusted again", scanner=self.name, reason=reason
            )
        self._distrust = reason
        metrics.DISTRUSTED.labels(self.name).set(reason is not None)

    async def model_version(self) -> str | None:
        """The scanner's; None where it cannot be told now, or the scanner is not trusted."""
        try:
            if self._introduced and self._distrust is None:  # it tells from memory: that proves nothing
                return await self.scanner.model_version()
            version = await self._through_breaker(self.scanner.model_version)
        except TransientError:
            return None
        self._introduced = True
        return version

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item, in the items' order; Unavailable where the scanner failed or is left alone."""
        try:
            return await self._through_breaker(partial(self._judge, items))
        except TransientError as error:
            return [Unavailable(str(error))] * len(items)

    async def _judge(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """The results of a batch; raises TransientError where nothing was judged."""
        results = await self._in_parts(items)
        if all(isinstance(result, Unavailable) for result in results):
            raise TransientError(_reason(results))
        self.successes += 1
        return results

    async def _through_breaker(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        if self._distrust is not None:
            raise TransientError(self._distrust)
        breaker = await self._breakers.get_breaker(self.name)
        if breaker.context.state == CLOSED:
            return await self._counted(breaker, call)
        async with self._one_at_a_time:
            return await self._counted(breaker, call)

    async def _counted(self, breaker: Any, call: Callable[[], Awaitable[Answer]]) -> Answer:
        # purgatory goes by the wall clock: set back, it would leave the scanner alone for as much longer.
        if breaker.context.state == OPENED and time.time() < breaker.context.opened_at:
            breaker.context.set_state(HalfOpenedState())
        try:
            async with breaker:
                if breaker.context.state != CLOSED and self.probe is not None:
                    await self._prove(self.probe)
                with self._noting_failure():
                    return await call()
        except OpenedState:
            raise TransientError(self.failure) from None

    async def _prove(self, probe: Probe) -> None:
        with self._noting_failure():
            await probe()
        if self._distrust is not None:
            raise TransientError(self._distrust)
        self.successes += 1

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except TransientError as error:
            self._failure = str(error)
            raise

    async def _in_parts(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """The results of a batch; one that is refused is halved until the item at fault is alone."""
        try:
            return await self._timed(items)
        except TransientError as error:
            return [Unavailable(str(error))] * len(items)
        except RefusedError as error:
            if len(items) == 1:
                log.warning("scanner refused", scanner=self.name, job_id=items[0].job_id, error=str(error))
                return [Unscannable(Reason.SCANNER_REFUSED)]
            middle = len(items) // 2
            return [*await self._in_parts(items[:middle]), *await self._in_parts(items[middle:])]

    async def _timed(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        started = time.monotonic()
        results = [_sound(result) for result in await self.scanner.scan(items)]
        if len(results) != len(items):
            raise StopError(f"{self.name} scanner: {len(results)} results for {len(items)} items")
        media_type = items[0].media_type
        seconds = time.monotonic() - started
        metrics.SCAN_SECONDS.labels(self.name, media_type).observe(seconds)
        metrics.SCANNED_ITEMS.labels(self.name, media_type).inc(len(items))
        log.info(
            "batch scanned",
            scanner=self.name,
            media_type=media_type,
            items=len(items),
            seconds=round(seconds, 3),
        )
        return results

    def _on_event(self, name: str, event: str, payload: Any) -> None:
        if event == "state_changed":
            self._state = payload.state
            metrics.BREAKER.labels(name).set(STATES[payload.state])
            log.warning("breaker changed", scanner=name, state=payload.state, failure=self._failure)


def _sound(result: ScanResult) -> ScanResult:
    """The result, if it holds scores and nothing else; NaN could not even be written as JSON."""
    if not isinstance(result, Scanned):
        return result
    sound = result.scores and all(0 <= score <= 1 for score in result.scores.values())
    return result if sound else Unscannable(Reason.INVALID_SCORE)


def _reason(results: Sequence[ScanResult]) -> str:
    return next((result.reason for result in results if isinstance(result, Unavailable)), "no answer")
