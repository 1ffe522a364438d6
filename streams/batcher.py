"""Gathers a media type's arrivals into windows, has one at a time decided, emits them, commits a prefix."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any

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
Expect = Callable[[Sequence[Arrival]], None]
Publish = Callable[[Sequence[OutgoingRecord]], Awaitable[None]]
Commit = Callable[[Mapping[TP, int]], Awaitable[bool]]

WINDOWS_IN_FLIGHT = 8
"""One is decided while the decisions of the others wait for the broker's acknowledgement."""
COMMIT_INTERVAL = 1.0
"""Seconds from one commit to the next: so much more may be decided again after a crash."""
PUBLISH_PATIENCE = 300.0
COMMIT_PATIENCE = 60.0
PUBLISHING = stamina.AsyncRetryingCaller(attempts=None, timeout=PUBLISH_PATIENCE).on(TransientError)
COMMITTING = stamina.AsyncRetryingCaller(attempts=None, timeout=COMMIT_PATIENCE).on(TransientError)
LAST_COMMIT_PATIENCE = 5.0
"""Seconds for the commit of a release whose windows took all the time that it had."""
PAUSE_CHECK = 0.2

log = structlog.get_logger("streams.batcher")


class Batcher:
    """Owns a media type's window and ledger.

    `put` never blocks: `wants_more` says when to stop and resume fetching; a window's worth waits behind the
    open one, so that none waits for the broker. Windows are decided one after the other and settled in any
    order: the ledger commits prefixes. `run` ends only by an exception:
    then the process must stop. What a released partition still had here is dropped, unacknowledged.
    `expect` is told what a window gets while it fills.
    `progress` counts what has ended: windows, and steps within them.
    """

    def __init__(
        self,
        media_type: MediaType,
        limits: WindowLimits,
        *,
        expect: Expect,
        decide: Decide,
        publish: Publish,
        commit: Commit,
        wants_more: Callable[[bool], None],
        generation: Callable[[], int],
        paused: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = monotonic,
        in_flight: int = WINDOWS_IN_FLIGHT,
        commit_interval: float = COMMIT_INTERVAL,
    ) -> None:
        self._media_type = media_type
        self._limits = limits
        self._expect = expect
        self._decide = decide
        self._publish = publish
        self._commit = commit
        self._wants_more = wants_more
        self._generation = generation
        self._paused = paused
        self._clock = clock
        self._most_in_flight = in_flight
        self._commit_interval = commit_interval
        self._window: Window[Arrival] = Window(limits)
        self._backlog: deque[tuple[Arrival, float, int]] = deque()
        self._ledger = Ledger()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._deciding: asyncio.Task[None] | None = None
        self._committing = asyncio.Lock()
        self._commit_under_way: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] | None = None
        self._closed: int | None = None
        self._released: int | None = None
        self.progress = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._window.items and not self._backlog and not self._in_flight

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
        now, generation = self._clock(), self._generation()
        for arrival in arrivals:
            if arrival.generation == generation != self._closed:
                self._ledger.deliver(arrival.tp, arrival.record.offset)
                self._backlog.append((arrival, now, arrival.size))
        self._fill()
        failpoints.PROCESS.reach(Step.MID_WINDOW)

    async def run(self) -> None:
        """Has windows decided and emitted for ever, and commits what is settled."""
        self._failure = asyncio.get_running_loop().create_future()
        loops = [self._begin(self._decide_windows()), self._begin(self._commit_for_ever())]
        try:
            await self._failure
        finally:
            for task in (*loops, *self._in_flight, self._commit_under_way):
                if task is not None:
                    task.cancel()

    async def release(self, patience: float) -> None:
        """Lets windows in flight finish within `patience` seconds, and drops everything else.

        One that is paused is dropped too: nobody knows when it would finish.
        """
        # What came after what is dropped here must not be settled: its offset would be committed over it.
        generation = self._closed = self._generation()
        self._window = Window(self._limits)
        self._backlog.clear()
        deadline = self._clock() + patience
        for task in await self._unfinished(set(self._in_flight), deadline):
            log.warning("window dropped: its partitions are released", media_type=self._media_type)
            task.cancel()
        if generation == self._generation():  # else another release was quicker, and its successor is at work
            self._released = generation
            await self._commit_at_last(max(LAST_COMMIT_PATIENCE, deadline - self._clock()))
        if generation == self._generation():
            self._ledger.clear()
        self._fill()

    async def _unfinished(self, windows: set[asyncio.Task[None]], deadline: float) -> set[asyncio.Task[None]]:
        """Those that are not finished at the deadline; one that is paused is not waited for."""
        waited_for = windows
        while waited_for and (left := deadline - self._clock()) > 0:
            await asyncio.wait(waited_for, timeout=min(left, PAUSE_CHECK))
            paused = {self._deciding} if self._paused() else set()
            waited_for = {task for task in windows - paused if not task.done()}
        return {task for task in windows if not task.done()}

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._note_failure)
        return task

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _decide_windows(self) -> None:
        while True:
            while len(self._in_flight) >= self._most_in_flight:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
            trigger = await self._until_due()
            window, self._window = self._window, Window(self._limits)
            self._fill()
            await self._start(window, trigger).wait()
            self._deciding = None

    def _start(self, window: Window[Arrival], trigger: Trigger) -> asyncio.Event:
        """Has a window processed; the event is set once it needs no scanner any more."""
        decided = asyncio.Event()
        self._deciding = task = self._begin(self._process(window, trigger, decided))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        task.add_done_callback(lambda _: decided.set())
        return decided

    def _fill(self) -> None:
        if self._backlog:
            before = len(self._window.items)
            self._window = self._window.filled(self._backlog)
            for _ in range(len(self._window.items) - before):
                self._backlog.popleft()
            self._expect(self._window.items[before:])
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

    async def _process(self, window: Window[Arrival], trigger: Trigger, decided: asyncio.Event) -> None:
        started = self._clock()
        with telling(self._step_ended):
            records = await self._decide(window.items)
        decided.set()
        await PUBLISHING(self._publish_unless_stale, window, records)
        if self._stale(window):
            return
        failpoints.PROCESS.reach(Step.BEFORE_COMMIT)
        self._ledger.settle((arrival.tp, arrival.record.offset) for arrival in window.items)
        self._settled.set()
        self._step_ended()
        self._observe(window, trigger, self._clock() - started)

    def _step_ended(self) -> None:
        self.progress += 1

    def _stale(self, window: Window[Arrival]) -> bool:
        generation = window.items[0].generation
        return generation == self._released or generation != self._generation()

    async def _publish_unless_stale(self, window: Window[Arrival], records: Sequence[OutgoingRecord]) -> None:
        if not self._stale(window):
            await self._publish(records)

    async def _commit_for_ever(self) -> None:
        while True:
            await self._settled.wait()
            self._settled.clear()
            await self._commit_settled()
            await asyncio.sleep(self._commit_interval)

    async def _commit_at_last(self, patience: float) -> None:
        """Nothing is committed any more when it returns."""
        try:
            async with asyncio.timeout(patience):
                await self._commit_settled()
        except TimeoutError:
            log.warning("offsets not committed: their partitions are released", media_type=self._media_type)
        if self._commit_under_way is not None:
            self._commit_under_way.cancel()

    async def _commit_settled(self) -> None:
        async with self._committing:
            self._commit_under_way = self._begin(COMMITTING(self._try_to_commit))
            await asyncio.wait({self._commit_under_way})

    async def _try_to_commit(self) -> None:
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
