"""How long what PostgreSQL said of all workers is believed without asking again."""

from collections.abc import Callable
from datetime import datetime, timedelta

FRESH = timedelta(seconds=1)
"""What another worker engages holds for this one so much later; the price of a query a window."""


class Freshness:
    """When each of several things was last found to be clear."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._clear_at: dict[str, datetime] = {}

    def is_clear(self, name: str) -> bool:
        """Whether it was clear less than a second ago."""
        found = self._clear_at.get(name)
        return found is not None and timedelta(0) <= self._now() - found < FRESH

    def note(self, name: str, clear: bool) -> None:
        """What it is found to be now; what is not clear is asked for each time."""
        if clear:
            self._clear_at[name] = self._now()
        else:
            self._clear_at.pop(name, None)
