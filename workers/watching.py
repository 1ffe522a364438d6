"""Looks again and again how much waits for a worker, whether it is stuck, whether its event loop turns."""

import asyncio
import faulthandler
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

import faust
import structlog
from faust.types import TP

from mediagate.errors import StopError, TransientError
from mediagate.lag import lag
from workers.lag_gauge import LagGauge
from workers.watchdog import Stuck, Watchdog

LOOKS = 10
"""In one timeout, or more."""
LONGEST_INTERVAL = 10.0
"""Seconds between two looks: the gauge of what waits is no older."""
ANSWER_DEADLINE = 30.0
END_DEADLINE = 55.0
"""Seconds; a little less than a supervisor waits before it kills."""

log = structlog.get_logger("workers.watching")


@dataclass(frozen=True, slots=True)
class Work:
    """Topics whose records are worked on together; `progress` grows whenever something of it has ended."""

    topics: Sequence[str]
    watchdog: Watchdog
    progress: Callable[[], int]
    paused: Callable[[], bool] = lambda: False


class Watch:
    """Watches the work of one member of a consumer group."""

    def __init__(
        self, app: faust.App, servers: str, group: str, timeout: float, works: Sequence[Work]
    ) -> None:
        self._app = app
        self._servers = servers
        self._group = group
        self._interval = min(timeout / LOOKS, LONGEST_INTERVAL)
        self._works = works
        self._gauge = LagGauge(group)

    async def run(self) -> None:
        """Looks for ever; raises StopError that says what is stuck."""
        while True:
            await asyncio.sleep(self._interval)
            found = await self._waiting()
            ours = partitions_of(self._app)
            self._gauge.show({tp: records for tp, records in found.items() if ours and tp in ours})
            waiting = {tp: records for tp, records in found.items() if ours is None or tp in ours}
            for work in self._works:
                lag = {tp: records for tp, records in waiting.items() if tp.topic in work.topics}
                now = monotonic()
                if stuck := work.watchdog.look(now, lag, work.progress(), work.paused()):
                    raise _failure(stuck, now)

    def let_go(self) -> None:
        """Says that no partition is ours any more."""
        self._gauge.show({})

    async def _waiting(self) -> Mapping[TP, int]:
        """Uncommitted records per partition; none where Kafka does not answer: then nobody can work."""
        # Not from the worker's own consumer: where that is stuck, it has no answer or an old one.
        topics = [topic for work in self._works for topic in work.topics]
        try:
            async with asyncio.timeout(ANSWER_DEADLINE):
                found = await lag(self._servers, self._group, topics)
        except (TransientError, TimeoutError) as error:
            log.warning("Kafka was not asked how much waits", error=str(error) or type(error).__name__)
            return {}
        return {TP(*tp): records for tp, records in found.items()}


def partitions_of(app: faust.App) -> frozenset[TP] | None:
    """A member's partitions; None while it joins its group, for then any may become its own."""
    if not app.started or app.rebalancing:
        return None
    return frozenset(app.consumer.assignment())


async def exit_when_hung(timeout: float) -> None:
    """Has the process exit, with code 1 and a traceback of every thread, if its event loop stops so long.

    From its cancellation on it does so unless the process ends within END_DEADLINE: whatever hangs then, a
    supervisor can start it again.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(timeout, exit=True)
            await asyncio.sleep(timeout / LOOKS)
    finally:
        faulthandler.dump_traceback_later(END_DEADLINE, exit=True)


def _failure(stuck: Stuck, now: float) -> StopError:
    since = datetime.now(UTC) - timedelta(seconds=now - stuck.since)
    return StopError(
        f"stuck: {stuck.tp.topic}, partition {stuck.tp.partition}: {stuck.lag} records wait,"
        f" and nothing has ended since {since.isoformat(timespec='seconds')}"
    )
