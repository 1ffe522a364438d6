"""How many owed events a sweep puts in front of live uploads: about as many as workers decide in seconds."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

LEAST = 500
"""Events of a step; at most two steps are under way."""
QUICK = 3.0
"""Seconds from a step's end to the next one's, while workers read it: they commit at most one later."""


class Pace:
    """Has a sweep send a step while the workers read the one before, and wait for them then.

    `read_up` waits until they have read all there is when it is asked, and says whether they have.
    """

    def __init__(self, read_up: Callable[[], Coroutine[Any, Any, bool]], clock: Callable[[], float]) -> None:
        self._read_up = read_up
        self._clock = clock
        self._step = LEAST
        self._sent = 0
        self._sent_at = 0.0
        self._reading: asyncio.Task[bool] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()  # nobody needs its answer any more
            await asyncio.gather(self._reading, return_exceptions=True)

    async def sent(self, events: int) -> bool:
        """Whether more may be sent, once that is known; False where the workers do not get to it."""
        self._sent += events
        if self._sent < self._step:
            return True
        self._sent, sent_at = 0, self._clock()
        if self._reading is not None:
            if not await self._reading:
                return False
            quick = self._clock() - self._sent_at < QUICK
            self._step = self._step * 2 if quick else max(LEAST, self._step // 2)
        self._sent_at, self._reading = sent_at, asyncio.create_task(self._read_up())
        return True
