"""Gathers a media type's arrivals into windows, has one at a time processed, commits what is settled."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

import stamina
import structlog
from faust.types import TP

from mediagate import failpoints, metrics
from mediagate.errors import TransientError
from mediagate.events import OutgoingRecord
from mediagate.failpoints import Step
from mediagate.media import MediaType
from mediagate.progress import telling
from streams.arrivals import Arrival
from streams.ledger import Ledger
from streams.windows import Trigger, Window, WindowLimits

Decide = Callable[[Sequence[Arrival]], Awaitable[Sequence[OutgoingRecord]]]
Publish = Callable[[Sequence[OutgoingRecord]], Awaitable[None]]
Commit = Callable[[Mapping[TP, int]], Awaitable[bool]]

PUBLISH_PATIENCE = 300.0
COMMIT_PATIENCE = 60.0
PAUSE_CHECK = 0.2

log = structlog.get_logger("streams.batcher")


class Batcher:
    """Owns a media type's window and ledger.

    `put` never blocks: `wants_more` says when to stop and resume fetching; a window's worth waits behind the
    open one, so that none waits for the broker. `run` ends only by an exception:
    then the process must stop. What a released partition still had here is dropped, unacknowledged.
    `progress` counts what has ended: windows, and steps within them.
    """

    def __init__(
        self,
        media_type: MediaType,
        limits: WindowLimits,
        *,
        decide: Decide,
        publish: Publish,
        commit: Commit,
        wants_more: Callable[[bool], None],
        generation: Callable[[], int],
        paused: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._media_type = media_type
        self._limits = limits
        self._decide = decide
        self._publish = publish
        self._commit = commit
        self._wants_more = wants_more
        self._generation = generation
        self._paused = paused
        self._clock = clock
        self._window: Window[Arrival] = Window(limits)
        self._backlog: deque[tuple[Arrival, float]] = deque()
        self._ledger = Ledger()
        self._changed = asyncio.Event()
        self._in_flight: asyncio.Task[None] | None = None
        self._closed: int | None = None
        self._released: int | None = None
        self.progress = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._window.items and not self._backlog and self._in_flight is None

    @property
    def open_items(self) -> int:
        """Items of the window that still fills."""
        return len(self._window.items)

    @property
    def open_age(self) -> float:
        """Seconds since its first item; 0 while it has none."""
        window = self._window  # one look: metrics ask from a thread of their own
        return self._clock() - window.opened_at if window.items else 0.0

    def put(self, arrivals: Sequence[Arrival]) -> None:
        """Takes arrivals of the current consumer generation, until its release; others are dropped."""
        now = self._clock()
        for arrival in arrivals:
            if arrival.generation == self._generation() != self._closed:
                self._ledger.deliver(arrival.tp, arrival.record.offset)
                self._backlog.append((arrival, now))
        self._fill()
        failpoints.PROCESS.reach(Step.MID_WINDOW)

    async def run(self) -> None:
        """Processes windows for ever, one at a time."""
        while True:
            trigger = await self._until_due()
            window, self._window = self._window, Window(self._limits)
            self._fill()
            self._in_flight = asyncio.create_task(self._process(window, trigger))
            try:
                await asyncio.wait({self._in_flight})
                if not self._in_flight.cancelled():
                    self._in_flight.result()
            finally:
                self._in_flight.cancel()
                self._in_flight = None

    async def release(self, patience: float) -> None:
        """Lets the window in flight finish within `patience` seconds, and drops everything else.

        A window that is paused is dropped too: nobody knows when it would finish.
        """
        # What came after what is dropped here must not be settled: its offset would be committed over it.
        generation = self._closed = self._generation()
        self._window = Window(self._limits)
        self._backlog.clear()
        in_flight = self._in_flight
        if in_flight is not None:
            await self._until_finished(in_flight, patience)
            if not in_flight.done():
                log.warning("window dropped: its partitions are released", media_type=self._media_type)
                in_flight.cancel()
        self._released = generation
        self._ledger.clear()
        self._fill()

    async def _until_finished(self, in_flight: asyncio.Task[None], patience: float) -> None:
        deadline = self._clock() + patience
        while not in_flight.done() and not self._paused() and (left := deadline - self._clock()) > 0:
            await asyncio.wait({in_flight}, timeout=min(left, PAUSE_CHECK))

    def _fill(self) -> None:
        while self._backlog:
            arrival, arrived_at = self._backlog[0]
            if not self._window.fits(arrival.size):
                break
            self._backlog.popleft()
            self._window = self._window.add(arrival, arrived_at, arrival.size)
        self._wants_more(len(self._backlog) < self._limits.max_items)
        self._changed.set()

    async def _until_due(self) -> Trigger:
        while (trigger := self._due()) is None:
            deadline = self._window.deadline()
            self._changed.clear()
            try:
                async with asyncio.timeout(None if deadline is None else max(0.0, deadline - self._clock())):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return trigger

    def _due(self) -> Trigger | None:
        trigger = self._window.due(self._clock())
        # Something waits that does not fit: by count that is COUNT already, so it is the bytes.
        return Trigger.BYTES if trigger is None and self._backlog else trigger

    async def _process(self, window: Window[Arrival], trigger: Trigger) -> None:
        started = self._clock()
        with telling(self._step_ended):
            records = await self._decide(window.items)
        await self._publish_all(window, records)
        if self._stale(window):
            return
        failpoints.PROCESS.reach(Step.BEFORE_COMMIT)
        self._ledger.settle((arrival.tp, arrival.record.offset) for arrival in window.items)
        await self._commit_settled()
        self._step_ended()
        self._observe(window, trigger, self._clock() - started)

    def _step_ended(self) -> None:
        self.progress += 1

    def _stale(self, window: Window[Arrival]) -> bool:
        generation = window.items[0].generation
        return generation == self._released or generation != self._generation()

    async def _publish_all(self, window: Window[Arrival], records: Sequence[OutgoingRecord]) -> None:
        async for attempt in stamina.retry_context(
            on=TransientError, attempts=None, timeout=PUBLISH_PATIENCE
        ):
            with attempt:
                if not self._stale(window):
                    await self._publish(records)

    async def _commit_settled(self) -> None:
        async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=COMMIT_PATIENCE):
            with attempt:
                positions = self._ledger.positions()
                if positions and await self._commit(positions):
                    self._ledger.committed(positions)

    def _observe(self, window: Window[Arrival], trigger: Trigger, seconds: float) -> None:
        metrics.WINDOWS.labels(self._media_type, trigger).inc()
        metrics.WINDOW_ITEMS.labels(self._media_type).observe(len(window.items))
        metrics.WINDOW_SECONDS.labels(self._media_type).observe(seconds)
        metrics.LAST_WINDOW.labels(self._media_type).set_to_current_time()
        log.info(
            "window finished",
            media_type=self._media_type,
            items=len(window.items),
            trigger=trigger,
            seconds=round(seconds, 3),
        )
