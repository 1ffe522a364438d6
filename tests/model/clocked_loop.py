"""An event loop whose clock only the model moves: real asyncio, no real time."""

import asyncio
import math
import selectors
from collections.abc import Mapping
from typing import Any

TICK = 2.0**-10
"""Seconds. Time moves in whole ticks, so that sums and differences of times are exact."""
MOST_TURNS = 10_000
"""Of the loop, at one and the same time."""


class ClockedLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, then jumps to the next timer, up to a given time."""

    def __init__(self) -> None:
        self._now = 0.0
        self._until = 0.0
        self._turns = 0
        self.complaints: list[Mapping[str, Any]] = []
        super().__init__(_NoWaiting(self))
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def run_for(self, seconds: float = 0.0) -> None:
        """Lets that much time pass; returns when nothing is ready any more."""
        self._until = self._now + seconds
        self._turns = 0
        self.run_forever()

    def turn(self, timeout: float | None) -> None:
        """The next timer is due after `timeout` seconds; RuntimeError where time stands still for ever."""
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise RuntimeError(f"something runs for ever at {self._now} s")
        if timeout is None or timeout > 0:
            self._jump(timeout)

    def _jump(self, timeout: float | None) -> None:
        due = math.inf if timeout is None else math.ceil((self._now + timeout) / TICK) * TICK
        self._now = min(due, self._until)
        self._turns = 0
        if due > self._until:
            self.stop()


class _NoWaiting(selectors.SelectSelector):
    """Tells the loop that it is idle instead of waiting: no file is ever ready."""

    def __init__(self, loop: ClockedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.turn(timeout)
        return []
