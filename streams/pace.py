"""How many owed events a sweep puts in front of live uploads: about as many as workers decide in a second."""

from collections.abc import Awaitable, Callable

LEAST = 1000
QUICK = 3.0
"""Seconds: workers commit at most one later."""


class Pace:
    """Has a sweep wait for the workers whenever it has sent what they may have before them.

    `read_up` waits until they have read all there is, and says whether they have.
    """

    def __init__(self, read_up: Callable[[], Awaitable[bool]], clock: Callable[[], float]) -> None:
        self._read_up = read_up
        self._clock = clock
        self._most = LEAST
        self._sent = 0

    async def sent(self, events: int) -> bool:
        """Whether more may be sent, once that is known; False where the workers do not get to it."""
        self._sent += events
        if self._sent < self._most:
            return True
        began, self._sent = self._clock(), 0
        if not await self._read_up():
            return False
        quick = self._clock() - began < QUICK
        self._most = self._most * 2 if quick else max(LEAST, self._most // 2)
        return True
