"""Has several decisions carried out at once, and acknowledges them in the order of their arrival."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from sinks.in_order import Arrival, InOrder

UNACKNOWLEDGED = 1000
"""Most records that may wait, done or not, behind a slow one: so many are repeated after a crash."""

log = structlog.get_logger("sinks.dispatcher")


class Dispatcher:
    """Between Faust's events and their handler.

    A record whose handler raised is never acknowledged, nor is any behind it; `fail` is told, once each.
    Closed until `open`: between two generations of the consumer group nothing is taken.
    """

    def __init__(
        self,
        handle: Callable[[Any], Awaitable[None]],
        *,
        concurrency: int,
        generation: Callable[[], int],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._handle = handle
        self._generation = generation
        self._fail = fail
        self._slots = asyncio.Semaphore(concurrency)
        self._room = asyncio.Event()
        self._room.set()
        self._in_order: InOrder[Any] = InOrder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False

    def open(self) -> None:
        """Takes events from now on: partitions are assigned."""
        self._open = True

    async def put(self, event: Any) -> None:
        """Starts on a Faust event as soon as there is room; drops it where its partition was let go."""
        await self._slots.acquire()
        await self._room.wait()
        if not self._open or event.message.generation_id != self._generation():
            self._slots.release()
            return
        arrival = self._in_order.arrive(event.message.tp, event)
        self._limit()
        task = asyncio.create_task(self._run(event))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, arrival))

    async def release(self, patience: float) -> None:
        """Lets what is under way finish within `patience` seconds; the rest is dropped, unacknowledged."""
        self._open = False
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        unfinished = set(self._tasks)
        for task in unfinished:
            task.cancel()
        if unfinished:
            log.warning("decisions dropped: their partitions are released", count=len(unfinished))
            await asyncio.wait(unfinished)
        self._in_order.forget()
        self._limit()

    async def _run(self, event: Any) -> None:
        await self._handle(event.message)

    def _ended(self, task: asyncio.Task[None], arrival: Arrival[Any]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._fail(error)
            return
        for event in self._in_order.finish(arrival):
            if event.message.generation_id == self._generation():
                event.ack()
        self._limit()

    def _limit(self) -> None:
        if len(self._in_order) < UNACKNOWLEDGED:
            self._room.set()
        else:
            self._room.clear()
