"""When a worker is stuck: records wait for it, and nothing of its work has ended for too long; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from faust.types import TP


@dataclass(frozen=True, slots=True)
class Stuck:
    """The partition that has waited longest; `since` is on the clock of the looks."""

    tp: TP
    lag: int
    since: float


class Watchdog:
    """Remembers since when records have waited without anything having ended.

    `timeout` is in seconds, as `now` is, and runs between two signs of life.
    """

    # A window of long videos may take longer than any sensible timeout. Therefore not only windows are signs
    # of life, but also each file that was decoded and each request to a scanner that ended, well or not.
    # Their own deadlines are shorter than the timeout; one that does not end in spite of them gives no sign.

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._progress = 0
        self._waiting: dict[TP, float] = {}

    def look(self, now: float, lag: Mapping[TP, int], progress: int, paused: bool) -> Stuck | None:
        """What is stuck, given records per partition, how much has ended so far, and whether it is paused."""
        before = self._waiting if progress == self._progress else {}
        self._progress = progress
        self._waiting = {tp: before.get(tp, now) for tp, records in lag.items() if records and not paused}
        tp = min(self._waiting, key=lambda tp: (self._waiting[tp], -lag[tp]), default=None)
        if tp is None or now - self._waiting[tp] < self._timeout:
            return None
        return Stuck(tp, lag[tp], self._waiting[tp])
